"""`python -m benchmarks [WORD ...]`: run the scenarios, or those whose titles begin with a word, and print the tables.

Fails when a client loses text or breaks; a missed target is printed and is no failure, because a busy machine is none.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from benchmarks.catalogue import SCENARIOS
from benchmarks.crew import play, served
from benchmarks.report import table

#: Seconds after which the run stops, whatever is missing.
_LIMIT = 1200.0


async def main(words: tuple[str, ...]) -> int:
    """Run and print; gives the exit status."""
    chosen = [scenario for title, scenario in SCENARIOS.items() if not words or title.startswith(words)]
    if not chosen:
        print("no title begins with that; the titles are:", *SCENARIOS, sep="\n  ")
        return 2
    broken = False
    began = time.monotonic()
    print("Medians; x is times Aquila's; CPU is that of the client's process; the server is another process.")
    with TemporaryDirectory() as folder, anyio.move_on_after(_LIMIT) as scope:
        async with served(Path(folder)) as urls:
            for scenario in chosen:
                started = time.monotonic()
                rows = await play(scenario, urls[scenario.scheme], Path(folder))
                print("\n".join(table(scenario, rows)))
                print(f"  {time.monotonic() - started:.0f} s", flush=True)
                broken |= any(row.trouble.startswith("FAILED") for row in rows.values())
    if scope.cancelled_caught:
        print(f"\nstopped after {_LIMIT:g} s with scenarios missing")
    print(f"\n{time.monotonic() - began:.0f} s in all")
    return int(broken or scope.cancelled_caught)


if __name__ == "__main__":
    sys.exit(anyio.run(main, tuple(sys.argv[1:])))
