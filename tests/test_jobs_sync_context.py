from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from job_workers import working

import jobs
from aquila.errors import ConfigError
from jobs.errors import JobFailed

pytest_plugins = ["job_fixtures"]


def charge(path: str) -> dict[str, int]:
    with Path(path).open("a") as file:
        file.write("x")
    return {"charges": len(Path(path).read_text())}


@jobs.actor(max_attempts=3, backoff=0.02)
def sell_plainly(path: str) -> Any:
    """A plain function: charges once, fails at its first attempt."""
    job = jobs.current()
    receipt = job.sync.step("charge", charge, path)
    job.sync.progress(charged=True)
    if job.attempt == 1:
        raise ValueError("the first attempt fails")
    return receipt


@jobs.actor(max_attempts=1)
def forget_to_wait(path: str) -> None:
    jobs.current().step("charge", charge, path)


@pytest.mark.usefixtures("place")
async def test_a_plain_function_does_a_step_once(tmp_path: Path) -> None:
    async with working(default=1):
        handle = await sell_plainly.asend(str(tmp_path / "charges"))
        assert await handle.aresult(timeout=20) == {"charges": 1}

    job = await handle.ajob()
    assert (job.attempt, job.metadata["charged"]) == (2, True)


@pytest.mark.usefixtures("place")
async def test_what_a_plain_function_cannot_await_is_an_error(tmp_path: Path) -> None:
    async with working():
        handle = await forget_to_wait.asend(str(tmp_path / "charges"))
        with pytest.raises(JobFailed, match=r"use jobs\.current\(\)\.sync\.step"):
            await handle.aresult(timeout=20)

    assert not (tmp_path / "charges").exists()


def test_outside_a_job_a_plain_function_runs_its_step_each_time(tmp_path: Path) -> None:
    job = jobs.current()

    assert job.sync.step("charge", charge, str(tmp_path / "charges")) == {"charges": 1}
    assert job.sync.step("charge", charge, str(tmp_path / "charges")) == {"charges": 2}
    job.sync.progress(done=True)


async def test_where_one_can_await_the_synchronous_form_says_so() -> None:
    with pytest.raises(ConfigError, match=r"use `await jobs\.current\(\)\.step"):
        jobs.current().sync.step("charge", charge, "x")
