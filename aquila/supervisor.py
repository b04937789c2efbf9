"""The process that owns a shared server: starts it, watches it, and stops it some time after its last client.

It never talks to clients. It learns that there are none by locking what each of them holds shared, and keeps that lock
while it stops the server, so that a client who comes in this moment waits and starts a new one.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NoReturn, Protocol

from aquila.errors import AquilaError, ConfigError
from aquila.file_lock import FileLock
from aquila.server_end import end_orphan
from aquila.server_folder import ServerFolder

#: Seconds between two looks at the clients and the server.
LOOK_EVERY = 0.5
#: Seconds to wait for a lock that others may hold for a moment, to see who is there.
LOCK_WITHIN = 2.0


class Server(Protocol):
    """What a supervisor runs: in its own process, or as a child that stays in its process group."""

    def start(self, lock: int) -> Mapping[str, Any]:
        """Start it and wait until it answers.

        Args:
            lock: A file descriptor that a child must inherit: as long as any process has it open, the server lives.

        Returns:
            What its clients need, `url` at least. Kept in a file that only this user may read.
        """

    def alive(self) -> bool:
        """Say whether it can still be used."""

    def stop(self) -> None:
        """Stop it and wait until it is gone; called once, also when `start` failed half-way."""


def arguments() -> argparse.ArgumentParser:
    """Give a parser for the arguments that every supervisor's command gets; a server adds its own."""
    parser = argparse.ArgumentParser(description="Own a server that several processes share.")
    parser.add_argument("--folder", type=Path, required=True, help="where its clients look for it")
    parser.add_argument(
        "--linger", type=float, required=True, help="seconds to keep it after its last client"
    )
    return parser


def run(server: Server, path: Path, linger: float) -> NoReturn:
    """Own the server until it is not needed, then end this process.

    The exit code is 0 when the server was stopped, by SIGTERM for example, and 1 when it failed; the last line printed
    says why.

    Args:
        server: The server, not yet started.
        path: Where its clients look for it, `--folder`.
        linger: Seconds to keep it after its last client, `--linger`.
    """
    signals = stop_signals()
    folder = ServerFolder(path)
    try:
        with (
            FileLock(folder.owner) as owner,
            FileLock(folder.server) as life,
            FileLock(folder.clients) as clients,
        ):
            own(folder, owner, life)
            with started(server, folder, life, linger):
                reason = watch(server, owner, clients, linger, signals)
            say(reason or "the server ended by itself")
            # The locks go with the process and not before: a server inside this process lives until then.
            os._exit(0 if reason else 1)
    except (AquilaError, OSError) as error:
        say(str(error))
        os._exit(1)


def own(folder: ServerFolder, owner: FileLock, life: FileLock) -> None:
    """Become the server's owner, and end what a killed owner may have left.

    Raises:
        ConfigError: Another supervisor owns it.
        OSError: The folder cannot be used.
    """
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    try:
        owner.lock(timeout=LOCK_WITHIN)
        owner.write(str(os.getpid()))
        folder.remove_address()
        end_orphan(folder)
        life.lock(timeout=LOCK_WITHIN)
        life.write(str(os.getpgrp()))
    except TimeoutError as error:
        raise ConfigError(f"another process owns the server in {folder.path}") from error


@contextmanager
def started(server: Server, folder: ServerFolder, life: FileLock, linger: float) -> Iterator[None]:
    """Run the server, and publish its address, inside the block.

    Raises:
        OSError: The address cannot be written.
    """
    try:
        address = server.start(life.file.fileno())
        folder.write_address({**address, "linger": linger, "supervisor": os.getpid()})
        say(f"ready at {address['url']}")
        yield
    finally:
        try:
            if not life.is_deleted():
                folder.remove_address()
        finally:
            server.stop()


def watch(
    server: Server, owner: FileLock, clients: FileLock, linger: float, signals: SimpleQueue[int]
) -> str | None:
    """Wait until the server is not needed any more, and return why; None if it ended by itself.

    When nobody has used it for `linger` seconds, `clients` is left locked.
    """
    unused_since = time.monotonic()
    seen = clients.changed_at()
    while server.alive():
        try:
            return f"stopped by {signal.Signals(signals.get(timeout=min(LOOK_EVERY, linger / 4))).name}"
        except Empty:
            now = time.monotonic()
        if owner.is_deleted():
            return "stopped: its folder was deleted"
        # A client that came and went between two looks has touched the file.
        if not clients.try_lock() or clients.changed_at() != seen:
            unused_since, seen = now, clients.changed_at()
        elif now - unused_since >= linger:
            return f"stopped: unused for {linger:g} s"
        clients.unlock()
    return None


def stop_signals() -> SimpleQueue[int]:
    """Collect SIGTERM and SIGINT in a queue; its `put` is safe inside a signal handler."""
    signals: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: signals.put(number))
    return signals


def say(line: str) -> None:
    """Print a line to the log; a full disk is no reason to fail now."""
    with suppress(OSError):
        sys.stderr.write(f"{line}\n")
