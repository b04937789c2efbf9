"""What this process has recorded into cassettes: several calls that name the same one make one recording.

Hence `once` goes on with the file it began, `rewrite` empties a file one time, and `all` replaces what was there before
and never what it recorded itself. The processes of a test run tell each other what they have rewritten.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

from aquila.cassette.interaction import Interaction
from aquila.cassette.journal import JOURNAL
from aquila.cassette.mode import Mode
from aquila.cassette.slot import Mark, mark

_begun: set[Path] = set()
_rewritten: set[Path] = set()
_renewed: dict[Path, set[Mark]] = {}


def has_begun(path: Path) -> bool:
    """Tell whether this process made the file in mode `once`."""
    return path.resolve() in _begun


def has_rewritten(path: Path) -> bool:
    """Tell whether this process, or another one of its test run, has emptied the file in mode `rewrite`."""
    return path.resolve() in _rewritten or JOURNAL.has_rewritten(path)


def renewed(path: Path) -> AbstractSet[Mark]:
    """Give what this process recorded to the file in mode `all`."""
    return _renewed.get(path.resolve(), frozenset())


def note_saved(path: Path, mode: Mode | None) -> None:
    """Remember that a recording in a mode has reached the file."""
    if mode == "once":
        _begun.add(path.resolve())


def note_recorded(path: Path, mode: Mode | None, interaction: Interaction | None) -> None:
    """Remember an interaction that this process has recorded, whether it is in the file already or not."""
    if mode == "all" and interaction is not None:
        _renewed.setdefault(path.resolve(), set()).add(mark(interaction))


def forget(path: Path, interaction: Interaction) -> None:
    """Remember it no more: it will not reach the file."""
    _renewed.get(path.resolve(), set()).discard(mark(interaction))


def note_rewritten(path: Path) -> None:
    """Remember that what the file held before is gone."""
    _rewritten.add(path.resolve())
    JOURNAL.note("rewritten", path)
