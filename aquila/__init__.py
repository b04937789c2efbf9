"""Stream LLMs from a one-line script to a durable job, with tests that replay offline.

Every name is imported on first use, so that `import aquila` costs next to nothing and opens nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aquila import cassette, research, sink, sync
    from aquila.assistant import Assistant
    from aquila.client import Client, ask, resume, stream
    from aquila.embeddings import Embeddings, embed
    from aquila.endpoint.profile import Profile
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
        OutputInvalid,
        OverloadedError,
        Paused,
        PermissionDeniedError,
        ProtocolError,
        ProviderStreamError,
        QuotaExceededError,
        RateLimitError,
        SilenceTimeout,
        StreamError,
        StreamTruncated,
        TimeoutExceeded,
        ToolError,
        ToolRoundsExceeded,
        ToolTimeout,
        TotalTimeout,
    )
    from aquila.events import (
        Annotation,
        Chunk,
        Done,
        Event,
        Failed,
        Partial,
        ReasoningChunk,
        Resumed,
        Retrying,
        Started,
        Status,
        ToolCallChunk,
        ToolCallStarted,
        Unknown,
        UsageUpdate,
    )
    from aquila.folding import fold
    from aquila.messages import Message
    from aquila.options import Options
    from aquila.parts import audio, file, image
    from aquila.prices import cost_of
    from aquila.rate_limits import RateLimits
    from aquila.response import Response, Usage
    from aquila.retry import Retry
    from aquila.storage import cancel_response, delete_response, retrieve_response
    from aquila.streams import Stream
    from aquila.timeouts import Timeouts
    from aquila.tool_call import ToolCall, ToolResult
    from aquila.tools import Context, Tool, ToolOutput, tool
    from aquila.transcription import Transcription, stream_transcription, transcribe_audio

__version__ = "0.1.0"

__all__ = [
    "APIError",
    "APIStatusError",
    "Annotation",
    "AquilaError",
    "Assistant",
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
    "Context",
    "ContextLengthError",
    "Done",
    "Embeddings",
    "EmptyStream",
    "Event",
    "Failed",
    "FirstChunkTimeout",
    "IdleTimeout",
    "InternalServerError",
    "Message",
    "NotFoundError",
    "Options",
    "OutputInvalid",
    "OverloadedError",
    "Partial",
    "Paused",
    "PermissionDeniedError",
    "Profile",
    "ProtocolError",
    "ProviderStreamError",
    "QuotaExceededError",
    "RateLimitError",
    "RateLimits",
    "ReasoningChunk",
    "Response",
    "Resumed",
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
    "Tool",
    "ToolCall",
    "ToolCallChunk",
    "ToolCallStarted",
    "ToolError",
    "ToolOutput",
    "ToolResult",
    "ToolRoundsExceeded",
    "ToolTimeout",
    "TotalTimeout",
    "Transcription",
    "Unknown",
    "Usage",
    "UsageUpdate",
    "ask",
    "audio",
    "cancel_response",
    "cassette",
    "cost_of",
    "delete_response",
    "embed",
    "file",
    "fold",
    "image",
    "research",
    "resume",
    "retrieve_response",
    "sink",
    "stream",
    "stream_transcription",
    "sync",
    "tool",
    "transcribe_audio",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in {"cassette", "research", "sink", "sync"}:
        return import_module(f"aquila.{name}")
    homes = {
        "assistant": ("Assistant",),
        "client": ("Client", "ask", "resume", "stream"),
        "embeddings": ("Embeddings", "embed"),
        "endpoint.profile": ("Profile",),
        "events": (
            "Annotation", "Chunk", "Done", "Event", "Failed", "Partial", "ReasoningChunk", "Resumed", "Retrying",
            "Started", "Status", "ToolCallChunk", "ToolCallStarted", "Unknown", "UsageUpdate",
        ),
        "folding": ("fold",),
        "messages": ("Message",),
        "options": ("Options",),
        "parts": ("audio", "file", "image"),
        "prices": ("cost_of",),
        "rate_limits": ("RateLimits",),
        "response": ("Response", "Usage"),
        "retry": ("Retry",),
        "storage": ("cancel_response", "delete_response", "retrieve_response"),
        "streams": ("Stream",),
        "timeouts": ("Timeouts",),
        "tool_call": ("ToolCall", "ToolResult"),
        "tools": ("Context", "Tool", "ToolOutput", "tool"),
        "transcription": ("Transcription", "stream_transcription", "transcribe_audio"),
    }  # fmt: skip
    home = next((module for module, names in homes.items() if name in names), "errors")
    # Kept, so that the next look at the name costs nothing: loops compare events with `aquila.Chunk`.
    value = globals()[name] = getattr(import_module(f"aquila.{home}"), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
