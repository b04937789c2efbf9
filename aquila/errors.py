"""Every error Aquila raises, in one tree.

```
AquilaError
├── ConfigError                     the call or the environment is wrong; nothing was sent
├── APIError                        the provider answered with an error
│   └── APIStatusError              ... with an HTTP status
│       ├── BadRequestError         400, 422
│       │   ├── ContextLengthError
│       │   └── ContentFilterError
│       ├── AuthenticationError     401
│       ├── PermissionDeniedError   403
│       ├── NotFoundError           404
│       ├── RateLimitError          429
│       │   └── QuotaExceededError  429 that no waiting cures
│       └── InternalServerError     5xx
│           └── OverloadedError     503, 529
├── ConnectionFailed                no connection, or it broke
├── TimeoutExceeded                 one of the clocks ran out
│   ├── ConnectTimeout  SilenceTimeout  FirstChunkTimeout  IdleTimeout  TotalTimeout  ToolTimeout
├── StreamError                     the stream itself is wrong
│   ├── StreamTruncated             it ended without its terminal marker
│   ├── ProtocolError               it is not what it says: HTML, bad JSON, an event without end
│   ├── EmptyStream                 it ended without one event
│   └── ProviderStreamError         the provider reported an error inside it
├── ToolError                       raised by a tool: the model is told the message
├── ToolRoundsExceeded              the model goes on calling tools
├── OutputInvalid                   the answer has not the shape that `output=` asks for
├── Paused                          a person must approve tool calls: see `aquila.resume`
└── CassetteError
    ├── CassetteMissing             nothing recorded under that name
    ├── CassetteMismatch            no recorded interaction equals the request
    └── CassetteUnplayed            recorded interactions were not used
```

Each error has `retryable`, `partial` (what had arrived, or None), `request_id` and `attempts`; none contains a
secret; all of them pickle, because jobs carry them between processes.
"""

from __future__ import annotations

from typing import Any, ClassVar

from aquila.response import Response
from aquila.tool_call import ToolCall


def _rebuild(cls: type[AquilaError], args: tuple[Any, ...], state: dict[str, Any]) -> AquilaError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class AquilaError(Exception):
    """The root of the tree. `str(error)` says what happened and what to do next."""

    #: True when sending the same request again may succeed.
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        partial: Response | None = None,
        request_id: str | None = None,
        attempts: int = 0,
    ) -> None:
        super().__init__(message)
        #: What had arrived before the failure; None if nothing was sent.
        self.partial = partial
        #: The provider's id of the HTTP request; None if it gave none.
        self.request_id = request_id
        #: HTTP requests made, this one included.
        self.attempts = attempts

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, dict(self.__dict__)))


class ConfigError(AquilaError):
    """The call or the environment is wrong, and nothing was sent."""


class APIError(AquilaError):
    """The provider answered with an error."""


class APIStatusError(APIError):
    """The provider answered with an error status."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        body: str = "",
        retry_after: float | None = None,
        **facts: Any,
    ) -> None:
        super().__init__(message, **facts)
        #: The HTTP status, or the one an error inside a stream stands for.
        self.status_code = status_code
        #: The start of the provider's answer, at most 2,000 characters.
        self.body = body
        #: Seconds the provider asks to wait; None if it did not say.
        self.retry_after = retry_after


class BadRequestError(APIStatusError):
    """400 or 422: the provider does not accept the request."""


class ContextLengthError(BadRequestError):
    """The prompt and the answer do not fit the model's context."""


class ContentFilterError(BadRequestError):
    """The provider's filter stopped the prompt."""


class AuthenticationError(APIStatusError):
    """401: the key is missing or wrong."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class NotFoundError(APIStatusError):
    """404: no such model or endpoint."""


class RateLimitError(APIStatusError):
    """429: too many requests or tokens for now."""

    retryable = True


class QuotaExceededError(RateLimitError):
    """429 that no waiting cures: the account's quota is used up."""

    retryable = False


