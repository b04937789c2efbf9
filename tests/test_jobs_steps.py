from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from job_rows import add, claim, read, run_out
from job_step_actors import Receipt, assist, sell, sell_and_hold, sell_in_a_thread
from job_workers import WorkerProcess, until, until_state, working

import jobs
from aquila.errors import ConfigError
from aquila.tools import ToolOutput
from jobs import claims, rows
from jobs.broker import runtime
from jobs.claims import Claim
from jobs.context import JobContext, current
from jobs.database import Database
from jobs.errors import JobsError, StorageError
from jobs.step import LARGEST_VALUE
from jobs.steps import Recorded, Steps, ToolLedger, find, forget, record
from jobs.sweep import rescue
from tests.fault_server import Chat, misbehave, reply

pytest_plugins = ["job_fixtures"]


def next_attempt(database: Database, held: Claim) -> Claim:
    """The attempt fails, and another one begins."""
    assert database.write(claims.fail, held, ValueError("no"), delay=0.0, captured=claims.Captured())
    database.write(rows.run_again, held.job.job_id)
    return claim(database, read(database, held.job), worker="w2")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


class Till:
    def __init__(self) -> None:
        self.charged: list[str] = []

    async def charge(self, order: str, *, fails: bool = False) -> dict[str, Any]:
        self.charged.append(order)
        if fails:
            raise ValueError("no money")
        return {"order": order, "number": len(self.charged)}


async def test_a_step_runs_once_for_all_attempts(database: Database) -> None:
    till, first = Till(), claim(database, add(database))
    context = JobContext(id=first.job.job_id, once=Steps(database, first).once)

    assert await context.step("charge", till.charge, "x") == {"order": "x", "number": 1}

    second = next_attempt(database, first)
    context = JobContext(id=first.job.job_id, once=Steps(database, second).once)
    assert await context.step("charge", till.charge, "x") == {"order": "x", "number": 1}
    assert await context.step("charge again", till.charge, "x") == {"order": "x", "number": 2}
    assert till.charged == ["x", "x"]


async def test_a_step_of_another_job_is_another_step(database: Database) -> None:
    till = Till()

    for _ in range(2):
        held = next_attempt(database, claim(database, add(database)))
        await JobContext(once=Steps(database, held).once).step("charge", till.charge, "x")

    assert till.charged == ["x", "x"]


async def test_an_error_is_not_recorded_and_the_step_may_be_tried_again_at_once(database: Database) -> None:
    till, held = Till(), claim(database, add(database))
    context = JobContext(once=Steps(database, held).once)

    with pytest.raises(ValueError, match="no money"):
        await context.step("charge", till.charge, "x", fails=True)

    assert database.read(find, held.job.job_id, "charge") is None
    assert await context.step("charge", till.charge, "x") == {"order": "x", "number": 2}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_name_that_is_used_twice_is_refused(database: Database) -> None:
    till, held = Till(), claim(database, add(database))
    context = JobContext(once=Steps(database, held).once)
    await context.step("charge", till.charge, "x")

    with pytest.raises(
        ConfigError, match="step 'charge' is there twice in one attempt; tell them apart by name"
    ):
        await context.step("charge", till.charge, "y")

    assert till.charged == ["x"]


@pytest.mark.parametrize("name", ["", "aquila.tool:x", "n" * 201, "a\nb", "a\x00b", 7])
async def test_a_name_that_cannot_be_kept_is_refused(name: Any) -> None:
    till = Till()

    with pytest.raises(ConfigError, match=r"^step: "):
        await current().step(name, till.charge, "x")

    assert till.charged == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), r"step 'make': its value is of type object; use JSON values or pydantic models"),
        (float("nan"), r"step 'make': its value is nan"),
        (
            "x" * LARGEST_VALUE,
            r"step 'make': its value has 1,000,002 bytes as JSON, and a row keeps 1,000,000",
        ),
    ],
)
async def test_a_value_that_cannot_be_kept_is_refused(database: Database, value: Any, says: str) -> None:
    held = claim(database, add(database))

    async def make() -> Any:
        return value

    for context in (current(), JobContext(once=Steps(database, held).once)):
        for function in (make, lambda: value):
            with pytest.raises(ConfigError, match=says):
                await context.step("make", function)
    assert database.read(find, held.job.job_id, "make") is None


