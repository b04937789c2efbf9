"""Writes of many attempts in one transaction: a commit costs the disk the same, whatever it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from jobs.database import Database
from jobs.errors import StorageError
from jobs.together import Together

P = ParamSpec("P")
T = TypeVar("T")

#: Writes in one transaction; the rest goes with the next.
MOST = 200


class _Write:
    """One write, and what came of it."""

    __slots__ = ("done", "error", "value", "work")

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.done = False
        self.value: Any = None
        self.error: Exception | None = None

    def end(self, value: Any = None, error: Exception | None = None) -> None:
        self.value, self.error, self.done = value, error, True


class GroupCommit:
    """Commits what has gathered while the last commit was under way. One for each event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writes = Together(self._commit, most=MOST)

    async def write(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(connection, ...)` in a transaction and give what it returns, once that is committed.

        It may share the transaction with others, and is run again alone if one of them fails: it must do nothing but read
        and write rows. Cancelling waits until it is done.

        Raises:
            StorageError: The database failed, and nothing is written.
            ConfigError: Its tables are missing.
        """
        write = _Write(lambda connection: work(connection, *args, **kwargs))
        await self._writes.do(write)
        if write.error is not None:
            raise write.error
        value: T = write.value
        return value

    def _commit(self, batch: Sequence[_Write]) -> None:
        if len(batch) > 1:
            try:
                values = self._database.write(_run_all, batch)
            except StorageError as error:
                # It is away, and would be for each of them, one time-out after the other.
                for write in batch:
                    write.end(error=error)
                return
            except Exception:  # noqa: BLE001 - each is told its own error below
                values = []
            for write, value in zip(batch, values, strict=False):
                write.end(value)
        for write in batch:
            if not write.done:
                self._commit_alone(write)

    def _commit_alone(self, write: _Write) -> None:
        try:
            write.end(self._database.write(write.work))
        except Exception as error:  # noqa: BLE001 - raised where the write was asked for
            write.end(error=error)


def _run_all(connection: Connection, batch: Sequence[_Write]) -> list[Any]:
    return [write.work(connection) for write in batch]
