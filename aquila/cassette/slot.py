"""The place of one interaction in its file, and how the places of a recorder and a changed file become one list."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from aquila.cassette.file.format import digest
from aquila.cassette.holding import Verdict
from aquila.cassette.interaction import Interaction
from aquila.cassette.mode import Mode

#: What tells a recorded interaction from all others, also once it was written and read again.
Mark = tuple[object, ...]


class Slot:
    """The place of one interaction; empty until the answer has ended."""

    __slots__ = ("interaction", "mode", "replaces", "saved", "seq", "taken_from", "text", "verdict")

    def __init__(
        self,
        seq: int,
        *,
        interaction: Interaction | None = None,
        replaces: Slot | None = None,
        taken_from: deque[Slot] | None = None,
        mode: Mode | None = None,
        verdict: Verdict | None = None,
    ) -> None:
        self.seq = seq
        self.interaction = interaction
        #: The slot this one takes the place of once it is finished; None again when that is written.
        self.replaces = replaces
        #: Where that one was taken from, and goes back to if nothing is recorded.
        self.taken_from = taken_from
        #: The mode of the cassette that records it; None outside of one.
        self.mode = mode
        #: The interaction as the file has it.
        self.saved: Interaction | None = None
        #: The interaction as YAML, written once.
        self.text: str | None = None
        #: The verdict on the test it is recorded in; None if it does not depend on one.
        self.verdict = verdict

    @property
    def waits(self) -> bool:
        """Whether it must not reach the file yet."""
        return self.verdict is not None and self.verdict.passed is None

    @property
    def is_dropped(self) -> bool:
        """Whether it must never reach the file: the test it was recorded in has failed."""
        return self.verdict is not None and self.verdict.passed is False

    @property
    def is_pending(self) -> bool:
        """Whether the file lacks it: it is unfinished, or not written as it is now."""
        return self.interaction is None or self.saved is not self.interaction

    @property
    def takes_over(self) -> Interaction | None:
        """The interaction of the file whose place this one, finished, has taken."""
        return self.replaces.saved if self.replaces is not None and self.interaction is not None else None

    @property
    def standing(self) -> Slot | None:
        """What the file is to hold in this place now; None for nothing."""
        if self.waits or self.is_dropped:
            return self.replaces if self.interaction is not None else None
        return self if self.interaction is not None else None

    @property
    def begins_file(self) -> bool:
        """Whether it is reason enough to make the file."""
        if self.interaction is None:
            return False
        return self.mode != "once" or self.interaction.is_settled

    def fill(self, interaction: Interaction, text: str | None = None) -> None:
        """Put an interaction in, under the slot's number."""
        if interaction.seq != self.seq:
            interaction, text = replace(interaction, seq=self.seq), None
        self.interaction, self.text = interaction, text


def mark(interaction: Interaction) -> Mark:
    """Give what an interaction is recognised by."""
    return (
        interaction.key, interaction.seq, interaction.recorded_at, interaction.head_ms, interaction.total_ms,
        interaction.status, interaction.end, digest(interaction.body),
    )  # fmt: skip


def merge(slots: Sequence[Slot], found: Iterable[Interaction]) -> list[Slot]:
    """Bring what a file holds now and what is still to be written into one list.

    The file decides about what was written: what somebody took out of it stays out, what somebody added is kept. What is
    to be written stands before what this process began after it, else at the end.

    Args:
        slots: The places so far.
        found: The file's interactions, in order.
    """
    waiting: dict[Mark, deque[Slot]] = {}
    for slot in slots:
        written = slot.saved or slot.takes_over
        if written is not None:
            waiting.setdefault(mark(written), deque()).append(slot)
    merged = []
    for number, interaction in enumerate(found):
        known = waiting.get(mark(interaction))
        merged.append(known.popleft() if known else _read(number, interaction))
    for number in reversed(range(len(slots))):
        if slots[number].is_pending and slots[number] not in merged:
            later = next((slot for slot in slots[number + 1 :] if slot in merged), None)
            merged.insert(len(merged) if later is None else merged.index(later), slots[number])
    _renumber(merged)
    return merged


def next_seq(slots: Iterable[Slot]) -> int:
    """Give the number of the request that starts next."""
    return max((slot.seq for slot in slots), default=-1) + 1


def _read(number: int, interaction: Interaction) -> Slot:
    slot = Slot(number if interaction.seq is None else interaction.seq, interaction=interaction)
    slot.saved = interaction
    return slot


def _renumber(slots: Sequence[Slot]) -> None:
    # Two processes count alike; what is written keeps its number.
    taken = {slot.seq for slot in slots if not slot.is_pending}
    pending = [slot for slot in slots if slot.is_pending and slot.replaces is None]
    if not taken.isdisjoint(slot.seq for slot in pending):
        for seq, slot in enumerate(pending, start=max(taken) + 1):
            slot.seq = seq
            if slot.interaction is not None:
                slot.fill(slot.interaction)
