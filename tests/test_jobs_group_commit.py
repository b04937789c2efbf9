from __future__ import annotations

import anyio
import pytest
from job_rows import add, claim, read
from sqlalchemy import Connection, event, text

from jobs import rows
from jobs.claims import Captured, complete
from jobs.database import Database
from jobs.errors import JobNotFound
from jobs.group_commit import GroupCommit

pytest_plugins = ["job_fixtures"]


async def test_writes_that_come_together_share_commits(database: Database) -> None:
    held = [claim(database, add(database)) for _ in range(50)]
    commits: list[object] = []
    event.listen(database.engine, "commit", commits.append)
    writes = GroupCommit(database)
    kept: list[bool] = []

    async def finish(index: int) -> None:
        kept.append(
            await writes.write(complete, held[index], output=str(index), result=index, captured=Captured())
        )

    async with anyio.create_task_group() as group:
        for index in range(50):
            group.start_soon(finish, index)

    assert kept == [True] * 50
    assert [read(database, one.job).result for one in held] == list(range(50))
    assert len(commits) < 60  # Fifty of them are the reads above.


async def test_a_write_that_fails_fails_alone(database: Database) -> None:
    jobs_ = [add(database) for _ in range(5)]
    writes = GroupCommit(database)
    seen: list[str] = []

    async def read_row(job_id: str) -> None:
        try:
            seen.append((await writes.write(rows.get, job_id)).job_id)
        except JobNotFound:
            seen.append("not found")

    async with anyio.create_task_group() as group:
        for job_id in [*(job.job_id for job in jobs_), "nobody"]:
            group.start_soon(read_row, job_id)

    assert sorted(seen) == sorted([*(job.job_id for job in jobs_), "not found"])


async def test_what_a_failing_write_wrote_is_not_kept_and_what_others_wrote_is(database: Database) -> None:
    first, second = add(database), add(database)
    writes = GroupCommit(database)

    def cancel_and_fail(connection: Connection) -> None:
        rows.cancel(connection, first.job_id)
        raise KeyError("no")

    async def fail() -> None:
        with pytest.raises(KeyError, match="no"):
            await writes.write(cancel_and_fail)

    async with anyio.create_task_group() as group:
        group.start_soon(writes.write, rows.find, "warm-up")
        group.start_soon(writes.write, rows.cancel, second.job_id)
        group.start_soon(fail)

    assert (read(database, first).state, read(database, second).state) == ("available", "cancelled")


async def test_a_statement_that_fails_spoils_no_other_write(database: Database) -> None:
    job = add(database)
    writes = GroupCommit(database)

    async def fail() -> None:
        with pytest.raises(Exception, match="tables of the jobs are missing"):
            await writes.write(lambda connection: connection.execute(text("SELECT * FROM nowhere")))

    async with anyio.create_task_group() as group:
        group.start_soon(writes.write, rows.find, "warm-up")
        group.start_soon(writes.write, rows.cancel, job.job_id)
        group.start_soon(fail)

    assert read(database, job).state == "cancelled"


async def test_cancelling_waits_until_the_write_is_done(database: Database) -> None:
    job = add(database)
    writes = GroupCommit(database)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await writes.write(rows.cancel, job.job_id)

    assert read(database, job).state == "cancelled"
