"""What of the cassettes a test run had no use for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from aquila.cassette.run_report import RunReport, UsedCassette


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


class Kept(NamedTuple):
    """A file that no test needed as far as is known, and that stays."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What may go, what is another file now than the run had, and what stays for another reason."""

    unused: tuple[Leftover, ...]
    changed: tuple[Path, ...]
    kept: tuple[Kept, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What is there now."""

    #: The cassettes, absolute.
    files: Iterable[Path]
    #: Gives a file's digest; empty if there is none.
    digest: Callable[[Path], str]
    #: Tells whether Aquila wrote a file.
    is_ours: Callable[[Path], bool]


_FOREIGN = "Aquila did not write it, or it is broken"
_NEWER = "it was not there when the run ended, or not as it is now; run the tests again"


def leftovers(report: RunReport, present: Folder, *, orphans: bool) -> Leftovers:
    """Find what a run had no use for.

    Only what Aquila wrote goes, and only as the run had it: a file that came or changed since may be needed by a test
    that came with it.

    Args:
        report: What the run played.
        present: What is there now.
        orphans: Whether a file that no test opened is unused.
    """
    folder = Path(report.folder)
    unused: list[Leftover] = []
    changed: list[Path] = []
    kept: list[Kept] = []
    for used in _by_file(report.used, folder):
        path = folder / used.path
        positions = () if used.recorded else tuple(sorted({*range(used.interactions)} - {*used.played}))
        now = present.digest(path) if positions else ""
        if now and now != used.digest:
            changed.append(path)
        elif now and not present.is_ours(path):
            kept.append(Kept(path, _FOREIGN))
        elif now:
            unused.append(Leftover(path, positions, used.interactions, now))
    if orphans:
        for found in _orphans(report, present):
            if isinstance(found, Kept):
                kept.append(found)
            else:
                unused.append(found)
    return Leftovers(
        tuple(sorted(unused, key=lambda item: item.path)), tuple(sorted(changed)), tuple(sorted(kept))
    )


def _by_file(used: Iterable[UsedCassette], folder: Path) -> Iterator[UsedCassette]:
    # One file may have several names, such as a link's and its own: what was played under one counts for all.
    def real(one: UsedCassette) -> str:
        return os.path.realpath(folder / one.path)

    for _, same in groupby(sorted(used, key=real), key=real):
        each = sorted(same, key=lambda one: one.path)
        yield UsedCassette(
            path=each[0].path,
            interactions=max(one.interactions for one in each),
            played=tuple({place for one in each for place in one.played}),
            digest=each[0].digest,
            recorded=any(one.recorded for one in each),
        )


def _orphans(report: RunReport, present: Folder) -> Iterator[Leftover | Kept]:
    folder = Path(report.folder)
    opened = {os.path.realpath(folder / used.path) for used in report.used}
    listed = {folder / file.path: file.digest for file in report.files}
    for path in present.files:
        if os.path.realpath(path) in opened:
            continue
        digest = present.digest(path)
        if not present.is_ours(path):
            yield Kept(path, _FOREIGN)
        elif listed.get(path) != digest:
            yield Kept(path, _NEWER)
        elif digest:
            yield Leftover(path, (), None, digest)
