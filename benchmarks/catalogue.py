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
    queues,
    steady,
    storm,
)

_CLIENTS = (burst, steady, crowd, storm, ask, imports)
_JOBS = (queues, live)
_CASSETTES = (cassette_replay, cassette_record, cassette_pace, cassette_load)

SCENARIOS = {scenario.title: scenario for module in (*_CLIENTS, *_CASSETTES, *_JOBS) for scenario in module.SCENARIOS}
