"""The newest records of one live stream, kept once for all of this loop's readers of it. No I/O."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from weakref import WeakSet

import anyio

from jobs.cursor import Position, format_position, parse_position

#: What a tail holds at most for readers that are behind; one that needs older records reads them from Redis.
MAX_RECORDS = 512
MAX_BYTES = 1_000_000
#: Records that everybody has read and that are kept all the same, so that not every batch is cleared at once.
SPARE = 32


class Record(NamedTuple):
    """One entry of a live stream, as Redis gave it."""

    position: Position
    kind: str
    attempt: int
    #: JSON.
    data: bytes
    #: Where each of the fragments begins of which it was joined; None if it is as it was written.
    marks: bytes | None = None


def parse_record(key: bytes, fields: Mapping[bytes, bytes]) -> Record:
    """Read an entry as `jobs.live` and `jobs.snapshot` write it: its kind, with attempt and JSON."""
    kind, said = next(iter(fields.items()))
    attempt, _, data = said.partition(b" ")
    return Record(parse_position(key), kind.decode(), int(attempt), data, fields.get(b"marks"))


class TailReader:
    """Somebody who reads a tail."""

    def __init__(self, key: bytes, position: Position) -> None:
        #: The stream.
        self.key = key
        #: The last record it has.
        self.position = position
        #: Set while it waits.
        self.waiting: anyio.Event | None = None

    def wake(self) -> None:
        """Let it look again, if it waits."""
        if self.waiting is not None:
            self.waiting.set()


class Tail:
    """Every record behind `floor`, up to `last`. Nobody's slowness makes it grow without bound."""

    def __init__(self, start: Position) -> None:
        #: Records up to here are not held.
        self.floor = start
        #: The last record that has come.
        self.last = start
        #: The same as Redis writes it.
        self.last_id = format_position(start).encode()
        #: Weak: a reader that is dropped without being closed is read for no longer.
        self.readers: WeakSet[TailReader] = WeakSet()
        self._records: list[Record] = []
        self._positions: list[Position] = []
        self._bytes = 0

    def take(self, records: Sequence[Record], last_id: bytes) -> None:
        """Add what has come, in its order, and wake the readers."""
        self._records += records
        self._positions += [record.position for record in records]
        self._bytes += sum(len(record.data) for record in records)
        self.last, self.last_id = self._positions[-1], last_id
        if len(self._records) > SPARE:
            self._trim()
        for reader in list(self.readers):
            reader.wake()

    def after(self, position: Position, limit: int) -> list[Record] | None:
        """Give the records behind `position`; None if some of them are not held any more."""
        if position < self.floor:
            return None
        start = bisect_right(self._positions, position)
        return self._records[start : start + limit]

    def _trim(self) -> None:
        slowest = min((reader.position for reader in self.readers), default=self.last)
        self._drop(bisect_right(self._positions, slowest))
        while len(self._records) > MAX_RECORDS or (self._bytes > MAX_BYTES and self._records):
            self._drop((len(self._records) + 1) // 2)

    def _drop(self, count: int) -> None:
        if count:
            self.floor = self._positions[count - 1]
            self._bytes -= sum(len(record.data) for record in self._records[:count])
            del self._records[:count], self._positions[:count]
