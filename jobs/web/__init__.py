"""Jobs over HTTP: a job's events as server-sent events, and its cancellation. Needs the extra `web`.

Every name is imported on first use, because Starlette is optional.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aquila.errors import ConfigError

if TYPE_CHECKING:
    from jobs.web.event_stream import sse
    from jobs.web.routing import app, routes

__all__ = ["app", "routes", "sse"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "event_stream" if name == "sse" else "routing"
    try:
        return getattr(import_module(f"jobs.web.{home}"), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"aquila", "jobs"}:
            raise
        raise ConfigError(
            f"jobs.web needs {missing}, which is not installed: pip install 'aquila-llm[jobs,web]'"
        ) from error


def __dir__() -> list[str]:
    return __all__
