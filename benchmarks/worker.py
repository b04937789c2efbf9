"""A process that measures one client: for each line on its input, one run and one line of JSON.

One process for each client, because imports change what they meet: more live objects make every full garbage collection
dearer, and some libraries patch others. A process that waits for its turn costs the one at work nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
from importlib import import_module

from benchmarks.scenario import Scenario


def run(scenario: Scenario, client: str, url: str) -> dict[str, object]:
    """Run once and tell the measurements, or the error."""
    try:
        return {"measured": asyncio.run(scenario.measure(client, url))}
    except Exception as error:  # noqa: BLE001 - it is reported, and fails the bench
        return {"error": repr(error)}


def main(module: str, title: str, client: str, url: str) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # Whoever ends this process means its servers as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    scenario = next(known for known in import_module(module).SCENARIOS if known.title == title)
    for _ in sys.stdin:
        print(json.dumps(run(scenario, client, url)), file=answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
