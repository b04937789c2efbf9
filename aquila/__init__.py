"""Stream LLMs from a one-line script to a durable job, with tests that replay offline.

Every name is imported on first use, so that `import aquila` costs next to nothing and opens nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aquila import cassette, sink
    from aquila.client import Client, ask, stream
    from aquila.errors import (
        APIError,
        APIStatusError,
        AquilaError,
        AuthenticationError,
        BadRequestError,
        CassetteError,
        CassetteMismatch,
        CassetteMissing,
        CassetteUnplayed,
        ConfigError,
        ConnectionFailed,
        ConnectTimeout,
        ContentFilterError,
        ContextLengthError,
        EmptyStream,
        FirstChunkTimeout,
        IdleTimeout,
        InternalServerError,
        NotFoundError,
        OverloadedError,
        PermissionDeniedError,
        ProtocolError,
        ProviderStreamError,
        QuotaExceededError,
        RateLimitError,
        SilenceTimeout,
        StreamError,
        StreamTruncated,
        TimeoutExceeded,
        ToolTimeout,
        TotalTimeout,
    )
    from aquila.events import (
        Chunk,
        Done,
        Event,
        Failed,
        ReasoningChunk,
        Retrying,
        Started,
        Status,
        Unknown,
        UsageUpdate,
    )
    from aquila.folding import fold
    from aquila.messages import Message
    from aquila.response import Response, Usage
    from aquila.retry import Retry
    from aquila.streams import Stream
    from aquila.timeouts import Timeouts

__version__ = "0.1.0"

__all__ = [
    "APIError",
    "APIStatusError",
    "AquilaError",
    "AuthenticationError",
    "BadRequestError",
    "CassetteError",
    "CassetteMismatch",
    "CassetteMissing",
    "CassetteUnplayed",
    "Chunk",
    "Client",
    "ConfigError",
    "ConnectTimeout",
    "ConnectionFailed",
    "ContentFilterError",
    "ContextLengthError",
    "Done",
    "EmptyStream",
    "Event",
    "Failed",
    "FirstChunkTimeout",
    "IdleTimeout",
    "InternalServerError",
    "Message",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProtocolError",
    "ProviderStreamError",
    "QuotaExceededError",
    "RateLimitError",
    "ReasoningChunk",
    "Response",
    "Retry",
    "Retrying",
    "SilenceTimeout",
    "Started",
    "Status",
    "Stream",
    "StreamError",
    "StreamTruncated",
    "TimeoutExceeded",
    "Timeouts",
    "ToolTimeout",
    "TotalTimeout",
    "Unknown",
    "Usage",
    "UsageUpdate",
    "ask",
    "cassette",
    "fold",
    "sink",
    "stream",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in {"cassette", "sink"}:
        return import_module(f"aquila.{name}")
    homes = {
        "client": ("Client", "ask", "stream"),
        "events": (
            "Chunk", "Done", "Event", "Failed", "ReasoningChunk", "Retrying", "Started", "Status", "Unknown",
            "UsageUpdate",
        ),
        "folding": ("fold",),
        "messages": ("Message",),
        "response": ("Response", "Usage"),
        "retry": ("Retry",),
        "streams": ("Stream",),
        "timeouts": ("Timeouts",),
    }  # fmt: skip
    home = next((module for module, names in homes.items() if name in names), "errors")
    return getattr(import_module(f"aquila.{home}"), name)
