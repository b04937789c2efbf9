"""Using the local model's server; the process that uses it never loads llama.cpp itself."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from aquila.errors import ConfigError
from aquila.local.model import installed_model
from aquila.settings import Settings, ensure_state_dir
from aquila.shared_server import Attachment, ServerSpec, attach

#: The name under which the server knows its model, whatever file it is.
ALIAS = "local"
#: Seconds the server stays after its last client.
LINGER = 60.0


def attach_local(settings: Settings, *, linger: float = LINGER, timeout: float = 60.0) -> Attachment:
    """Use the local model's server, starting it if it does not run. Blocks.

    Args:
        settings: They name the state folder and perhaps another model.
        linger: Seconds to keep the server after its last client; counts only if this call starts it.
        timeout: Seconds until it must answer; a large model takes long to load.

    Returns:
        Its address has `url`, without a path, and `api_key`.

    Raises:
        ConfigError: The extra or the model is missing, or the server did not start.
    """
    require_extra()
    # A folder that cannot be used is the cause of a model that cannot be found there.
    ensure_state_dir(settings.state_dir)
    model = installed_model(settings)
    spec = ServerSpec(
        name=server_name(settings.local_model),
        module="aquila.local.server",
        arguments=("--model", str(model), "--alias", ALIAS),
        linger=linger,
        instead="set OPENAI_BASE_URL to a server of yours",
    )
    return attach(spec, settings.state_dir, timeout=timeout)


def server_name(local_model: Path | None) -> str:
    """Name the shared server: each model file has its own, so that nobody is served by another model than asked for."""
    if local_model is None:
        return "llama"
    return f"llama-{hashlib.sha256(str(local_model.absolute()).encode()).hexdigest()[:8]}"


def require_extra() -> None:
    """Check that llama.cpp's package is there, without loading it.

    Raises:
        ConfigError: It is not installed.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise ConfigError("the local model needs the extra `local`: pip install 'aquila-llm[local]'")