@pytest.mark.parametrize(
    "value", [None, False, [1, {"a": "\x00 \ud800"}], {"é": 1.5}, Receipt(order="x", cents=1)]
)
async def test_every_json_value_comes_back_as_it_was_given(database: Database, value: Any) -> None:
    first = claim(database, add(database))
    given = await Steps(database, first).once("make", lambda: value)

    again = await Steps(database, next_attempt(database, first)).once("make", lambda: "another")

    assert again == given == (value.model_dump() if isinstance(value, Receipt) else value)


async def test_a_stale_attempt_records_nothing(database: Database) -> None:
    job = add(database)
    first = claim(database, job)
    run_out(database, job)
    rescue(database)
    second = claim(database, read(database, job), worker="w2")
    assert database.write(record, second, "charge", 2)

    assert not database.write(record, first, "charge", 1)
    assert not database.write(forget, first, "charge")
    for function in (Till().charge, lambda order: order):
        with pytest.raises(
            JobsError, match="was taken over by a newer attempt; its step 'charge' is not recorded"
        ):
            await JobContext(once=Steps(database, first).once).step("charge", function, "x")
    assert database.read(find, job.job_id, "charge") == Recorded(2)


async def test_what_was_done_counts_until_a_newer_attempt_begins(database: Database) -> None:
    job = add(database)
    first = claim(database, job)
    run_out(database, job)
    rescue(database)

    await Steps(database, first).record("charge", 1)

    second = claim(database, read(database, job), worker="w2")
    assert await Steps(database, second).recall("charge") == Recorded(1)


async def test_a_step_that_was_cancelled_behind_its_effect_is_recorded(database: Database) -> None:
    held = claim(database, add(database))
    with anyio.CancelScope() as scope:

        async def charge() -> str:
            scope.cancel()
            return "charged"

        await Steps(database, held).once("charge", charge)

    assert scope.cancelled_caught or scope.cancel_called
    assert database.read(find, held.job.job_id, "charge") == Recorded("charged")


class Flaky(Database):
    """Fails as often as it is told."""

    failures = 0

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise StorageError("the database is away")

    def read(self, *args: Any, **kwargs: Any) -> Any:
        self._fail()
        return super().read(*args, **kwargs)

    def write(self, *args: Any, **kwargs: Any) -> Any:
        self._fail()
        return super().write(*args, **kwargs)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("plain", [True, False])
