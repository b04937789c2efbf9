"""A limit for the fleet: two jobs at once over two workers, and none is lost."""

from __future__ import annotations

from collections.abc import Iterable

import jobs
from benchmarks.promises.place import place
from benchmarks.runners.note import Note
from benchmarks.scenario import Scenario, Target
from benchmarks.tally import BrokenClientError

_JOBS, _SECONDS, _LIMIT = 40, 0.3, 2


async def share(client: str, url: str) -> dict[str, float]:
    """Let two workers, each of which could do twenty at once, share two places.

    Raises:
        BrokenClientError: The limit was passed, or a job was discarded.
    """
    with place(client, url) as opened:
        for _ in range(2):
            await opened.worker("few=20")
        handles = await jobs.asend_all(
            [opened.actors.limited.message(number, _SECONDS) for number in range(_JOBS)]
        )
        found = await opened.until(lambda notes: sum(note.what == "end" for note in notes) >= _JOBS)
        rows = [await handle.ajob() for handle in handles]
        lost = await jobs.adead_letters()
    most = most_at_once(found)
    if lost or most > _LIMIT:
        raise BrokenClientError(f"{len(lost)} dead letters, {most} jobs at once instead of {_LIMIT}")
    wall = max(note.at for note in found) - min(note.at for note in found)
    return {
        "wall": wall, "most": most, "attempts": float(sum(row.attempt for row in rows)), "dead": float(len(lost)),
    }  # fmt: skip


def most_at_once(found: Iterable[Note]) -> int:
    """Give the most jobs that ran at the same time."""
    now = most = 0
    for note in sorted(found, key=lambda note: (note.at, note.what == "begin")):
        now += 1 if note.what == "begin" else -1
        most = max(most, now)
    return most


SCENARIOS = (
    Scenario(
        title=f"promise: {_JOBS} jobs of {_SECONDS:g} s, {_LIMIT} at once over two worker processes",
        measure=share,
        clients=("aquila",),
        columns={"wall": "s", "most": "at once", "attempts": "", "dead": "letters"},
        targets=(
            Target(what="wall", of="aquila", at_most=1.1 * _JOBS * _SECONDS / _LIMIT),
            Target(what="most", of="aquila", at_most=_LIMIT),
            Target(what="dead", of="aquila", at_most=0),
        ),
        rounds=1,
    ),
)
