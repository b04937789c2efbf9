"""Why a request is not in the cassette: the nearest recorded one, and the very words in which they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from aquila.cassette.matching.content import counting, read_content
from aquila.cassette.matching.likeness import Sketch
from aquila.cassette.matching.match import Index, as_written, normal_url, request_key
from aquila.cassette.matching.nearest import Original
from aquila.cassette.matching.request_differences import differences, goal_differences, ignored_differences
from aquila.cassette.matching.rules import Rules
from aquila.cassette.secrets.leaks import find_leak
from aquila.cassette.secrets.redact import REDACTED
from aquila.cassette.secrets.secret import SHORTEST_SECRET, request_secrets
from aquila.transport.base import Request

#: Differences listed before the rest is only counted.
MOST_LINES = 40


@dataclass(frozen=True, slots=True)
class Drift:
    """What a report is made of."""

    #: In the words of vcrpy. nothing_similar: nothing at all is recorded for the method and URL.
    reason: Literal["already_played", "no_match", "nothing_similar"]
    #: Position of the nearest interaction, from 1; None if the file holds none.
    number: int | None = None
    #: One difference each, `path: change`; for `already_played` one that says how often the request is recorded.
    lines: tuple[str, ...] = ()
    #: What differs and does not count, by rules of the project: `$.metadata.run_id`, `text in $.input`.
    ignored: tuple[str, ...] = ()
    #: Positions, from 1, of all interactions that equal the request, when they are played.
    equal: tuple[int, ...] = ()


def explain(request: Request, index: Index) -> Drift:
    """Find the recorded request nearest to one that found no answer, unplayed ones first."""
    equal = tuple(place + 1 for place in index.places.get(request_key(request, index.rules), ()))
    if equal:
        return Drift("already_played", equal[0], (_times(equal),), equal=equal)
    if not index.interactions:
        return Drift("nothing_similar")
    sent = _without_secrets(request, index.rules)
    goal = _goal(sent, index.rules)
    similar = [
        place for place, item in enumerate(index.interactions) if _goal(item.request, index.rules) == goal
    ]
    number = _nearest(sent, index, similar or range(len(index.interactions)))
    recorded = as_written(index.interactions[number].request, index.rules)
    if not similar and _path(recorded) != _path(sent):
        # Another endpoint has another kind of body, and every field of it would be a difference.
        return Drift("nothing_similar", number + 1, _shown(goal_differences(recorded, sent, index.rules)))
    return Drift(
        "no_match" if similar else "nothing_similar",
        number + 1,
        _shown(differences(recorded, sent, index.rules)),
        tuple(ignored_differences(recorded, sent, index.rules)),
    )


def _times(equal: Sequence[int]) -> str:
    if len(equal) == 1:
        return f"it is recorded once, as interaction {equal[0]}, and sent once more"
    *first, last = map(str, equal)
    return f"it is recorded {len(equal)} times, as interactions {', '.join(first)} and {last}, and sent once more"


def _goal(request: Request, rules: Rules) -> tuple[str, str]:
    return request.method.upper(), normal_url(request.url, rules)


def _path(request: Request) -> tuple[str, str]:
    try:
        return request.method.upper(), urlsplit(request.url).path
    except ValueError:
        return request.method.upper(), request.url


def _nearest(sent: Request, index: Index, places: Sequence[int]) -> int:
    original, url = (
        Original(counting(read_content(sent.body, sent.headers), index.rules)),
        Sketch(normal_url(sent.url, index.rules)),
    )
    unplayed = frozenset(index.waiting())

    def rank(place: int) -> tuple[bool, float, bool, int]:
        recorded = index.interactions[place].request
        content = counting(read_content(recorded.body, recorded.headers), index.rules)
        distance = original.distance(content)
        distance += 1.0 - url.likeness(Sketch(normal_url(recorded.url, index.rules)))
        return recorded.method.upper() != sent.method.upper(), distance, place not in unplayed, place

    return min(places, key=rank)


def _shown(lines: list[str]) -> tuple[str, ...]:
    if not lines:
        return ("the form of its body only",)
    shown = [_safe(line) for line in lines[:MOST_LINES]]
    more = len(lines) - len(shown)
    return (*shown, f"and {more} more difference{'s' if more > 1 else ''}") if more else tuple(shown)


def _without_secrets(request: Request, rules: Rules) -> Request:
    """Give a request as a cassette has it, without those secrets too that recording would refuse."""
    values = [
        *rules.secrets,
        *(secret.value for secret in request_secrets(request.url, request.headers, rules.redact)),
    ]
    written = as_written(request, rules)
    url, body = written.url, written.body
    for value in values:
        if len(value) >= SHORTEST_SECRET:
            url = url.replace(value, REDACTED)
            body = body.replace(value.encode(errors="surrogateescape"), REDACTED.encode())
    return replace(written, url=url, body=body)


def _safe(line: str) -> str:
    leak = find_leak([("", line.encode(errors="replace"))], ())
    return line if leak is None else f"{line.partition(': ')[0]}: differs, but holds {leak.kind}"