async def test_a_step_waits_for_the_database(
    database: Database, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    monkeypatch.setattr("jobs.steps.AGAIN", 0.01)
    held = next_attempt(database, claim(database, add(database)))
    flaky, done = Flaky(database.engine.url.render_as_string(hide_password=False)), []

    def charge() -> str:
        done.append("charge")
        flaky.failures = 2
        return "charged"

    async def charge_async() -> str:
        return charge()

    flaky.failures = 2
    with anyio.fail_after(10):
        assert await Steps(flaky, held).once("charge", charge if plain else charge_async) == "charged"
    flaky.close()

    assert done == ["charge"]
    assert database.read(find, held.job.job_id, "charge") == Recorded("charged")


async def test_outside_a_job_a_step_just_runs() -> None:
    till = Till()

    for number in (1, 2):
        assert await jobs.current().step("charge", till.charge, "x") == {"order": "x", "number": number}
    assert await jobs.current().step("plain", lambda order: Receipt(order=order, cents=2), "x") == {
        "order": "x", "cents": 2,
    }  # fmt: skip


def test_the_key_of_a_step_is_the_same_in_every_attempt_and_never_the_same_outside_a_job() -> None:
    keys = {JobContext(id="j1", attempt=attempt).step_key("charge") for attempt in (1, 2)}

    assert keys == {"j1:charge"}
    assert jobs.current().step_key("charge") != jobs.current().step_key("charge")


async def test_a_tools_output_and_patch_are_kept_and_what_cannot_be_is_left_out(database: Database) -> None:
    first = claim(database, add(database))
    ledger = ToolLedger(Steps(database, first))
    kept = ToolOutput("out", {"n": [1]})
    await ledger.record("a#1", kept)
    await ledger.record("b#1", ToolOutput("out"))
    await ledger.record("c#1", ToolOutput("out", {"when": datetime.now(UTC)}))  # noqa: TID251 - any object
    await ledger.record("d#1", ToolOutput("x" * LARGEST_VALUE))

    ledger = ToolLedger(Steps(database, next_attempt(database, first)))

    assert [await ledger.recall(f"{key}#1") for key in "abcd"] == [kept, ToolOutput("out"), None, None]


@pytest.mark.usefixtures("place")
async def test_what_attempts_before_have_done_is_not_done_again(tmp_path: Path) -> None:
    done = tmp_path / "done"
    async with working():
        result = await (await sell.asend(str(done), "x")).aresult(timeout=20)

    assert result == [{"order": "x", "cents": 1}, 2, 3]
    assert lines(done) == ["charge x", "send x"]


@pytest.mark.usefixtures("place")
async def test_a_worker_that_is_killed_leaves_its_steps(tmp_path: Path) -> None:
    done = tmp_path / "done"
    handle = await sell_and_hold.asend(str(done), "x")
    with WorkerProcess(tmp_path / "a", "job_step_actors") as worker:
        await until(lambda: runtime().database().read(find, handle.job_id, "charge") is not None)
        worker.kill()
    (tmp_path / "done.go").touch()
    async with working():
        assert await handle.aresult(timeout=20) == {"order": "x", "cents": 1}

    assert (await handle.ajob()).attempt == 2
    assert lines(done) == ["charge x"]


@pytest.mark.usefixtures("place")
async def test_a_thread_that_goes_on_when_its_job_is_cancelled_still_records(tmp_path: Path) -> None:
    done = tmp_path / "done"
    handle = await sell_in_a_thread.asend(str(done), "x")
    async with working():
        await until(lambda: bool(lines(done)))
        assert await handle.acancel()
        await until_state(handle, "cancelled")
        await anyio.sleep(0.6)
        await handle.aretry()
        assert await handle.aresult(timeout=20) == 1

    assert lines(done) == ["charge x"]


@pytest.mark.usefixtures("place")
async def test_a_tool_that_an_attempt_has_run_is_not_run_by_the_next(tmp_path: Path) -> None:
    done = tmp_path / "done"
    calls = [
        Chat.calls(
            (f"{attempt}a", "pay", '{"order": "x"}'),
            (f"{attempt}b", "look", "{}"),
            (f"{attempt}c", "pay", '{"order": "y"}'),
        )
        for attempt in (1, 2)
    ]
    answers = [
        reply(*calls[0]),
        reply(*Chat.answer("Sold.")),
        reply(*calls[1]),
        reply(*Chat.answer("Sold again.")),
    ]
    async with misbehave(*answers) as server, working():
        assert await (await assist.asend(server.url, str(done))).aresult(timeout=20) == "Sold again."
        told = [Chat.outputs(json.loads(server.connections[place].body)) for place in (1, 3)]

    assert sorted(lines(done)) == ["charge x", "charge y", "look", "look"]
    pays = [{call_id[1:]: text for call_id, text in one if not call_id.endswith("b")} for one in told]
    assert pays == [{"a": "paid x", "c": "paid y"}] * 2
