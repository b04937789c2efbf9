"""A cassette that is in effect where a job is sent follows it into whatever process runs it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from job_actors import tell
from job_workers import WorkerProcess, working
from sqlalchemy import Connection, text

import aquila
import jobs
from aquila.cassette import Scope, use
from aquila.cassette.blocks import for_the_test
from aquila.cassette.watch import WATCHING, Watch
from aquila.testing import Answer, ScriptedTransport
from jobs.cassettes import JobCassette, cassette_of_send
from jobs.database import Database
from jobs.migrate import HEAD, alembic_config, current_version, prepare, tracks

pytest_plugins = ["job_fixtures"]


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cassettes with an answer each: `a` says A, `b` says B."""
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path / "cassettes"))

    async def record(name: str) -> None:
        provider = ScriptedTransport(Answer.text(name.upper()))
        with use(name, mode="once"):
            await aquila.ask("Hi", model="m", transport=provider, api_key="k")

    for name in "ab":
        anyio.run(record, name)


@pytest.mark.usefixtures("place")
async def test_a_worker_in_this_process_replays_it() -> None:
    with use("a", mode="none"):
        handle = await tell.asend("Hi")

    async with working():
        assert await handle.aresult(timeout=10) == "A"
    job = await handle.ajob()
    assert (job.cassette, job.cassette_mode) == ("a", "none")


@pytest.mark.usefixtures("place")
async def test_a_worker_in_another_process_replays_it_in_the_sender_s_mode(tmp_path: Path) -> None:
    with use("b", mode="none"):
        handle = await tell.asend("Hi")

    with WorkerProcess(tmp_path / "worker", AQUILA_CASSETTES="off"):
        assert await handle.aresult(timeout=20) == "B"


@pytest.mark.usefixtures("place")
async def test_each_attempt_begins_at_the_beginning() -> None:
    with use("a", mode="none"):
        handles = [await tell.asend("Hi") for _ in range(2)]

    async with working():
        assert [await handle.aresult(timeout=10) for handle in handles] == ["A", "A"]


@pytest.mark.usefixtures("place")
@pytest.mark.aquila_unplayed("ignore")
async def test_a_prompt_that_has_drifted_ends_the_job_with_the_difference() -> None:
    with use("a", mode="none"):
        handle = await tell.asend("Ho")

    async with working():
        with pytest.raises(jobs.JobFailed, match=r"CassetteMismatch.*\$\.messages\[0\]\.content"):
            await handle.aresult(timeout=10)


def test_the_send_goes_before_the_block_and_the_block_before_the_actor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with use("block", mode="none"):
        assert cassette_of_send("named", "declared") == JobCassette("named", "none")
        assert cassette_of_send(None, "declared") == JobCassette("block", "none")
    assert cassette_of_send(None, "declared") == JobCassette("declared", "none")
    with use("block", mode="off"):
        assert cassette_of_send(None, "declared") == JobCassette("declared")
    with for_the_test(Scope("test")):
        assert cassette_of_send(None, "declared") == JobCassette("test", "none")
    monkeypatch.setenv("AQUILA_CASSETTES", "off")
    with for_the_test(Scope("test")):
        assert cassette_of_send(None, None) == JobCassette(None)
        assert cassette_of_send("named", None) == JobCassette("named")


async def test_an_actor_that_is_called_prefers_the_block_to_its_own() -> None:
    @jobs.actor(actor_name="declares_b", cassette="b")
    async def declares_b() -> str:
        return (await aquila.ask("Hi", model="m", api_key="k")).text

    assert await declares_b() == "B"
    with use("a", mode="none"):
        assert await declares_b() == "A"


def test_a_database_of_the_version_before_keeps_its_jobs(tmp_path: Path) -> None:
    from alembic import command  # noqa: PLC0415 - slow to import, and only wanted here

    opened = Database(f"sqlite:///{tmp_path / 'old.db'}")
    prepare(opened, own=True)

    def go_back(connection: Connection) -> None:
        command.downgrade(alembic_config(connection, tracks()), "0001")

    opened.write(go_back)
    columns = "SELECT count(*) FROM pragma_table_info('aquila_jobs') WHERE name = 'cassette_mode'"
    assert opened.read(lambda connection: connection.execute(text(columns)).scalar()) == 0

    prepare(opened, own=True)

    assert opened.read(current_version) == HEAD
    assert opened.read(lambda connection: connection.execute(text(columns)).scalar()) == 1
    opened.close()


@pytest.mark.usefixtures("place")
async def test_a_cassette_that_a_job_takes_along_is_in_use() -> None:
    own, WATCHING.test = WATCHING.test, Watch()
    try:
        with use("a", mode="none"):
            await tell.asend("Hi")
        assert {path.name for path in WATCHING.test.lent} == {"a.yaml"}
    finally:
        WATCHING.test = own
