"""A host beside the jobs: adds some in transactions of its own, and sends some that may be there once only."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio
from anyio import to_thread
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

import jobs
from jobs.broker import runtime
from jobs.errors import StorageError
from jobs.handle import JobHandle
from soak.actors import square
from soak.patience import PAUSE, patient

#: Seconds that SQLite waits for its lock: a worker may be paused while it has it.
BUSY = 15.0
#: Senders of one unique key at the same time, and seconds for which the key is taken.
RIVALS, KEPT = 3, 600.0


@dataclass(slots=True)
class Host:
    """A program that knows nothing of the jobs but `enqueue` and `send`."""

    #: Ids of jobs whose transactions were rolled back.
    undone: list[str] = field(default_factory=list)
    #: Keys with which more than one job was added.
    doubled: list[str] = field(default_factory=list)
    _engine: Engine | None = None

    async def commit(self, number: int, seconds: float) -> JobHandle:
        """Add a job in a transaction and commit it; again if the database was away."""
        return await self._transact(number, seconds, commits=True)

    async def roll_back(self, number: int, seconds: float) -> None:
        """Add a job in a transaction and roll it back."""
        self.undone.append((await self._transact(number, seconds, commits=False)).job_id)

    async def rival(self, number: int, seconds: float) -> JobHandle:
        """Send a job several times at once with one key."""
        handles: list[JobHandle] = []
        sender = square.options(unique=jobs.Unique(f"only-{number}", seconds=KEPT))

        async def send() -> None:
            handles.append(await patient(sender.asend, number, seconds))

        async with anyio.create_task_group() as group:
            for _ in range(RIVALS):
                group.start_soon(send)
        if len(handles) != RIVALS or len({handle.job_id for handle in handles}) != 1:
            self.doubled.append(f"only-{number}: {sorted(handle.job_id for handle in handles)}")
        return handles[0]

    def close(self) -> None:
        """Close what this has opened."""
        if self._engine is not None:
            self._engine.dispose()

    async def _transact(self, number: int, seconds: float, *, commits: bool) -> JobHandle:
        while True:
            try:
                return await to_thread.run_sync(self._try, number, seconds, commits)
            except (SQLAlchemyError, StorageError):
                # A commit without an answer may have been one: then there is a job more, which nobody asks for.
                await anyio.sleep(PAUSE)

    def _try(self, number: int, seconds: float, commits: bool) -> JobHandle:  # noqa: FBT001 - called in a thread
        with Session(self._opened()) as session:
            handle = jobs.enqueue(session, square.message(number, seconds))
            if commits:
                session.commit()
            else:
                session.rollback()
        return handle

    def _opened(self) -> Engine:
        if self._engine is None:
            used = runtime()
            waits = {} if used.database().locks_rows else {"timeout": BUSY}
            self._engine = create_engine(used.settings.database_url, pool_pre_ping=True, connect_args=waits)
        return self._engine
