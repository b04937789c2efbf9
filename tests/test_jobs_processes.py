from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_actors import add
from job_workers import COMMAND, TESTS, Valkey

import jobs
from jobs import census
from jobs.broker import runtime

pytest_plugins = ["job_fixtures"]


class Parent:
    """`aquila worker --processes 2` with the test's database and Redis."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log = folder / "parent.log"
        command = [
            *COMMAND,
            "worker",
            "job_actors",
            "--processes",
            "2",
            "--lease",
            "1.2",
            "--grace",
            "0.2",
            *arguments,
        ]
        environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)

    @property
    def said(self) -> str:
        return self._log.read_text()


@pytest.fixture
def parent(place: None, shared_valkey: Valkey, tmp_path: Path) -> Iterator[Parent]:
    started = Parent(tmp_path)
    yield started
    started.process.kill()
    started.process.wait()
    wait_until(lambda: not pids())


def pids() -> set[int]:
    return {worker.pid for worker in runtime().database().read(census.alive)}


def wait_until(condition: object, within: float = 30.0) -> None:
    deadline = time.monotonic() + within
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_process_is_a_worker_and_a_dead_one_is_replaced(parent: Parent) -> None:
    wait_until(lambda: len(pids()) == 2)
    victim = min(pids())
    os.kill(victim, signal.SIGKILL)

    wait_until(lambda: len(pids() - {victim}) == 2)
    assert "ended with -9; another starts in" in parent.said
    assert add.send(1, 2).result(timeout=20) == 3


def test_one_signal_stops_all_of_them_politely(parent: Parent) -> None:
    wait_until(lambda: len(pids()) == 2)
    parent.process.send_signal(signal.SIGTERM)

    assert parent.process.wait(20) == 0
    assert parent.said.count("worker stopped") == 2
    assert not pids()


def test_they_stop_when_their_parent_is_killed(parent: Parent) -> None:
    wait_until(lambda: len(pids()) == 2)
    parent.process.kill()

    wait_until(lambda: parent.said.count("worker stopped") == 2)
    assert not pids()


def test_what_no_process_can_use_ends_all_with_one_error(place: None, tmp_path: Path) -> None:
    started = Parent(tmp_path, "--queues", "llm=none")

    assert started.process.wait(20) == 1
    assert "'llm=none' is no queue" in started.said
    jobs.close()
