"""Posts bytes to one address over HTTP, for adapters: no redirects, no cookies, a bounded answer."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPHandler, HTTPSHandler, OpenerDirector, ProxyHandler, Request

from aquila.errors import ConfigError
from aquila.transport.address import is_loopback
from chimeway.adapters.base import Unanswered
from chimeway.adapters.checked_values import check_seconds
from chimeway.errors import TemporaryFailure

#: Bytes of an answer that are read.
_LONGEST_ANSWER = 64_000
_AGENT = "aquila-chimeway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered."""

    status: int
    #: Lower-case names.
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Give the body's JSON value; None if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON values: the status, and the body."""
        given = self.json()
        body = self.body.decode("utf-8", "replace") if given is None else given
        return {"status": self.status, "body": body} if body else {"status": self.status}


class Poster:
    """Posts to one address. Proxies come from the environment, but for addresses on this machine.

    Args:
        url: Where to.
        timeout: Seconds for connecting, and for which the server may be silent.

    Raises:
        ConfigError: The URL is none that can be posted to, which the message does not show, or the timeout is none.
    """

    def __init__(self, url: str, timeout: float) -> None:
        host = _host(url)
        self._url = url
        self._timeout = check_seconds("timeout", timeout)
        #: The server, for messages: the rest of the address may be a secret.
        self.where = host
        # Made by hand: the usual opener follows redirects, and opens files.
        self._opener = OpenerDirector()
        self._opener.addheaders = []
        self._opener.add_handler(HTTPHandler())
        if url.lower().startswith("https:"):
            self._opener.add_handler(HTTPSHandler(context=ssl.create_default_context()))
        if not is_loopback(host):
            self._opener.add_handler(ProxyHandler())

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post, and give whatever the server answers.

        Args:
            body: What to post.
            headers: Its headers.

        Raises:
            TemporaryFailure: The server cannot be reached, or did not take the whole body.
            Unanswered: It had the whole body, and no answer came.
        """
        request = Request(self._url, data=body, headers={"User-Agent": _AGENT, **headers}, method="POST")  # noqa: S310 - _host has looked at it
        until = time.monotonic() + self._timeout
        try:
            response = self._opener.open(request, timeout=self._timeout)
        except URLError as error:
            # Raised until the body is sent.
            words = f"{self.where} cannot be reached: {type(error.reason).__name__}"
            raise TemporaryFailure(words) from None
        except (http.client.HTTPException, OSError) as error:
            raise Unanswered(
                f"{self.where} was sent the message and gave no answer: {type(error).__name__}"
            ) from None
        if response is None:
            raise TemporaryFailure(f"{self.where} cannot be reached in this way")
        with response:
            return Answer(
                status=response.status,
                headers={name.lower(): value for name, value in response.headers.items()},
                body=_read(response, until),
            )


def _read(response: http.client.HTTPResponse, until: float) -> bytes:
    """Read the beginning of the body. The status is known, so a connection that breaks now changes nothing."""
    pieces = b""
    try:
        while len(pieces) < _LONGEST_ANSWER and time.monotonic() < until:
            piece = response.read1(_LONGEST_ANSWER - len(pieces))
            if not piece:
                break
            pieces += piece
    except (http.client.HTTPException, OSError):
        return pieces
    return pieces


def _host(url: str) -> str:
    problem = "url= must begin with http:// or https:// and name a host; it is not shown here"
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"{problem}. It holds blanks, or characters that must be percent-encoded")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(problem) from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigError(problem)
    if parts.username is not None or parts.password is not None:
        raise ConfigError("url= must not hold a user name or a password; use headers={'authorization': ...}")
    return host
