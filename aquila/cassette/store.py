"""The recording side of a cassette file: one object for each path in a process, so that no recorder loses another's work.

A place is reserved when a request starts, so that the file keeps the order of requests whatever answer ends first; the
file is written after each finished interaction.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from aquila.cassette.disk import Signature, make_folder, read, signature, write
from aquila.cassette.format import assemble, render
from aquila.cassette.interaction import Interaction


class Slot:
    """The place of one interaction in its file; empty until the answer has ended."""

    __slots__ = ("interaction", "replaces", "seq", "text")

    def __init__(
        self, seq: int, *, interaction: Interaction | None = None, replaces: Slot | None = None
    ) -> None:
        self.seq = seq
        self.interaction = interaction
        #: The slot this one takes the place of once it is finished.
        self.replaces = replaces
        #: The interaction as YAML, written once.
        self.text: str | None = None


#: Recorded interactions that may be replaced by equal ones, by digest.
Replaceable = dict[str, deque[Slot]]


class Store:
    """All interactions of one file. Safe to use from many tasks and threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._slots: list[Slot] = []
        self._state: Signature | None = None
        self._unfinished = 0
        self._rewriting = False
        #: Number of the last change in memory, and of the last one on disk.
        self._changed = 0
        self._saved = 0

    def refresh(self, *, empty: bool) -> None:
        """Read the file again if it has changed and nothing is being recorded.

        Args:
            empty: Begin with no interaction instead; the file stays as it is until the first save.

        Raises:
            CassetteError: The file is broken, or its folder cannot be written to.
        """
        make_folder(self.path)
        with self._lock:
            if self._unfinished or self._saved != self._changed:
                return
            state = signature(self.path)
            self._rewriting = empty
            if empty:
                self._slots = []
            elif state != self._state:
                found = read(self.path) or ()
                self._slots = [_filled(number, interaction) for number, interaction in enumerate(found)]
            self._state = state

    def replaceable(self) -> Replaceable:
        """Give the interactions that are there now, for a recorder that replaces equal ones."""
        found: Replaceable = {}
        with self._lock:
            for slot in self._slots:
                if slot.interaction is not None:
                    found.setdefault(slot.interaction.key, deque()).append(slot)
        return found

    def reserve(self, key: str, replaceable: Replaceable) -> Slot:
        """Take a place for a request that starts now: that of an equal interaction, else one at the end."""
        with self._lock:
            equals = replaceable.get(key)
            replaces = equals.popleft() if equals else None
            seq = replaces.seq if replaces else max((slot.seq for slot in self._slots), default=-1) + 1
            slot = Slot(seq, replaces=replaces)
            self._slots.append(slot)
            self._unfinished += 1
            return slot

    def release(self, slot: Slot) -> None:
        """Give a place back: nothing was answered that could be recorded."""
        with self._lock:
            if slot.interaction is None:
                self._slots.remove(slot)
                self._unfinished -= 1

    def finish(self, slot: Slot, interaction: Interaction) -> None:
        """Fill a place and write the file. An abandoned answer that ends after all fills its place again.

        Raises:
            CassetteError: The file cannot be written; the interaction is kept in memory for the next save.
        """
        numbered = replace(interaction, seq=slot.seq)
        text = render(numbered)
        with self._lock:
            self._unfinished -= slot.interaction is None
            slot.interaction, slot.text = numbered, text
            if slot.replaces in self._slots:
                self._slots.remove(slot)
                self._slots[self._slots.index(slot.replaces)] = slot
            slot.replaces = None
            self._changed += 1
            change = self._changed
        self._save(change)

    def _save(self, change: int) -> None:
        with self._lock:
            if self._saved >= change:
                return  # A save that started later has written this change too.
            saving = self._changed
            write(self.path, assemble(_texts(self._slots)))
            self._saved = saving
            self._state = signature(self.path)
            if self._rewriting:
                _rewritten.add(self.path)


_stores: WeakValueDictionary[Path, Store] = WeakValueDictionary()
_rewritten: set[Path] = set()
_stores_lock = threading.Lock()


def open_store(path: Path, *, rewrite: bool = False) -> Store:
    """Give the process's one store for a path, up to date with the file.

    Args:
        path: The cassette file; its folder is made.
        rewrite: Begin with no interaction, unless this process has rewritten the path already.

    Raises:
        CassetteError: The file is broken, or its folder cannot be written to.
    """
    path = path.resolve()
    with _stores_lock:
        store = _stores.setdefault(path, Store(path))
        store.refresh(empty=rewrite and path not in _rewritten)
    return store


def _filled(number: int, interaction: Interaction) -> Slot:
    return Slot(number if interaction.seq is None else interaction.seq, interaction=interaction)


def _texts(slots: Iterable[Slot]) -> Iterable[str]:
    for slot in slots:
        if slot.interaction is not None:
            slot.text = slot.text or render(slot.interaction)
            yield slot.text
