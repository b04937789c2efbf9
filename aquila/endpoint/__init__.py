"""Providers' dialects, one file each: build a body, decode events."""

from aquila.endpoint.base import Decoder, Endpoint
from aquila.endpoint.chat import ChatDecoder, ChatEndpoint
from aquila.endpoint.failure import read_failure, status_error, stream_error

__all__ = [
    "ChatDecoder",
    "ChatEndpoint",
    "Decoder",
    "Endpoint",
    "read_failure",
    "status_error",
    "stream_error",
]
