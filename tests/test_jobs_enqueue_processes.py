from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from job_actors import add
from job_hosts import delivered, host_engine, take_a_wire_of_its_own, url
from job_workers import TESTS, until_state, working
from sqlalchemy import Engine
from sqlalchemy.orm import Session

import jobs
from jobs.broker import runtime
from jobs.enqueueing import enqueue
from jobs.handle import JobHandle
from jobs.relay import relay

pytest_plugins = ["job_fixtures"]

pytestmark = [pytest.mark.usefixtures("a_wire_of_its_own")]
on_both = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def a_wire_of_its_own(place: None) -> None:
    take_a_wire_of_its_own()


@pytest.fixture
def engine(a_wire_of_its_own: None) -> Iterator[Engine]:
    """The host's own."""
    opened = host_engine()
    yield opened
    opened.dispose()


PROGRAM = """
import os, signal, sys, time
import jobs
from job_actors import add
from jobs.broker import runtime
from jobs.enqueueing import enqueue
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

runtime().database()
engine = create_engine(runtime().settings.database_url)
with Session(engine) as session:
    handle = enqueue(session, add.message(1, 2))
    session.commit()
    print(handle.job_id, flush=True)
"""


def run(program: str, **environ: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    return subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "AQUILA_DATABASE_URL": url(), **environ},
        timeout=30,
    )


@on_both
async def test_a_process_that_is_killed_right_after_its_commit_has_sent(tmp_path: Path) -> None:
    # With no Redis there, so that nothing can have been handed over.
    killed = "    os.kill(os.getpid(), signal.SIGKILL)\n"
    done = await anyio.to_thread.run_sync(
        lambda: run(PROGRAM + killed, AQUILA_REDIS_URL=f"unix://{tmp_path / 'none'}")
    )

    assert done.returncode == -signal.SIGKILL, done.stderr
    handle = JobHandle(done.stdout.strip())
    assert handle.job().published_at is None
    async with working(default=1):
        await until_state(handle, "completed")


@on_both
def test_a_program_that_ends_after_its_commit_has_handed_over_and_ends_at_once() -> None:
    began = time.monotonic()
    done = run(PROGRAM)

    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 4.0
    assert done.stderr == ""
    delivered(JobHandle(done.stdout.strip()))


def test_a_program_that_leaves_a_transaction_open_ends_too() -> None:
    began = time.monotonic()
    left = "session = Session(engine)\nenqueue(session, add.message(1, 2))\n"
    done = run(PROGRAM + left)

    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 4.0
    delivered(JobHandle(done.stdout.strip()))


#: The thread has work to do until the job is on the wire, and imports what it needs; a fork is not to come in between.
FORK = """
from job_hosts import on_the_wire
while not on_the_wire():
    time.sleep(0.01)
engine.dispose(close=False)
child = os.fork()
with Session(engine) as session:
    handle = enqueue(session, add.message(5, 6))
    session.commit()
    print(handle.job_id, flush=True)
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@on_both
def test_after_a_fork_parent_and_child_hand_over_what_each_of_them_has_added() -> None:
    done = run("import warnings; warnings.simplefilter('ignore')\n" + PROGRAM + FORK)

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    delivered(*map(JobHandle, done.stdout.split()))
    assert len(done.stdout.split()) == 3


def test_without_redis_a_commit_waits_for_nothing_and_loses_nothing(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = os.environ["AQUILA_REDIS_URL"]
    monkeypatch.setenv("AQUILA_REDIS_URL", f"unix://{tmp_path / 'none'}")
    jobs.close()
    runtime().database()
    began = time.monotonic()
    with Session(engine) as session:
        handle = enqueue(session, add.message(1, 1))
        session.commit()
    assert time.monotonic() - began < 1.0
    jobs.close()
    assert handle.job().published_at is None

    monkeypatch.setenv("AQUILA_REDIS_URL", there)
    jobs.close()
    assert relay(runtime().database(), runtime().wire()) == 1
    delivered(handle)
