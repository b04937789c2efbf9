"""Which failures another model may make good. Pure."""

from __future__ import annotations

from aquila.errors import (
    AquilaError,
    ConnectionFailed,
    ContentFilterError,
    ContextLengthError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    StreamError,
    TimeoutExceeded,
    TotalTimeout,
)

#: What is about the model, its provider or the way there. A wrong key or a wrong request is the user's to mend, and would
#: be hidden by an answer from somewhere else.
_ELSEWHERE = (
    ConnectionFailed,
    ContentFilterError,
    ContextLengthError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    StreamError,
    TimeoutExceeded,
)


def may_fall_back(error: AquilaError) -> bool:
    """Say whether another model may answer what this error kept one from answering."""
    return isinstance(error, _ELSEWHERE) and not isinstance(error, TotalTimeout)
