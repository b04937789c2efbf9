from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest

from aquila.errors import (
    AquilaError,
    ConfigError,
    ConnectionFailed,
    ConnectTimeout,
    FirstChunkTimeout,
    ProtocolError,
    SilenceTimeout,
)
from aquila.transport.guest import GuestTransport
from aquila.transport.guest_errors import to_ours, to_theirs
from aquila.transport.guest_request import find_library, library_of, read_request_sync
from tests.guests import BOTH


class OwnRequest(httpx2.Request):
    """A request of somebody's own class."""


def test_a_request_belongs_to_the_library_its_class_derives_from() -> None:
    assert library_of(httpx.Request("GET", "http://e.test/")) is httpx
    assert library_of(OwnRequest("GET", "http://e.test/")) is httpx2
    assert find_library(SimpleNamespace) is None
    with pytest.raises(ConfigError, match="SimpleNamespace is no request of httpx or httpx2"):
        library_of(SimpleNamespace())


@BOTH
def test_a_request_is_read_without_what_belongs_to_its_sending(library: Any) -> None:
    given = library.Request(
        "post", "http://e.test:80/ä?b=1", json={"a": 1}, headers={"X-Team": "blue"}, extensions={"timeout": {"connect": 3}}
    )  # fmt: skip
    request = read_request_sync(given)

    assert (request.method, request.url) == ("POST", str(given.url))
    assert request.headers == {"x-team": "blue", "content-type": "application/json"}
    assert request.body.replace(b" ", b"") == b'{"a":1}'
    assert request.connect_timeout == 3.0


ERRORS: list[tuple[AquilaError, bool, str, str]] = [
    (ConnectionFailed("refused"), False, "ConnectError", "refused"),
    (ConnectionFailed("gone"), True, "RemoteProtocolError", "gone"),
    (ConnectTimeout("slow", seconds=1), False, "ConnectTimeout", "slow"),
    (SilenceTimeout("silent", seconds=1), True, "ReadTimeout", "silent"),
    (FirstChunkTimeout("silent", seconds=1), False, "ReadTimeout", "silent"),
    (ProtocolError("no gzip"), False, "RemoteProtocolError", "no gzip"),
    # What a person or another tool has written into a file.
    (ConnectionFailed("ReadTimeout: recorded"), False, "ReadTimeout", "recorded"),
    (ConnectionFailed("WriteError: broken: pipe"), True, "WriteError", "broken: pipe"),
    (ConnectionFailed("HTTPStatusError: no network"), False, "ConnectError", "HTTPStatusError: no network"),
    (ConnectionFailed("Client: no error at all"), False, "ConnectError", "Client: no error at all"),
    (ConnectionFailed("__name__: nor this"), False, "ConnectError", "__name__: nor this"),
]


@BOTH
@pytest.mark.parametrize(("error", "answered", "name", "says"), ERRORS, ids=str)
def test_our_errors_become_those_of_the_library(
    library: Any, error: AquilaError, answered: bool, name: str, says: str
) -> None:
    request = library.Request("GET", "http://e.test/")
    failure = to_theirs(error, library, request, answered=answered)
    assert type(failure) is getattr(library, name)
    assert str(failure) == says
    assert failure.request is request
    assert failure.__cause__ is error


@BOTH
@pytest.mark.parametrize("name", ["ConnectError", "ConnectTimeout", "PoolTimeout", "ReadError", "ReadTimeout",
                                  "RemoteProtocolError", "WriteError", "WriteTimeout"])  # fmt: skip
@pytest.mark.parametrize("encoding", [None, "identity"], ids=["unanswered", "answered"])
def test_an_error_of_the_library_comes_back_as_the_same_class(
    library: Any, name: str, encoding: str | None
) -> None:
    limits = {"connect": 1.0, "read": 2.0, "write": None, "pool": 1.0}
    request = library.Request("GET", "http://user:word@e.test:8080/", extensions={"timeout": limits})
    ours = to_ours(getattr(library, name)("broken"), library, request, encoding=encoding)

    assert str(ours).startswith(f"{name}: ")
    assert "e.test:8080" in str(ours)
    assert "word" not in str(ours)
    answered = encoding is not None
    assert type(
        to_theirs(type(ours)(*ours.args, **facts(ours)), library, request, answered=answered)
    ) is getattr(library, name)
    assert (
        to_theirs(raised(ours, getattr(library, name)("x")), library, request, answered=answered)
        is ours.__cause__
    )


def facts(error: AquilaError) -> dict[str, Any]:
    return {"seconds": error.seconds} if isinstance(error, SilenceTimeout | ConnectTimeout) else {}


def raised(error: AquilaError, cause: BaseException) -> AquilaError:
    error.__cause__ = cause
    return error


class Shut(GuestTransport):
    """Notes how it was closed."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    async def aclose(self) -> None:
        self.closed.append("aclose")

    def close(self) -> None:
        self.closed.append("close")


@BOTH
async def test_a_client_closes_its_transport_once(library: Any) -> None:
    shut = Shut()
    async with library.AsyncClient(transport=shut):
        pass
    with library.Client(transport=shut):
        pass
    assert shut.closed == ["aclose", "close"]
