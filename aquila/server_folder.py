"""The folder in which a shared server's owner and its clients find each other.

```
<state folder>/<server>/
    clients.lock    shared by every client for as long as it uses the server
    start.lock      held by whoever starts or stops the server
    owner.lock      held by the supervisor while it lives; contains its process id
    server.lock     held by the supervisor and by the server it runs; contains their process group
    address.json    where the server listens, its key included; there only while it may be used
    log, log.1      what the supervisor and the server print; the run before
```
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aquila.errors import ConfigError
from aquila.file_lock import is_locked


@dataclass(frozen=True, slots=True)
class ServerFolder:
    """The files of one server, by name."""

    path: Path

    @property
    def clients(self) -> Path:
        """Held, shared, by every client."""
        return self.path / "clients.lock"

    @property
    def start(self) -> Path:
        """Held by whoever starts or stops the server."""
        return self.path / "start.lock"

    @property
    def owner(self) -> Path:
        """Held by the supervisor."""
        return self.path / "owner.lock"

    @property
    def server(self) -> Path:
        """Held by the supervisor and by the server it runs."""
        return self.path / "server.lock"

    @property
    def log(self) -> Path:
        """What the supervisor and the server print."""
        return self.path / "log"

    @property
    def address(self) -> Path:
        """Where the server listens."""
        return self.path / "address.json"

    def read_address(self) -> dict[str, Any] | None:
        """Read where the server listens; None if nobody says."""
        try:
            address = json.loads(self.address.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return address if isinstance(address, dict) else None

    def write_address(self, address: Mapping[str, Any]) -> None:
        """Say where the server listens, readable by the user alone, whole or not at all.

        Raises:
            OSError: The disk is full, or the folder is gone.
        """
        draft = self.path / "address.json.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(dict(address), file)
        draft.replace(self.address)

    def remove_address(self) -> None:
        """Take the address away, so that no client starts to use the server."""
        self.address.unlink(missing_ok=True)

    def owner_id(self) -> int | None:
        """Give the supervisor's process id; None if no supervisor lives."""
        return locked_number(self.owner)

    def server_group(self) -> int | None:
        """Give the process group of supervisor and server; None if neither lives."""
        return locked_number(self.server)

    def last_words(self) -> str:
        """Give the last line of the log that says something; empty if there is only the first, the command."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return next((line.strip() for line in reversed(lines[1:]) if line.strip()), "")


def locked_number(lock: Path) -> int | None:
    """Give the number a lock's holder wrote into it; None if nobody holds it."""
    if not is_locked(lock):
        return None
    text = lock.read_text()
    return int(text) if text.isdecimal() else None


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Turn an OSError inside the block into the one line a user needs.

    Raises:
        ConfigError: The block failed on the file system: no space, no right, no locks.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{error.filename or path} cannot be used ({error.strerror or error}); make room and check its rights, "
            "or set AQUILA_STATE_DIR to another folder"
        ) from error