class InternalServerError(APIStatusError):
    """5xx: the provider failed."""

    retryable = True


class OverloadedError(InternalServerError):
    """503 or 529: the provider has no capacity for now."""


class ConnectionFailed(AquilaError):
    """No connection could be made, or it broke."""

    retryable = True


class TimeoutExceeded(AquilaError):
    """One of the clocks of `Timeouts` ran out."""

    #: The clock's name, as in `Timeouts`.
    clock: ClassVar[str] = ""

    def __init__(self, message: str, *, seconds: float, **facts: Any) -> None:
        super().__init__(message, **facts)
        #: The limit that ran out, in seconds.
        self.seconds = seconds


class ConnectTimeout(TimeoutExceeded):
    """No connection within `connect` seconds."""

    clock = "connect"
    retryable = True


class SilenceTimeout(TimeoutExceeded):
    """No byte for `silence` seconds. The provider may have gone on and bills, so it is not retried."""

    clock = "silence"


class FirstChunkTimeout(TimeoutExceeded):
    """No content within `first_chunk` seconds. The provider may have gone on and bills, so it is not retried."""

    clock = "first_chunk"


class IdleTimeout(TimeoutExceeded):
    """No further content for `idle` seconds, though bytes may have come (keep-alive comments)."""

    clock = "idle"


class TotalTimeout(TimeoutExceeded):
    """The whole run, retries and sinks included, took longer than `total` seconds."""

    clock = "total"


class ToolTimeout(TimeoutExceeded):
    """One tool call took longer than `tool` seconds."""

    clock = "tool"


class StreamError(AquilaError):
    """The stream is not what it should be."""

    retryable = True


class StreamTruncated(StreamError):
    """The stream ended without its terminal marker; `partial` holds what came."""


class ProtocolError(StreamError):
    """The answer is no event stream: HTML, broken JSON, an event without end."""

    retryable = False


class EmptyStream(StreamError):
    """The stream ended without one event."""


class ProviderStreamError(StreamError):
    """The provider reported an error inside the stream."""

    def __init__(self, message: str, *, code: str | int | None = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        #: The provider's own code.
        self.code = code


class ToolError(AquilaError):
    """Raised by a tool of the user's: the model is told the message, and the run goes on."""


class ToolRoundsExceeded(AquilaError):
    """The model goes on calling tools although it must not; `partial.messages` is the conversation."""


class OutputInvalid(AquilaError):
    """The answer has not the shape asked for, also after the model was told what is wrong; `partial` holds it."""

    def __init__(self, message: str, *, problems: tuple[str, ...] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        #: What is wrong, one field a line: `items.0.price: Input should be a valid number`.
        self.problems = problems


class Paused(AquilaError):
    """The run waits for a person's word on some tool calls; `aquila.resume(error.state, approvals)` goes on."""

    def __init__(
        self, message: str, *, state: dict[str, Any], calls: tuple[ToolCall, ...], **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        #: All that is needed to go on, as JSON-ready values; it holds the conversation and no secret.
        self.state = state
        #: The calls that need approval.
        self.calls = calls


class CassetteError(AquilaError):
    """A cassette cannot be read, written or matched."""


class CassetteMissing(CassetteError):
    """Nothing is recorded under that name, or a test that must name a cassette names none."""

    #: vcrpy's word for it.
    reason = "cassette_not_found"


class CassetteMismatch(CassetteError):
    """No recorded interaction that is left equals the request."""

    def __init__(
        self, message: str, *, reason: str = "", number: int | None = None, diff: str = "", **facts: Any
    ) -> None:
        super().__init__(message, **facts)
        #: vcrpy's words: `no_match`, `already_played` or `nothing_similar`.
        self.reason = reason or "no_match"
        #: The nearest recorded interaction, counted from 1; None if there is none.
        self.number = number
        #: What differs from the nearest recorded request, one JSON path a line.
        self.diff = diff


class CassetteUnplayed(CassetteError):
    """A test passed without using all that its cassettes hold."""
