"""Which recorded interaction answers a request: the next unplayed one with an equal method, URL and body."""

from __future__ import annotations

import hashlib
import threading
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

from aquila.cassette.interaction import Interaction
from aquila.cassette.matching.content import comparable, read_content
from aquila.cassette.matching.rules import DEFAULT_RULES, Rules
from aquila.cassette.matching.vcr_matching import VcrMatching
from aquila.cassette.secrets.redact import plain, redact_body, redact_request_headers, redact_url
from aquila.transport.base import Request

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def request_key(request: Request, rules: Rules = DEFAULT_RULES) -> str:
    """Give the digest that equal requests share: method, normalised URL, and what the body says. Headers do not count.

    Args:
        request: As it is sent or as it is recorded: without its secrets it is the same.
        rules: What else does not count.
    """
    state = hashlib.blake2b(digest_size=16)
    for part in (plain(request.method).upper(), normal_url(request.url, rules)):
        state.update(part.encode() + b"\0")
    body = redact_body(request.body, rules.redact, pieces=False)
    try:
        state.update(comparable(read_content(body, request.headers), rules))
    except RecursionError:
        # It is nested so deeply that it can be read and not written again.
        state.update(body)
    return state.hexdigest()


def normal_url(url: str, rules: Rules = DEFAULT_RULES) -> str:
    """Give the form in which URLs are compared: secrets replaced, default port and fragment gone, query sorted by name."""
    return _normal_url(url, rules.redact)


# Most requests of a program go to a few URLs.
@lru_cache(maxsize=256)
def _normal_url(url: str, names: frozenset[str]) -> str:
    clean = redact_url(url, names)
    try:
        parts = urlsplit(clean)
    except ValueError:
        return clean
    host = parts.netloc.lower().removesuffix(_DEFAULT_PORTS.get(parts.scheme, " "))
    # The order of one name's values is theirs.
    query = "&".join(sorted(parts.query.split("&"), key=lambda piece: piece.partition("=")[0]))
    return urlunsplit((parts.scheme, host, parts.path or "/", query, ""))


def as_written(request: Request, rules: Rules) -> Request:
    """Give a request as a cassette has it: its secrets are replaced."""
    return replace(
        request,
        method=plain(request.method),
        url=redact_url(request.url, rules.redact),
        headers=redact_request_headers(request.headers, rules.redact),
        body=redact_body(request.body, rules.redact, pieces=False),
    )


class Index:
    """Interactions by digest, each played once, equal ones in the order they were recorded. Any thread may use it.

    Args:
        interactions: Those of a file. Their keys must be those of the default rules.
        rules: How they are compared.
    """

    def __init__(self, interactions: Iterable[Interaction], rules: Rules = DEFAULT_RULES) -> None:
        self.interactions = tuple(interactions)
        self.rules = rules
        self._lock = threading.Lock()
        self._played: set[int] = set()
        self._places: dict[str, list[int]] = {}
        self._keys = tuple(recorded_key(item, rules) for item in self.interactions)
        for position, key in enumerate(self._keys):
            self._places.setdefault(key, []).append(position)
        # Backwards, so that the next one is the last, which is quick to take.
        self._waiting = {key: positions[::-1] for key, positions in self._places.items()}
        self._matching = VcrMatching(self.interactions, rules.match_on) if rules.match_on else None

    @property
    def places(self) -> Mapping[str, Sequence[int]]:
        """The positions of the interactions by their keys, played or not."""
        return MappingProxyType(self._places)

    def claim(self, key: str, request: Request | None = None) -> int | None:
        """Take the position of the next interaction that waits, in one atomic step; None if there is none.

        Args:
            key: The request's, under the index's rules.
            request: For the matchers of the rules, which are asked when no equal interaction waits.

        Raises:
            ConfigError: The matchers need vcrpy, which is missing.
        """
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting:
                return self._taken(waiting.pop())
        if self._matching is None or request is None:
            return None
        return self._claim_any(self._matching.matches(as_written(request, self.rules), self.waiting()))

    def give_back(self, position: int) -> None:
        """Put a claimed interaction back to its place, to be claimed again."""
        with self._lock:
            waiting = self._waiting[self._keys[position]]
            if position not in waiting:
                insort(waiting, position, key=lambda number: -number)

    def waiting(self) -> tuple[int, ...]:
        """Give the positions of the interactions that can be claimed."""
        with self._lock:
            return tuple(sorted(number for waiting in self._waiting.values() for number in waiting))

    def unplayed(self) -> tuple[int, ...]:
        """Give the positions of the interactions that nobody has ever claimed."""
        with self._lock:
            return tuple(number for number in range(len(self.interactions)) if number not in self._played)

    def _claim_any(self, positions: Iterable[int]) -> int | None:
        for position in positions:
            with self._lock:
                waiting = self._waiting[self._keys[position]]
                if position in waiting:
                    waiting.remove(position)
                    return self._taken(position)
        return None

    def _taken(self, position: int) -> int:
        self._played.add(position)
        return position


def recorded_key(interaction: Interaction, rules: Rules) -> str:
    """Give the digest of a recorded request; that of the default rules is known."""
    return request_key(interaction.request, rules) if rules.changes_keys else interaction.key
