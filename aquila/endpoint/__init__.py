"""Providers' dialects: build a body, decode events; and what is known of their servers."""

from aquila.endpoint.adapt import learn
from aquila.endpoint.base import Decoder, Endpoint
from aquila.endpoint.chat import ChatEndpoint
from aquila.endpoint.chat_decoder import ChatDecoder
from aquila.endpoint.failure import read_failure, status_error, stream_error
from aquila.endpoint.profile import Profile
from aquila.endpoint.profiles import PROFILES, profile_for
from aquila.endpoint.responses import ResponsesEndpoint
from aquila.endpoint.responses_decoder import ResponsesDecoder

__all__ = [
    "ChatDecoder",
    "ChatEndpoint",
    "Decoder",
    "Endpoint",
    "PROFILES",
    "Profile",
    "ResponsesDecoder",
    "ResponsesEndpoint",
    "learn",
    "profile_for",
    "read_failure",
    "status_error",
    "stream_error",
]
