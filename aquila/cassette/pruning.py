"""What of the cassettes a test run had no use for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from aquila.cassette.run_report import RunReport


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file and what of it goes."""

    path: Path
    #: The interactions that nobody played, from 0; empty for a file that no test opened.
    positions: tuple[int, ...]
    #: How many the file holds; None for a file that no test opened.
    interactions: int | None
    digest: str

    @property
    def is_whole(self) -> bool:
        """Whether the file itself goes."""
        return self.interactions is None or len(self.positions) == self.interactions


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What may go, and what is another file now than the run had."""

    unused: tuple[Leftover, ...]
    changed: tuple[Path, ...]


def leftovers(
    report: RunReport, files: Iterable[Path], digest: Callable[[Path], str], *, orphans: bool
) -> Leftovers:
    """Find what a run had no use for.

    Args:
        report: What it played.
        files: The cassettes that are there, absolute.
        digest: Gives a file's digest; empty if there is none.
        orphans: Whether a file that no test opened is unused.
    """
    unused, changed, known = [], [], set()
    for used in report.used:
        path = Path(report.folder) / used.path
        known.add(path)
        positions = tuple(sorted({*range(used.interactions)} - {*used.played}))
        present = digest(path)
        if positions and present and present != used.digest:
            changed.append(path)
        elif positions and present:
            unused.append(Leftover(path, positions, used.interactions, present))
    if orphans:
        unused += [Leftover(path, (), None, digest(path)) for path in files if path not in known]
    return Leftovers(tuple(sorted(unused, key=lambda item: item.path)), tuple(sorted(changed)))
