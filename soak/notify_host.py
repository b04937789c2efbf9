"""A host: a process that triggers in transactions of its own, and whose users read; it keeps a book of what it did.

`python -m soak.notify_host NUMBER HOSTS COUNT SECONDS`; its book is `host-NUMBER` in the soak's folder, a line of JSON for each fact.
"""

from __future__ import annotations

import heapq
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

import chimeway
import jobs
from aquila.errors import AquilaError
from chimeway import store
from chimeway.in_app.marks import mark_read
from chimeway.tables import notifications
from chimeway.trigger import Triggered
from jobs.broker import runtime
from soak.moved_clock import MovedClock, machine_time
from soak.notifiers import FOLDER, READ, SEED, Journey
from soak.notify_orders import Order, ReadKind, draw_orders, draw_read

#: Seconds that SQLite waits for its lock: a worker may be paused while it has it.
BUSY = 30.0
#: Seconds between two looks at the clock, and between two tries.
PAUSE = 0.05
#: The part of those who read when waits end that do so at once, and seconds in which the others do.
AT_ONCE, BEHIND = 0.5, 4.0


class Book:
    """What this host did, in a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self._lock = threading.Lock()

    def note(self, what: str, **facts: Any) -> None:
        """Add a fact."""
        with self._lock:
            self._file.write(json.dumps({"what": what, "at": machine_time(), **facts}) + "\n")


@dataclass(slots=True)
class Readers:
    """The users: they read some of what they are told, each at a time of its own."""

    clock: MovedClock
    book: Book
    chance: random.Random
    engine: Engine
    #: Events of many, whose notifications jobs are still to plan, and how many there will be.
    expected: list[tuple[str, int]] = field(default_factory=list)
    _due: list[tuple[float, str, str]] = field(default_factory=list)
    _at_the_jump: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last_look: float = 0.0

    def told(self, told: list[tuple[str, str]]) -> None:
        """Take notifications and their recipients."""
        with self._lock:
            for notification_id, recipient in told:
                self.book.note("notified", notification=notification_id)
                if (drawn := draw_read(self.chance)) is not None:
                    self._plan(*drawn, notification_id, recipient)

    def run(self, stopped: threading.Event) -> None:
        """Read, until told to stop and nothing is left to be read."""
        offset = self.clock.offset()
        while True:
            self._look_for_many()
            before, offset = offset, self.clock.offset()
            with self._lock:
                ready = self._ready(jumped=offset != before)
                empty = not (self._due or self._at_the_jump or self.expected)
            for notification_id, recipient in ready:
                self._read(notification_id, recipient)
            if stopped.is_set() and empty and not ready:
                return
            time.sleep(PAUSE)

    def _plan(self, kind: ReadKind, after: float, notification_id: str, recipient: str) -> None:
        if kind == "at the jump":
            self._at_the_jump.append((notification_id, recipient))
        else:
            heapq.heappush(self._due, (time.monotonic() + after, notification_id, recipient))

    def _ready(self, *, jumped: bool) -> list[tuple[str, str]]:
        ready: list[tuple[str, str]] = []
        while self._due and self._due[0][0] <= time.monotonic():
            ready.append(heapq.heappop(self._due)[1:])
        if jumped:
            # The waits that are over at this moment are being ended: some read before that is done, some behind it.
            for told in self._at_the_jump:
                if self.chance.random() < AT_ONCE:
                    ready.append(told)
                else:
                    heapq.heappush(self._due, (time.monotonic() + self.chance.uniform(0.0, BEHIND), *told))
            self._at_the_jump.clear()
        return ready

    def _look_for_many(self) -> None:
        if not self.expected or time.monotonic() < self._last_look + 1.0:
            return
        self._last_look = time.monotonic()
        for event_id, count in list(self.expected):
            query = select(notifications.c.id, notifications.c.recipient_identity).where(
                notifications.c.event_id == event_id
            )
            found = insist(lambda query=query: store.read(lambda c: c.execute(query).all()))
            if len(found) >= count:
                self.expected.remove((event_id, count))
                self.told([(str(row[0]), str(row[1])) for row in found])

    def _read(self, notification_id: str, recipient: str) -> None:
        way = self.chance.choice(("mark", "mark in a transaction", "track", "track twice"))
        self.book.note("reads", notification=notification_id)
        insist(lambda: self._do_read(way, notification_id, recipient))
        self.book.note("read", notification=notification_id)

    def _do_read(self, way: str, notification_id: str, recipient: str) -> None:
        payload = {"notification_id": notification_id}
        match way:
            case "mark":
                mark_read(recipient, notification_id)
            case "mark in a transaction":
                with Session(self.engine) as session, session.begin():
                    mark_read(recipient, notification_id, session=session)
            case "track":
                chimeway.track("default", recipient, READ, payload)
            case _:
                for _ in range(2):
                    chimeway.track("default", recipient, READ, payload, dedup_key=f"read-{notification_id}")


@dataclass(slots=True)
class Host:
    """Gives the orders."""

    number: int
    engine: Engine
    book: Book
    readers: Readers

    def give(self, order: Order) -> None:
        """Give an order; once more if the database was away, which its key makes harmless."""
        insist(lambda: self._give(order))

    def _give(self, order: Order) -> None:
        name = f"host-{self.number}-order-{order.number}"
        people = [f"{name}-{person}" for person in range(order.recipients)]
        match order.kind:
            case "own":
                self._added(Journey.trigger(people, {"title": name}, idempotency_key=name), people)
            case "twice":
                self._twice(name, people)
            case "savepoint":
                self._savepoint(name, people)
            case _:
                with self._transaction(commits=order.commits) as session:
                    done = Journey.trigger(people, {"title": name}, idempotency_key=name, session=session)
                if order.commits:
                    self._added(done, people)
                else:
                    self.book.note("undone", event=done.event.event_id)

    def _savepoint(self, name: str, people: list[str]) -> None:
        with self._transaction() as session:
            done = Journey.trigger(people, {"title": name}, idempotency_key=name, session=session)
            inner = session.begin_nested()
            gone = Journey.trigger(people, {"title": name}, idempotency_key=f"{name}-gone", session=session)
            inner.rollback()
        self._added(done, people)
        self.book.note("undone", event=gone.event.event_id)

    def _twice(self, name: str, people: list[str]) -> None:
        with self._transaction() as session:
            first = Journey.trigger(people, {"title": name}, idempotency_key=name, session=session)
            within = Journey.trigger(people, {"title": name}, idempotency_key=name, session=session)
        after = Journey.trigger(people, {"title": name}, idempotency_key=name, on_duplicate="redrive")
        self._added(first, people)
        if not within.duplicate or not after.duplicate or within.event != after.event:
            self.book.note("doubled", event=first.event.event_id)

    @contextmanager
    def _transaction(self, *, commits: bool = True) -> Iterator[Session]:
        with Session(self.engine) as session:
            yield session
            if commits:
                session.commit()
            else:
                session.rollback()

    def _added(self, done: Triggered, people: list[str]) -> None:
        self.book.note("committed", event=done.event.event_id, recipients=len(people))
        if done.notifications:
            self.readers.told([(one.notification_id, one.recipient_identity) for one in done.notifications])
        else:
            self.readers.expected.append((done.event.event_id, len(people)))


def insist(work: Callable[[], Any]) -> Any:
    """Do it until the database answers."""
    while True:
        try:
            return work()
        except (SQLAlchemyError, AquilaError) as error:
            print(f"once more: {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
            time.sleep(PAUSE)


def make_engine() -> Engine:
    """Give an engine of the host's own to the database of the jobs, as SQLAlchemy's documentation makes one for savepoints."""
    used = runtime()
    is_sqlite = not used.database().locks_rows
    engine = create_engine(
        used.settings.database_url, pool_pre_ping=True, connect_args={"timeout": BUSY} if is_sqlite else {}
    )
    if is_sqlite:
        event.listen(engine, "connect", lambda opened, _: setattr(opened, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def main(number: int, hosts: int, count: int, seconds: float) -> None:
    """Give this host's share of the orders, and let its users read."""
    folder, seed = Path(os.environ[FOLDER]), int(os.environ[SEED])
    book, engine = Book(folder / f"host-{number}"), make_engine()
    chance = random.Random(f"{seed} {number}")  # noqa: S311 - it must be repeatable
    readers = Readers(MovedClock(folder / "clock"), book, chance, engine)
    host = Host(number, engine, book, readers)
    stopped = threading.Event()
    reading = threading.Thread(target=readers.run, args=(stopped,))
    reading.start()
    began = time.monotonic()
    for order in draw_orders(count, seed)[number::hosts]:
        time.sleep(max(0.0, began + order.at * seconds - time.monotonic()))
        host.give(order)
    book.note("given")
    stopped.set()
    reading.join()
    book.note("done")
    engine.dispose()
    jobs.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
