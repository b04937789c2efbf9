from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from job_actors import add, fail_times, refuse
from job_workers import aquila, until, until_state, working

import jobs
from jobs.errors import ResultTimeout
from jobs.registry import actors

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")


async def test_a_failing_actor_leaves_its_traceback_in_the_log_and_in_the_row(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    handle = fail_times.send(str(tmp_path / "tries"), 9)
    with caplog.at_level(logging.ERROR, "jobs"):
        async with working():
            await until_state(handle, "discarded")

    told = [record for record in caplog.records if record.name == "jobs"]
    assert [record.getMessage() for record in told] == [
        f"job {handle.job_id[:8]} fail_times raised in attempt {attempt}" for attempt in (1, 2, 3)
    ]
    assert caplog.text.count("ValueError: no luck at try 3\n") == 1
    kept = [error["traceback"] for error in handle.job().errors]
    assert all('job_actors.py", line' in trace for trace in kept)
    assert [f"ValueError: no luck at try {attempt}\n" in kept[attempt - 1] for attempt in (1, 2, 3)] == [
        True
    ] * 3

    shown = aquila("jobs", "show", handle.job_id).stdout
    assert shown.count("Traceback (most recent call last)") == 1
    assert shown.endswith("ValueError: no luck at try 3\n")
    row = json.loads(aquila("jobs", "show", handle.job_id, "--json").stdout)
    assert [error["traceback"] for error in row["errors"]] == kept


async def test_an_error_of_aquila_s_own_stays_one_line(caplog: pytest.LogCaptureFixture) -> None:
    handle = refuse.send()
    async with working():
        await until_state(handle, "discarded")

    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "traceback" not in handle.job().errors[0]
    assert "Traceback" not in aquila("jobs", "show", handle.job_id).stdout


async def test_a_job_that_no_worker_knows_says_why_it_waits_and_runs_soon_after_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handle = add.options(metadata={"who": "anna"}).send(1, 2)
    spec = actors()["add"]
    monkeypatch.delitem(actors(), "add")  # type: ignore[arg-type]
    async with working():
        await until(lambda: "aquila.waits" in handle.job().metadata)
        why = "no worker here knows actor 'add'; run `aquila worker MODULE`"
        with pytest.raises(ResultTimeout) as late:
            await handle.aresult(timeout=0.1)
        assert str(late.value).endswith(why)
        shown = aquila("jobs", "show", handle.job_id).stdout
        assert f"waits                {why}\n" in shown
        assert 'metadata             {"who": "anna"}\n' in shown

        monkeypatch.setitem(actors(), "add", spec)  # type: ignore[arg-type]
        assert await handle.aresult(timeout=5) == 3

    assert handle.job().metadata == {"who": "anna"}


def test_a_hint_names_no_module_for_an_actor_that_every_worker_knows() -> None:
    with pytest.raises(ResultTimeout, match=r"start one with `aquila worker`$"):
        jobs.stream_prompt.send("hello").result(timeout=0.05)
