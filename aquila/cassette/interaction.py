"""One request and everything that came back, with the time each chunk came at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from aquila.transport.base import Request

#: complete: the source ended, or its terminal event came. cut: the reader closed early. abandoned: the reader went
#: away without closing. error: the connection failed; `Interaction.failure` says how.
End = Literal["complete", "cut", "abandoned", "error"]

#: The status of an interaction without an answer, for tools that know nothing of ours.
NO_ANSWER_STATUS = 599


class TimedChunk(NamedTuple):
    """Bytes as they came, and when: milliseconds since the request was sent."""

    at_ms: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A network failure, before the answer or in the middle of it."""

    #: The name of the error's class in `aquila.errors`.
    error: str
    message: str
    #: The limit that ran out, in seconds; None if the failure is no time-out.
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One recorded exchange. Headers are redacted, names lower-case."""

    request: Request
    #: The digest requests are matched by.
    key: str
    status: int
    reason: str
    headers: Mapping[str, str]
    chunks: tuple[TimedChunk, ...]
    end: End = "complete"
    failure: Failure | None = None
    #: Order of the requests' starts; None in files of other tools.
    seq: int | None = None
    #: Aware; None in files of other tools.
    recorded_at: datetime | None = None
    #: Milliseconds from the request until the answer's headers and until its end.
    head_ms: int = 0
    total_ms: int = 0
    #: As served; None if the answer does not say.
    model: str | None = None
    #: Tokens: `input`, `output`, `cached`; None if the answer does not say.
    usage: Mapping[str, int] | None = None
    #: The price in US dollars on the day of recording; None if it is not known.
    cost_usd: Decimal | None = None
    #: `written` marks a fixture written by hand from a specification; None a recording.
    source: str | None = None
    #: True when the body was changed by hand, so that its chunk boundaries and times no longer hold.
    edited: bool = False
    #: The interaction as its file has it, so that saving it again loses nothing; None for a new one.
    document: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    @property
    def body(self) -> bytes:
        """The whole body of the answer, decoded."""
        return b"".join(chunk.data for chunk in self.chunks)

    @property
    def is_settled(self) -> bool:
        """Whether it ended at the provider's: not for want of a connection, and not because its reader gave up."""
        failure = self.failure
        gone = failure is not None and (failure.seconds is not None or self.status == NO_ANSWER_STATUS)
        return not gone and self.end not in {"cut", "abandoned"}
