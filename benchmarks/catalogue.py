"""All scenarios, in the order in which they run."""

from __future__ import annotations

from benchmarks import (
    ask,
    burst,
    cassette_load,
    cassette_pace,
    cassette_record,
    cassette_replay,
    crowd,
    imports,
    live,
    notify,
    queues,
    steady,
    storm,
)
from benchmarks.promises import crashes, handover, limits, readers

_CLIENTS = (burst, steady, crowd, storm, ask, imports)
# `live` comes last: it pins processes to cores.
_JOBS = (queues, limits, handover, crashes, readers, notify, live)
_CASSETTES = (cassette_replay, cassette_record, cassette_pace, cassette_load)

SCENARIOS = {
    scenario.title: scenario for module in (*_CLIENTS, *_CASSETTES, *_JOBS) for scenario in module.SCENARIOS
}
