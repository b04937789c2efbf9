from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from shared_servers import tiny_server

from aquila.file_lock import FileLock, is_locked
from aquila.server_folder import ServerFolder
from aquila.shared_server import attach
from aquila.supervisor import started, watch


class FakeServer:
    def __init__(self, look: Callable[[int], bool] = lambda _: True) -> None:
        self.look = look
        self.looks = 0
        self.stopped = False

    def start(self, lock: int) -> Mapping[str, Any]:
        return {"url": "http://127.0.0.1:1"}

    def alive(self) -> bool:
        self.looks += 1
        return self.look(self.looks)

    def stop(self) -> None:
        self.stopped = True


def watched(folder: Path, server: FakeServer, linger: float, *signals: int) -> str | None:
    queue: SimpleQueue[int] = SimpleQueue()
    for number in signals:
        queue.put(number)
    with FileLock(folder / "owner") as owner, FileLock(folder / "clients") as clients:
        return watch(server, owner, clients, linger, queue)


def test_an_unused_server_is_watched_for_the_linger_and_no_longer(tmp_path: Path) -> None:
    assert watched(tmp_path, FakeServer(), 0.2) == "stopped: unused for 0.2 s"


def test_a_signal_ends_the_watch(tmp_path: Path) -> None:
    assert watched(tmp_path, FakeServer(), 30.0, signal.SIGTERM) == "stopped by SIGTERM"


def test_a_server_that_dies_ends_the_watch_without_a_reason(tmp_path: Path) -> None:
    assert watched(tmp_path, FakeServer(lambda number: number < 3), 0.2) is None


def test_a_client_that_comes_and_goes_between_two_looks_counts(tmp_path: Path) -> None:
    def come_and_go(number: int) -> bool:
        if number <= 20:
            with FileLock(tmp_path / "clients") as client:
                assert client.try_lock(shared=True)
                client.touch()
        return True

    server = FakeServer(come_and_go)
    assert watched(tmp_path, server, 0.2) == "stopped: unused for 0.2 s"
    assert server.looks > 20


def test_the_clients_stay_locked_out_while_an_unused_server_stops(tmp_path: Path) -> None:
    with FileLock(tmp_path / "owner") as owner, FileLock(tmp_path / "clients") as clients:
        watch(FakeServer(), owner, clients, 0.0, SimpleQueue())
        assert is_locked(tmp_path / "clients")


def test_the_address_is_there_while_the_server_runs_and_not_longer(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path)
    server = FakeServer()
    with FileLock(folder.server) as life:
        with started(server, folder, life, 5.0):
            address = folder.read_address()
            assert address is not None
            assert address["linger"] == 5.0
        assert folder.read_address() is None
        assert server.stopped


def test_a_server_whose_address_cannot_be_written_is_stopped(tmp_path: Path) -> None:
    folder = ServerFolder(tmp_path)
    server = FakeServer()
    folder.address.mkdir()
    with (
        FileLock(folder.server) as life,
        pytest.raises(OSError, match="directory"),
        started(server, folder, life, 5.0),
    ):
        raise AssertionError("the block runs")
    assert server.stopped


def test_a_second_supervisor_leaves_the_first_ones_server_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tiny_server(tmp_path, monkeypatch) as spec, attach(spec, tmp_path / "state") as attachment:
        command = [
            sys.executable,
            "-m",
            "tiny_server",
            "--folder",
            str(tmp_path / "state" / "tiny"),
            "--linger",
            "1",
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 1
        assert "another process owns the server" in result.stderr
        assert ServerFolder(tmp_path / "state" / "tiny").read_address() == attachment.address
