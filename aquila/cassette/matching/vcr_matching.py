"""Matchers of vcrpy: functions of two requests, asked one recorded request after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from aquila.cassette.interaction import Interaction
from aquila.cassette.matching.rules import Matcher
from aquila.errors import ConfigError
from aquila.transport.base import Request


class VcrMatching:
    """Asks a project's own matchers.

    Args:
        interactions: The recorded ones.
        matchers: All must agree.
    """

    def __init__(self, interactions: Sequence[Interaction], matchers: Sequence[Matcher]) -> None:
        self._interactions = interactions
        self._matchers = matchers
        self._recorded: dict[int, Any] = {}

    def matches(self, request: Request, positions: Iterable[int]) -> Iterator[int]:
        """Find recorded requests that all matchers agree on.

        Args:
            request: As it would be recorded.
            positions: Of the interactions to ask about, in order.

        Yields:
            Their positions.

        Raises:
            ConfigError: vcrpy is missing.
        """
        sent = _vcr_request(request)
        for position in positions:
            if all(_agrees(matcher, sent, self._request(position)) for matcher in self._matchers):
                yield position

    def _request(self, position: int) -> Any:
        if position not in self._recorded:
            self._recorded[position] = _vcr_request(self._interactions[position].request)
        return self._recorded[position]


def _agrees(matcher: Matcher, sent: Any, recorded: Any) -> bool:
    try:
        verdict = matcher(sent, recorded)
    except AssertionError:
        return False
    # A matcher that only asserts gives None when all is well.
    return verdict is None or bool(verdict)


def _vcr_request(request: Request) -> Any:
    try:
        # It takes half a second to import, and few projects have matchers.
        from vcr.request import Request as VcrRequest  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError("match_on needs vcrpy; pip install 'aquila-llm[cassettes]'") from error
    return VcrRequest(request.method, request.url, request.body, dict(request.headers))
