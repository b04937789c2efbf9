"""One whole answer, and the JSON in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from aquila.endpoint import read_failure, stream_error
from aquila.endpoint.wire_json import UNREADABLE
from aquila.errors import AquilaError, EmptyStream, ProtocolError
from aquila.rate_limits import RateLimits, read_rate_limits

_BOM = b"\xef\xbb\xbf"
_EXCERPT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer with a status that is no error."""

    url: str
    status: int
    #: Lower-case names.
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def request_id(self) -> str | None:
        """The provider's id of the request; None if it gave none."""
        return self.headers.get("x-request-id")

    @property
    def rate_limits(self) -> RateLimits | None:
        """What the provider says of its limits; None if it says nothing."""
        return read_rate_limits(self.headers)

    @property
    def kind(self) -> str:
        """The content type without its parameters, in lower case; empty if the answer names none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def read_object(reply: Reply) -> dict[str, Any]:
    """Read an answer that must be a JSON object.

    Raises:
        EmptyStream: The answer is empty.
        ProtocolError: It is something else.
        AquilaError: It is an error of the provider's in a shape that is no object.
    """  # noqa: DOC501 - what `unexpected` makes is one of these
    body = reply.body.removeprefix(_BOM).strip()
    if not body:
        raise EmptyStream(f"{reply.url} answered {reply.status} with an empty body")
    try:
        value = msgspec.json.decode(body)
    except UNREADABLE:
        value = None
    if isinstance(value, dict):
        return value
    raise unexpected(reply, value, "a JSON object")


def unexpected(reply: Reply, value: object, wanted: str) -> AquilaError:
    """Make the error for an answer that is not what it should be: the provider's own, if that is what it holds.

    Args:
        reply: The answer.
        value: What it says, decoded; None if it is no JSON.
        wanted: What it should be, in words.
    """
    failure = read_failure(value)
    if failure is not None:
        return stream_error(failure)
    excerpt = " ".join(reply.body[:_EXCERPT].decode("utf-8", "replace").split())
    return ProtocolError(
        f"{reply.url} answered {reply.status} (content-type {reply.kind or 'none'}), and the answer is not {wanted}; "
        f"check the base URL: {excerpt}",
        request_id=reply.request_id,
    )
