"""The recording side of a cassette file: one object for each path in a process, so that no recorder loses another's work.

A place is reserved when a request starts, so that the file keeps the order of requests whatever answer ends first; the
file is written after each finished interaction. What other processes have written meanwhile is kept.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

from aquila.cassette import session
from aquila.cassette.file.disk import Signature, make_folder, read, signature, write
from aquila.cassette.file.exclusive import exclusive
from aquila.cassette.file.format import assemble, render
from aquila.cassette.file.leftovers import remove_leftovers
from aquila.cassette.holding import Verdict, partial
from aquila.cassette.interaction import Interaction
from aquila.cassette.matching.match import recorded_key
from aquila.cassette.matching.rules import Rules
from aquila.cassette.mode import Mode
from aquila.cassette.slot import Mark, Slot, mark, merge, next_seq
from aquila.errors import CassetteError

#: Recorded interactions that may be replaced by equal ones, by digest.
Replaceable = dict[str, deque[Slot]]


class _Old(NamedTuple):
    """What rewriting takes out of the file with its first save."""

    state: Signature | None
    marks: AbstractSet[Mark]


class Store:
    """All interactions of one file. Safe to use from many tasks and threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Guards what is in memory. It is never held while a file is written: an event loop may wait for it.
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._slots: list[Slot] = []
        self._state: Signature | None = None
        #: None when nothing is being rewritten.
        self._old: _Old | None = None
        self._is_tidy = False

    def refresh(self, *, empty: bool) -> None:
        """Read the file again if it has changed and nothing is being recorded.

        Args:
            empty: Begin with no interaction instead; the file stays as it is until the first save in mode `rewrite`.

        Raises:
            CassetteError: The file is broken, or its folder cannot be written to.
        """
        make_folder(self.path)
        with self._lock:
            if empty and self._old is None:
                self._old = _old(self.path)
                self._slots, self._state = [slot for slot in self._slots if slot.is_pending], None
            if any(slot.is_pending for slot in self._slots):
                return  # Saving does it.
            state = signature(self.path)
            if not empty and state != self._state:
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
        self, key: str, replaceable: Replaceable, *, mode: Mode | None = None, verdict: Verdict | None = None
    ) -> Slot:
        """Take a place for a request that starts now: that of an equal interaction, else one at the end.

        Args:
            key: The request's, by the recorder's rules.
            replaceable: What may be replaced.
            mode: The recorder's.
            verdict: What the recording waits for; None if it is written at once.
        """
        with self._lock:
            equals = replaceable.get(key)
            replaces = equals.popleft() if equals else None
            seq = replaces.seq if replaces else next_seq(self._slots)
            slot = Slot(seq, replaces=replaces, taken_from=equals, mode=mode, verdict=verdict)
            self._slots.append(slot)
            return slot

    def release(self, slot: Slot) -> None:
        """Give a place back: nothing was answered that could be recorded. The next equal request may have it."""
        with self._lock:
            if slot.interaction is None and slot in self._slots:
                self._slots.remove(slot)
                _give_back(slot, self._slots)

    def finish(self, slot: Slot, interaction: Interaction) -> None:
        """Fill a place and write the file. An abandoned answer that ends after all fills its place again.

        Nothing is written as long as there is no file and no interaction is reason enough to make one.

        Raises:
            CassetteError: The file cannot be written; the interaction is kept in memory for the next save.
        """
        numbered = replace(interaction, seq=slot.seq)
        text = render(numbered)
        with self._lock:
            if slot.is_dropped:
                self._slots = [other for other in self._slots if other is not slot]
                return
            slot.fill(numbered, text)
            if slot not in self._slots:
                self._slots.append(slot)
            if slot.replaces in self._slots:
                self._slots.remove(slot)
                self._slots[self._slots.index(slot.replaces)] = slot
        self.save(slot)

    def save(self, slot: Slot) -> None:
        """Write the file, unless a place in it is written already.

        Raises:
            CassetteError: The file cannot be written.
        """
        with self._saving:
            if not slot.is_pending:
                return  # A save that started later has written this change too.
            if slot.verdict is not None and slot.verdict.hold.add(self, slot.verdict):
                with self._lock:
                    session.note_recorded(self.path, slot.mode, slot.interaction)
                self._write(partial(self.path), rewrites=True)
            elif slot.is_dropped:
                self._leave_out(slot)
            else:
                self._write(self.path, rewrites=slot.mode == "rewrite")

    def keep(self) -> None:
        """Write what was held back while the verdict was out.

        Raises:
            CassetteError: The file cannot be written.
        """
        with self._saving:
            with self._lock:
                kept = [slot for slot in self._slots if slot.is_pending and slot.standing is slot]
            self._write(self.path, rewrites=any(slot.mode == "rewrite" for slot in kept))
            with suppress(OSError):  # It is superfluous now; that it cannot be removed harms nobody.
                partial(self.path).unlink(missing_ok=True)

    def drop(self) -> int:
        """Forget what was held back, and give how many recordings that were. What does not wait is recorded on."""
        with self._saving, self._lock:
            dropped = [found for slot in self._slots if slot.is_dropped and (found := slot.interaction)]
            for interaction in dropped:
                session.forget(self.path, interaction)
            # What it held stands in the file, which is read again when somebody asks.
            self._slots = [slot for slot in self._slots if slot.is_pending and not slot.is_dropped]
            self._state = None
            if not any(slot.mode == "rewrite" for slot in self._slots):
                self._old = None
            return len(dropped)

    def withdraw(self, slots: Iterable[Slot]) -> None:
        """Forget those of the interactions that waited for a reason to make the file and found none."""
        with self._lock:
            for slot in slots:
                if slot in self._slots and slot.saved is None and not slot.begins_file:
                    self._slots.remove(slot)

    def _write(self, target: Path, *, rewrites: bool) -> None:
        with exclusive(self.path):
            old = self._old_ones() if rewrites else None
            self._catch_up(old)
            marks = old.marks if old is not None else frozenset()
            with self._lock:
                shown = [
                    slot for slot in self._shown(waiting=target != self.path) if not _is_old(slot, marks)
                ]
                if self._state is None and not any(slot.begins_file for slot in shown):
                    return
                written = [(slot, slot.interaction) for slot in shown if slot.interaction is not None]
                text = assemble(_texts(slot for slot, _ in written))
            write(target, text, like=self.path)
            if target != self.path:
                return
            state = signature(self.path)
            if old is not None:
                session.note_rewritten(self.path)
            if state is not None and not self._is_tidy:
                self._is_tidy = True
                remove_leftovers(self.path.parent, state.changed_at)
        with self._lock:
            self._state = state
            self._slots = [slot for slot in self._slots if not _is_old(slot, marks)]
            self._old = None if rewrites else self._old
            self._note(written)

    def _old_ones(self) -> _Old | None:
        """Give what rewriting takes out; None if another process of the test run was first."""
        return self._old if self._old is not None and not session.has_rewritten(self.path) else None

    def _leave_out(self, slot: Slot) -> None:
        with self._lock:
            if slot in self._slots:  # Else `drop` has counted it.
                self._slots.remove(slot)
                self._state = slot.interaction = None

    def _catch_up(self, old: _Old | None) -> None:
        state = signature(self.path)
        if state == self._state or (old is not None and state == old.state):
            return
        found = read(self.path) or ()
        with self._lock:
            self._slots, self._state = merge(self._slots, found), state

    def _shown(self, *, waiting: bool) -> Iterator[Slot]:
        for slot in self._slots:
            shown = slot if waiting and not slot.is_dropped else slot.standing
            if shown is not None:
                yield shown

    def _note(self, written: Iterable[tuple[Slot, Interaction]]) -> None:
        for slot, interaction in written:
            if slot.saved is not interaction:
                slot.saved, slot.replaces = interaction, None
                session.note_recorded(self.path, slot.mode, interaction)
                session.note_saved(self.path, slot.mode)


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


def _old(path: Path) -> _Old:
    state = signature(path)
    try:
        found = read(path) or ()
    except CassetteError:
        found = ()  # What is broken is rewritten as it is, unless somebody repairs it meanwhile.
    return _Old(state, frozenset(map(mark, found)))


def _is_old(slot: Slot, marks: AbstractSet[Mark]) -> bool:
    return bool(marks) and slot.saved is not None and not slot.is_pending and mark(slot.saved) in marks


def _give_back(slot: Slot, slots: Sequence[Slot]) -> None:
    queue, old = slot.taken_from, slot.replaces
    if queue is None or old is None:
        return
    # Several may come back in any order; they are taken again in that of the file.
    places = {id(other): place for place, other in enumerate(slots)}
    mine = places.get(id(old), -1)
    queue.insert(sum(places.get(id(other), -1) < mine for other in queue), old)
