"""Ending a shared server: politely through its supervisor, or by force when that one is gone or hangs.

A process id proves nothing, since it may have passed to a stranger. The locks do: while `owner.lock` is held the
supervisor named in it lives, and while `server.lock` is held some member of the process group named in it does, so that
the group's number cannot have passed to anybody else.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from aquila.errors import ConfigError
from aquila.file_lock import is_locked
from aquila.server_folder import ServerFolder

#: Seconds a supervisor may take to stop its server before it is killed.
STOP_WITHIN = 15.0
#: Seconds an orphaned server may take to end by itself before it is killed.
ORPHAN_WITHIN = 5.0
#: Seconds between two looks.
LOOK_EVERY = 0.02


def end_owner(folder: ServerFolder) -> None:
    """Ask the supervisor to stop and wait for it; kill it if it does not.

    The caller holds the start lock: nobody becomes the owner meanwhile.

    Raises:
        ConfigError: It cannot be ended.
        OSError: The locks cannot be read.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        owner_id = folder.owner_id()
        if owner_id is None:
            return
        try:
            os.kill(owner_id, number)
        except ProcessLookupError:
            return
        wait_until_free(folder.owner, STOP_WITHIN)
    if folder.owner_id() is not None:
        raise ConfigError(f"process {folder.owner_id()} does not end; end it by hand, then try again")


def end_orphan(folder: ServerFolder) -> None:
    """End a server whose supervisor died without stopping it. The caller knows that no supervisor lives.

    Raises:
        ConfigError: It cannot be ended.
        OSError: The locks cannot be read.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        group = folder.server_group()
        if group is None:
            return
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return
        wait_until_free(folder.server, ORPHAN_WITHIN)
    if folder.server_group() is not None:
        raise ConfigError(
            f"process group {folder.server_group()} does not end; end it by hand, then try again"
        )


def wait_until_free(lock: Path, timeout: float) -> None:
    """Wait until nobody holds the lock, at most `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while is_locked(lock) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)
