"""Ways to send a request. The HTTP library is imported with the transport that needs it, not before."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aquila.transport.base import LOCAL_BASE_URL, LOCAL_MODEL, Request, Transport, TransportResponse
from aquila.transport.borrowed import BorrowedTransport
from aquila.transport.sse import ServerSentEvent, SSEDecoder

if TYPE_CHECKING:
    from aquila.transport.default import local_transport, openai_transport
    from aquila.transport.local import LocalTransport
    from aquila.transport.openai import OpenAITransport
    from aquila.transport.pacing import PacedTransport, Pacing
    from aquila.transport.routes import RoutedTransport

__all__ = [
    "BorrowedTransport",
    "LOCAL_BASE_URL",
    "LOCAL_MODEL",
    "LocalTransport",
    "OpenAITransport",
    "PacedTransport",
    "Pacing",
    "Request",
    "RoutedTransport",
    "SSEDecoder",
    "ServerSentEvent",
    "Transport",
    "TransportResponse",
    "local_transport",
    "openai_transport",
]


def __getattr__(name: str) -> Any:
    homes = {
        "LocalTransport": "local",
        "OpenAITransport": "openai",
        "PacedTransport": "pacing",
        "Pacing": "pacing",
        "RoutedTransport": "routes",
        "local_transport": "default",
        "openai_transport": "default",
    }
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Kept, because calls ask for their transport by name.
    value = globals()[name] = getattr(import_module(f"aquila.transport.{homes[name]}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
