"""Real servers on this machine that several processes share; this is their clients' side.

A server is started by the first client that needs it, found again by every other one, and stopped some time after the
last has gone. Each belongs to one process of its own, the supervisor (`aquila.supervisor`), never to a client: a client
may end in any way, `kill -9` included, and takes nothing along. What keeps a server alive is a shared lock on one file,
which the kernel drops together with the client.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from aquila.errors import ConfigError
from aquila.file_lock import FileLock, is_locked
from aquila.server_end import LOOK_EVERY, STOP_WITHIN, end_orphan, end_owner
from aquila.server_folder import ServerFolder, usable
from aquila.settings import ensure_state_dir

#: Seconds a server may take to accept a connection. It is on this machine: either at once or not at all.
ANSWER_WITHIN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """What to run and how long to keep it."""

    #: The folder below the state folder, and the server's name in messages.
    name: str
    #: `python -m module` is the supervisor's command; see `aquila.supervisor.run`.
    module: str
    #: What the command gets beside its folder and `linger`. Everybody on the machine can read it: no secrets.
    arguments: tuple[str, ...] = ()
    #: Seconds to keep the server after its last client.
    linger: float = 60.0
    #: What to do where no shared server can run: `set REDIS_URL ...`.
    instead: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """The use of a shared server, until it is released or the process ends.

    A forked child inherits it, and the server then stays for as long as either of the two has not released it.
    """

    #: Where the server listens (`url`) and whatever else its clients need, keys included: not for logs.
    address: Mapping[str, Any] = field(repr=False)
    lock: FileLock = field(repr=False)

    def release(self) -> None:
        """Stop using the server. May be called twice."""
        self.lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def attach(spec: ServerSpec, state_dir: Path, *, timeout: float = 60.0) -> Attachment:
    """Use the server, starting it if it does not run. Blocks: asynchronous callers use a thread.

    Args:
        spec: The server.
        state_dir: The state folder; clients with the same folder share the server.
        timeout: Seconds until it must answer.

    Raises:
        ConfigError: It did not start, or did not answer in time, or the state folder cannot be used.
    """
    if sys.platform == "win32":
        raise ConfigError(
            f"the shared {spec.name} server needs file locks that Windows lacks; {spec.instead}"
        )
    deadline = time.monotonic() + timeout
    path = ensure_state_dir(state_dir) / spec.name
    with usable(path):
        path.mkdir(mode=0o700, exist_ok=True)
        folder = ServerFolder(path)
        clients = FileLock(folder.clients)
        try:
            clients.lock(shared=True, timeout=timeout)
            clients.touch()
            address = running(folder) or start(spec, folder, deadline)
        except TimeoutError as error:
            clients.close()
            raise ConfigError(
                f"the {spec.name} server did not get ready: {error}; see {folder.log}"
            ) from error
        except BaseException:
            clients.close()
            raise
    return Attachment(address, clients)


def status(name: str, state_dir: Path) -> Mapping[str, Any] | None:
    """Give the address of a running server, or None; neither starts one nor keeps one alive.

    Raises:
        ConfigError: The state folder cannot be read.
    """
    folder = ServerFolder(state_dir / name)
    with usable(folder.path):
        return folder.read_address() if is_locked(folder.owner) else None


def stop(name: str, state_dir: Path, *, force: bool = False) -> bool:
    """Stop the server now and wait until it is gone.

    Args:
        name: Its name, as in `ServerSpec`.
        state_dir: The state folder.
        force: Stop it even though it has clients, whose calls then fail.

    Returns:
        False if it has clients, this process included, and goes on; else True, also when it did not run.

    Raises:
        ConfigError: The state folder cannot be used, or somebody is just starting the server.
    """
    folder = ServerFolder(state_dir / name)
    if not folder.path.is_dir():
        return True
    with usable(folder.path), FileLock(folder.clients) as clients, FileLock(folder.start) as starting:
        if not (clients.try_lock() or force):
            return False
        try:
            # The owner's process id is the current one only while nobody starts an owner.
            starting.lock(timeout=STOP_WITHIN)
        except TimeoutError as error:
            raise ConfigError(f"the {name} server is being started by another process; try again") from error
        end_owner(folder)
        end_orphan(folder)
        return True


def running(folder: ServerFolder) -> dict[str, Any] | None:
    """Give the address of a server that has an owner and answers; else None."""
    if not is_locked(folder.owner):
        return None
    address = folder.read_address()
    return address if address is not None and answers(address["url"]) else None


def answers(url: str) -> bool:
    """Say whether something accepts connections at an `http://host:port` or a `unix:///path` URL."""
    parts = urlsplit(url)
    unix = parts.scheme == "unix"
    with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as connection:
        connection.settimeout(ANSWER_WITHIN)
        try:
            connection.connect(unquote(parts.path) if unix else (parts.hostname, parts.port))
        except OSError:
            return False
    return True


def start(spec: ServerSpec, folder: ServerFolder, deadline: float) -> dict[str, Any]:
    """Start a supervisor, unless another client is quicker, and wait for the address.

    Raises:
        ConfigError: The supervisor ended at once.
        TimeoutError: Nothing answered before the deadline, a time on the monotonic clock.
    """
    with FileLock(folder.start) as starting:
        starting.lock(timeout=deadline - time.monotonic())
        supervisor: subprocess.Popen[bytes] | None = None
        while (address := running(folder)) is None:
            if supervisor is not None and supervisor.poll() is not None:
                words = folder.last_words() or f"its process ended with {supervisor.returncode}"
                raise ConfigError(f"the {spec.name} server did not start: {words}; see {folder.log}")
            if supervisor is None and not is_locked(folder.owner):
                # A killed owner's address must be gone before there is a new owner who seems to vouch for it.
                folder.remove_address()
                supervisor = spawn(spec, folder)
            if time.monotonic() >= deadline:
                raise TimeoutError("it does not answer")
            time.sleep(LOOK_EVERY)
    return address


def spawn(spec: ServerSpec, folder: ServerFolder) -> subprocess.Popen[bytes]:
    """Run the supervisor's command, detached from this process's terminal, folder and life.

    Raises:
        OSError: The log cannot be written, the disk being full for example.
    """
    # -P: a folder of the user's named like one of our packages does not get in the way.
    command = [
        sys.executable,
        "-P",
        "-m",
        spec.module,
        "--folder",
        str(folder.path),
        "--linger",
        str(spec.linger),
    ]
    command += spec.arguments
    if folder.log.exists():
        folder.log.replace(folder.log.with_name("log.1"))
    with folder.log.open("ab", buffering=0) as log:
        log.write(f"{' '.join(command)}\n".encode())
        supervisor = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder.path,
            start_new_session=True,
        )
    # It outlives this client or ends before it; in the second case somebody has to collect its exit code.
    threading.Thread(target=supervisor.wait, name=f"aquila-{spec.name}", daemon=True).start()
    return supervisor
