"""What this process has recorded into cassettes: several calls that name the same one make one recording.

Hence `once` goes on with the file it began, `rewrite` empties a file one time, and `all` replaces what was there before
and never what it recorded itself.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

from aquila.cassette.slot import Mark, Slot, mark

_begun: set[Path] = set()
_rewritten: set[Path] = set()
_renewed: dict[Path, set[Mark]] = {}


def has_begun(path: Path) -> bool:
    """Tell whether this process made the file in mode `once`."""
    return path.resolve() in _begun


def has_rewritten(path: Path) -> bool:
    """Tell whether this process has emptied the file in mode `rewrite`."""
    return path.resolve() in _rewritten


def renewed(path: Path) -> AbstractSet[Mark]:
    """Give what this process recorded to the file in mode `all`."""
    return _renewed.get(path.resolve(), frozenset())


def note_saved(path: Path, slot: Slot) -> None:
    """Remember that a recorded interaction is in the file."""
    if slot.mode == "once":
        _begun.add(path.resolve())
    elif slot.mode == "all" and slot.saved is not None:
        _renewed.setdefault(path.resolve(), set()).add(mark(slot.saved))


def note_rewritten(path: Path) -> None:
    """Remember that what the file held before is gone."""
    _rewritten.add(path.resolve())
