"""The recording side of a cassette file: one object for each path in a process, so that no recorder loses another's work.

A place is reserved when a request starts, so that the file keeps the order of requests whatever answer ends first; the
file is written after each finished interaction. What other processes have written meanwhile is kept.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from weakref import WeakValueDictionary

from aquila.cassette import session
from aquila.cassette.file.disk import Signature, make_folder, read, signature, write
from aquila.cassette.file.exclusive import exclusive
from aquila.cassette.file.format import assemble, render
from aquila.cassette.holding import holding, partial
from aquila.cassette.interaction import Interaction
from aquila.cassette.matching.match import recorded_key
from aquila.cassette.matching.rules import Rules
from aquila.cassette.mode import Mode
from aquila.cassette.slot import Mark, Slot, mark, merge, next_seq

#: Recorded interactions that may be replaced by equal ones, by digest.
Replaceable = dict[str, deque[Slot]]


class Store:
    """All interactions of one file. Safe to use from many tasks and threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Guards what is in memory. It is never held while a file is written: an event loop may wait for it.
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._slots: list[Slot] = []
        self._state: Signature | None = None
        self._rewriting = False

    def refresh(self, *, empty: bool) -> None:
        """Read the file again if it has changed and nothing is being recorded.

        Args:
            empty: Begin with no interaction instead; the file stays as it is until the first save.

        Raises:
            CassetteError: The file is broken, or its folder cannot be written to.
        """
        make_folder(self.path)
        with self._lock:
            if any(slot.is_pending for slot in self._slots):
                return  # Saving does it.
            state = signature(self.path)
            self._rewriting = empty
            if empty:
                self._slots, self._state = [], None
            elif state != self._state:
                self._slots, self._state = merge(self._slots, read(self.path) or ()), state

    def replaceable(self, rules: Rules, *, but: AbstractSet[Mark] = frozenset()) -> Replaceable:
        """Give the interactions that are there now, for a recorder that replaces equal ones.

        Args:
            rules: Which requests are equal.
            but: Those that must stay.
        """
        found: Replaceable = {}
        with self._lock:
            for slot in self._slots:
                if slot.interaction is not None and not (but and mark(slot.interaction) in but):
                    found.setdefault(recorded_key(slot.interaction, rules), deque()).append(slot)
        return found

    def reserve(
        self, key: str, replaceable: Replaceable, *, mode: Mode | None = None, waits: bool = False
    ) -> Slot:
        """Take a place for a request that starts now: that of an equal interaction, else one at the end."""
        with self._lock:
            equals = replaceable.get(key)
            replaces = equals.popleft() if equals else None
            seq = replaces.seq if replaces else next_seq(self._slots)
            slot = Slot(seq, replaces=replaces, mode=mode, waits=waits)
            self._slots.append(slot)
            return slot

    def release(self, slot: Slot) -> None:
        """Give a place back: nothing was answered that could be recorded."""
        with self._lock:
            if slot.interaction is None:
                self._slots.remove(slot)

    def finish(self, slot: Slot, interaction: Interaction) -> None:
        """Fill a place and write the file. An abandoned answer that ends after all fills its place again.

        Nothing is written as long as there is no file and no interaction is reason enough to make one.

        Raises:
            CassetteError: The file cannot be written; the interaction is kept in memory for the next save.
        """
        if slot.dropped:
            return
        numbered = replace(interaction, seq=slot.seq)
        text = render(numbered)
        with self._lock:
            slot.fill(numbered, text)
            if slot not in self._slots:
                self._slots.append(slot)
            if slot.replaces in self._slots:
                self._slots.remove(slot)
                self._slots[self._slots.index(slot.replaces)] = slot
        self._save(slot)

    def keep(self) -> None:
        """Write what was held back while the verdict was out.

        Raises:
            CassetteError: The file cannot be written.
        """
        with self._saving:
            self._write(self.path)
            with suppress(OSError):  # It is superfluous now; that it cannot be removed harms nobody.
                partial(self.path).unlink(missing_ok=True)

    def drop(self) -> None:
        """Forget what was held back; answers that end later are forgotten too."""
        with self._lock:
            for slot in self._slots:
                slot.dropped = slot.is_pending
                if slot.dropped and slot.interaction is not None:
                    session.forget(self.path, slot.interaction)
            # What it held stands in the file, which is read again when somebody asks.
            self._slots, self._state, self._rewriting = [], None, False

    def withdraw(self, slots: Iterable[Slot]) -> None:
        """Forget those of the interactions that waited for a reason to make the file and found none."""
        with self._lock:
            for slot in slots:
                if slot in self._slots and slot.saved is None and not slot.begins_file:
                    self._slots.remove(slot)

    def _save(self, slot: Slot) -> None:
        held = holding() if slot.waits else None
        with self._saving:
            if not slot.is_pending:
                return  # A save that started later has written this change too.
            if held is None:
                self._write(self.path)
                return
            held.add(self)
            with self._lock:
                session.note_recorded(self.path, slot.mode, slot.interaction)
            self._write(partial(self.path))

    def _write(self, target: Path) -> None:
        with exclusive(self.path):
            self._catch_up()
            with self._lock:
                if self._state is None and not any(slot.begins_file for slot in self._slots):
                    return
                written = [(slot, slot.interaction) for slot in self._slots if slot.interaction is not None]
                text = assemble(_texts(slot for slot, _ in written))
            write(target, text)
            if target != self.path:
                return
            state = signature(self.path)
        with self._lock:
            self._state = state
            self._note(written)

    def _catch_up(self) -> None:
        state = signature(self.path)
        if self._rewriting or state == self._state:
            return
        found = read(self.path) or ()
        with self._lock:
            self._slots, self._state = merge(self._slots, found), state

    def _note(self, written: Iterable[tuple[Slot, Interaction]]) -> None:
        for slot, interaction in written:
            if slot.saved is not interaction:
                slot.saved, slot.replaces = interaction, None
                session.note_recorded(self.path, slot.mode, interaction)
                session.note_saved(self.path, slot.mode)
        if self._rewriting:
            self._rewriting = False
            session.note_rewritten(self.path)


_stores: WeakValueDictionary[Path, Store] = WeakValueDictionary()
_stores_lock = threading.Lock()


def open_store(path: Path, *, rewrite: bool = False) -> Store:
    """Give the process's one store for a path, up to date with the file.

    Args:
        path: The cassette file; its folder is made.
        rewrite: Begin with no interaction, unless this process has rewritten the path already.

    Raises:
        CassetteError: The file is broken, or its folder cannot be written to.
    """
    make_folder(path)
    signature(path)  # What cannot be looked at cannot be resolved either.
    path = path.resolve()
    with _stores_lock:
        store = _stores.setdefault(path, Store(path))
        store.refresh(empty=rewrite and not session.has_rewritten(path))
    return store


def _texts(slots: Iterable[Slot]) -> Iterable[str]:
    for slot in slots:
        if slot.interaction is not None:
            slot.text = slot.text or render(slot.interaction)
            yield slot.text
