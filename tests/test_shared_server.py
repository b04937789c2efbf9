from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from shared_servers import clients, eventually, lives, tiny_server

from aquila import server_end
from aquila.errors import ConfigError
from aquila.file_lock import FileLock, is_locked
from aquila.server_folder import ServerFolder
from aquila.shared_server import ServerSpec, answers, attach, status, stop


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerSpec]:
    with tiny_server(tmp_path, monkeypatch) as spec:
        yield spec


@pytest.fixture
def brief(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerSpec]:
    with tiny_server(tmp_path, monkeypatch, linger=0.5) as spec:
        yield spec


def test_a_second_process_finds_the_server_again(spec: ServerSpec, state_dir: Path) -> None:
    with attach(spec, state_dir) as attachment, clients(spec, state_dir) as [client]:
        assert answers(attachment.address["url"])
        assert client.address() == attachment.address
        assert status("tiny", state_dir) == attachment.address


def test_processes_that_come_at_once_start_one_server(spec: ServerSpec, state_dir: Path) -> None:
    with clients(spec, state_dir, 4) as started:
        assert len({client.address()["supervisor"] for client in started}) == 1


def test_the_server_stops_after_its_last_client(brief: ServerSpec, state_dir: Path) -> None:
    attachment = attach(brief, state_dir)
    attachment.release()
    attachment.release()
    eventually(lambda: not lives("tiny", state_dir))
    assert status("tiny", state_dir) is None
    assert not answers(attachment.address["url"])
    assert "unused for 0.5 s" in ServerFolder(state_dir / "tiny").last_words()


def test_a_client_killed_without_warning_lets_the_server_stop(brief: ServerSpec, state_dir: Path) -> None:
    with clients(brief, state_dir) as [client]:
        client.address()
        client.kill()
        eventually(lambda: not lives("tiny", state_dir))


def test_a_starter_that_is_killed_takes_nothing_from_the_others(brief: ServerSpec, state_dir: Path) -> None:
    with clients(brief, state_dir) as [starter]:
        address = starter.address()
        with attach(brief, state_dir) as attachment:
            starter.kill()
            assert attachment.address == address
            with FileLock(ServerFolder(state_dir / "tiny").clients) as lock:
                assert not lock.try_lock()
            assert answers(address["url"])


def test_stop_refuses_while_another_process_uses_the_server(spec: ServerSpec, state_dir: Path) -> None:
    with clients(spec, state_dir) as [client]:
        address = client.address()
        assert not stop("tiny", state_dir)
        assert answers(address["url"])
        client.leave()
        assert stop("tiny", state_dir)
        assert not lives("tiny", state_dir)


def test_stop_with_force_does_not_ask_the_clients(spec: ServerSpec, state_dir: Path) -> None:
    with attach(spec, state_dir) as attachment:
        assert stop("tiny", state_dir, force=True)
        assert not answers(attachment.address["url"])


def test_stop_and_status_start_and_make_nothing(state_dir: Path) -> None:
    assert stop("tiny", state_dir)
    assert status("tiny", state_dir) is None
    assert not state_dir.exists()


def test_a_killed_supervisor_is_replaced_and_its_server_ended(spec: ServerSpec, state_dir: Path) -> None:
    with attach(spec, state_dir) as before:
        os.kill(before.address["supervisor"], signal.SIGKILL)
        eventually(lambda: not is_locked(ServerFolder(state_dir / "tiny").owner))
        assert answers(before.address["url"])
        with attach(spec, state_dir) as after:
            assert after.address["supervisor"] != before.address["supervisor"]
            assert answers(after.address["url"])
            assert not answers(before.address["url"])


def test_stop_ends_the_server_that_a_killed_supervisor_left(spec: ServerSpec, state_dir: Path) -> None:
    with attach(spec, state_dir) as attachment:
        os.kill(attachment.address["supervisor"], signal.SIGKILL)
    assert stop("tiny", state_dir)
    assert not answers(attachment.address["url"])


def test_a_supervisor_that_hangs_is_killed_together_with_its_server(
    spec: ServerSpec, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_end, "STOP_WITHIN", 0.3)
    with attach(spec, state_dir) as attachment:
        os.kill(attachment.address["supervisor"], signal.SIGSTOP)
    assert stop("tiny", state_dir)
    assert not answers(attachment.address["url"])


def test_a_server_that_dies_is_started_anew_by_the_next_client(spec: ServerSpec, state_dir: Path) -> None:
    with attach(spec, state_dir) as before:
        os.kill(before.address["server"], signal.SIGKILL)
        eventually(lambda: not answers(before.address["url"]))
        with attach(spec, state_dir) as after:
            assert after.address["supervisor"] != before.address["supervisor"]
            assert answers(after.address["url"])


def test_each_attachment_of_one_process_keeps_the_server(spec: ServerSpec, state_dir: Path) -> None:
    with attach(spec, state_dir) as one, attach(spec, state_dir) as other:
        assert one.address == other.address
        one.release()
        assert not stop("tiny", state_dir)
        other.release()
        assert stop("tiny", state_dir)


def test_the_address_and_its_folder_are_for_the_user_alone(spec: ServerSpec, state_dir: Path) -> None:
    with attach(spec, state_dir) as attachment:
        folder = ServerFolder(state_dir / "tiny")
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.address.stat().st_mode) == 0o600
        assert attachment.address["url"] not in repr(attachment)


def test_a_server_that_does_not_start_says_why_in_one_line(
    spec: ServerSpec, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_FAULT", "config")
    with pytest.raises(ConfigError) as caught:
        attach(spec, state_dir)
    log = state_dir / "tiny" / "log"
    assert str(caught.value) == f"the tiny server did not start: the moon is in the wrong phase; see {log}"
    monkeypatch.setenv("TINY_FAULT", "exit")
    with pytest.raises(ConfigError, match="its process ended with 7"):
        attach(spec, state_dir)


def test_a_supervisor_whose_folder_is_deleted_ends(spec: ServerSpec, state_dir: Path) -> None:
    with attach(spec, state_dir), FileLock(ServerFolder(state_dir / "tiny").server) as life:
        shutil.rmtree(state_dir)
        eventually(life.try_lock)


def test_a_state_folder_that_cannot_be_made_is_named_with_the_remedy(
    spec: ServerSpec, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/state cannot be made .*AQUILA_STATE_DIR"):
        attach(spec, tmp_path / "file" / "state")


def test_a_file_in_the_way_of_the_servers_folder_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "tiny").touch()
    with pytest.raises(ConfigError, match=r"tiny cannot be used \(File exists\).*AQUILA_STATE_DIR"):
        attach(ServerSpec(name="tiny", module="tiny_server", instead=""), tmp_path)


def test_a_full_disk_is_named_with_the_remedy(state_dir: Path) -> None:
    script = """
import pathlib, resource, sys
from aquila.shared_server import ServerSpec, attach
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
attach(ServerSpec(name="tiny", module="tiny_server", instead=""), pathlib.Path(sys.argv[1]))
"""
    command = [sys.executable, "-c", script, str(state_dir)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "ConfigError" in result.stderr.splitlines()[-1]
    assert "cannot be used (File too large); make room" in result.stderr


def test_a_server_that_nobody_can_reach_is_reported_in_time(spec: ServerSpec, state_dir: Path) -> None:
    with attach(spec, state_dir) as attachment:
        folder = ServerFolder(state_dir / "tiny")
        folder.write_address({**attachment.address, "url": "http://127.0.0.1:1"})
        with pytest.raises(ConfigError, match=r"did not get ready: it does not answer; see .*log"):
            attach(spec, state_dir, timeout=0.3)
