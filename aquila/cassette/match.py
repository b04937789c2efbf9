"""Which recorded interaction answers a request: the next unplayed one with an equal method, URL and body."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from aquila.cassette.interaction import Interaction
from aquila.cassette.jsonbody import canonical
from aquila.cassette.redact import redact_url
from aquila.transport.base import Request

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def request_key(request: Request) -> str:
    """Give the digest that equal requests share: method, normalised URL and canonical body. Headers do not count."""
    state = hashlib.blake2b(digest_size=16)
    for part in (request.method.upper().encode(), normal_url(request.url).encode(errors="replace")):
        state.update(part + b"\0")
    state.update(canonical(request.body))
    return state.hexdigest()


def normal_url(url: str) -> str:
    """Give the form in which URLs are compared: secrets replaced, default port and fragment gone, query sorted."""
    clean = redact_url(url)
    try:
        parts = urlsplit(clean)
    except ValueError:
        return clean
    host = parts.netloc.lower().removesuffix(_DEFAULT_PORTS.get(parts.scheme, " "))
    query = "&".join(sorted(parts.query.split("&")))
    return urlunsplit((parts.scheme, host, parts.path or "/", query, ""))


class Index:
    """Interactions by digest, each played once, equal ones in the order they were recorded."""

    def __init__(self, interactions: Iterable[Interaction]) -> None:
        self.interactions = tuple(interactions)
        self._waiting: dict[str, deque[int]] = {}
        for number, interaction in enumerate(self.interactions):
            self._waiting.setdefault(interaction.key, deque()).append(number)

    def claim(self, key: str) -> Interaction | None:
        """Take the next unplayed interaction, in one atomic step; None if there is none."""
        waiting = self._waiting.get(key)
        try:
            return self.interactions[waiting.popleft()] if waiting is not None else None
        except IndexError:
            return None

    def unplayed(self) -> frozenset[int]:
        """Give the positions of the interactions that nobody has claimed."""
        return frozenset(number for waiting in self._waiting.values() for number in waiting)
