"""What an attempt has said and what of it its live stream was not told yet. No I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from jobs.live import FRAGMENTS, TOTALS, Entry, Fragments, Source


class Unsent(ABC):
    """Takes the events of one attempt; `take` gives what is to be sent next.

    There is one for every attempt and one call for every token, so it has neither a dict nor more than it needs.
    """

    __slots__ = ("_begun", "_spoken", "attempt", "ending", "lost", "opened", "pending")

    def __init__(self, attempt: int) -> None:
        #: The attempt's number.
        self.attempt = attempt
        #: Readers know that the attempt has begun.
        self.opened = False
        #: What has to be said again because Redis lost it, or was never told.
        self.lost = False
        self.pending: list[Entry | Fragments] = []
        #: The event that ends the stream, once it is known.
        self.ending: Entry | None = None
        #: The texts of the answers, in the order in which they came; those of one run that follow one another together.
        self._spoken: list[tuple[str | None, list[str]]] = []
        #: What has been begun to be said. An empty set is three times as large, and most attempts wait.
        self._begun: dict[Source, None] = {}

    @abstractmethod
    def changed(self, *, urgent: bool) -> None:
        """Hear that something is to be sent: at once, or when further fragments had time to come."""

    @property
    def text(self) -> str:
        """The text of the attempt so far: what its runs said, in the order in which it came."""
        return "".join([text for _, texts in self._spoken for text in texts])

    def append(self, type_: str, data: dict[str, Any]) -> None:
        """Add an event. The first of its kind goes out at once, further fragments in batches."""
        if type_ in FRAGMENTS:
            self.add_text((type_, data.get("run"), data.get("call_id")), data["text"])
            return
        entry = Entry(type_, self.attempt, data)
        urgent = True
        if type_ in TOTALS:
            urgent = self._begins(entry.source)
            self.pending = [known for known in self.pending if known.source != entry.source]
        self.pending.append(entry)
        self.changed(urgent=urgent)

    def add_text(self, source: Source, text: str) -> None:
        """Add a fragment; what nearly every one of them needs stays free of calls.

        Args:
            source: What it is a piece of.
            text: The piece.
        """
        if source[0] == "chunk":
            spoken = self._spoken
            if spoken and spoken[-1][0] == source[1]:
                spoken[-1][1].append(text)
            else:
                spoken.append((source[1], [text]))
        pending = self.pending
        if pending:
            last = pending[-1]
            if type(last) is Fragments and last.source == source:
                # It is known already that this is to be sent.
                last.texts.append(text)
                return
        pending.append(Fragments(source, self.attempt, [text]))
        self.changed(urgent=self._begins(source))

    def take(self) -> list[Entry | Fragments]:
        """Take what is to be sent next: the pending events, behind a new beginning if readers need one."""
        entries, self.pending = self.pending, []
        if self.ending is not None:
            entries.append(self.ending)
        if self.opened and not self.lost:
            return entries
        begin = Entry("attempt", self.attempt, {"attempt": self.attempt})
        if not self.lost:
            return [begin, *entries]
        # All of the text is said again, so that a reader who starts over misses none and reads none twice.
        again = [Fragments(("chunk", run, None), self.attempt, texts) for run, texts in self._spoken]
        return [begin, *again, *(entry for entry in entries if entry.source[0] != "chunk")]

    def _begins(self, source: Source) -> bool:
        begins = source not in self._begun
        if begins:
            self._begun[source] = None
        return begins
