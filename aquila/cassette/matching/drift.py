"""Why a request is not in the cassette: the nearest recorded one, and the very words in which they differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from aquila.cassette.matching.content import counting, read_content
from aquila.cassette.matching.likeness import Sketch
from aquila.cassette.matching.match import Index, as_written, normal_url, request_key
from aquila.cassette.matching.nearest import Original
from aquila.cassette.matching.request_differences import differences, goal_differences, ignored_differences
from aquila.cassette.matching.rules import Rules
from aquila.cassette.secrets.hiding import Hider
from aquila.cassette.secrets.secret import Secret, request_secrets
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


def explain(request: Request, index: Index, secrets: Iterable[Secret] = ()) -> Drift:
    """Find the recorded request nearest to one that found no answer, unplayed ones first.

    Args:
        request: As it is sent.
        index: What is recorded.
        secrets: Values that must not be told, besides those of the rules and of the request itself.
    """
    equal = tuple(place + 1 for place in index.places.get(request_key(request, index.rules), ()))
    if equal:
        return Drift("already_played", equal[0], (_times(equal),), equal=equal)
    if not index.interactions:
        return Drift("nothing_similar")
    hider, written = _hider(request, index.rules, secrets), as_written(request, index.rules)
    sent = hider.request(written)
    goal = _goal(sent, index.rules)
    similar = [
        place for place, item in enumerate(index.interactions) if _goal(item.request, index.rules) == goal
    ]
    number = _nearest(sent, index, similar or range(len(index.interactions)))
    recorded = hider.request(as_written(index.interactions[number].request, index.rules))
    if not similar and _path(recorded) != _path(sent):
        # Another endpoint has another kind of body, and every field of it would be a difference.
        return Drift(
            "nothing_similar", number + 1, _shown(goal_differences(recorded, sent, index.rules), hider)
        )
    return Drift(
        "no_match" if similar else "nothing_similar",
        number + 1,
        _shown(differences(recorded, sent, index.rules) or [_unseen(written, sent)], hider),
        tuple(ignored_differences(recorded, sent, index.rules)),
    )


def goal_text(request: Request, rules: Rules, secrets: Iterable[Secret] = ()) -> str:
    """Say where a request goes: `POST https://api.example.test/v1/chat/completions`, without the query and secrets.

    Args:
        request: As it is sent.
        rules: Those of the cassette.
        secrets: Values that must not be told, besides those of the rules and of the request itself.
    """
    clean = _hider(request, rules, secrets).request(as_written(request, rules))
    return f"{clean.method} {clean.url.partition('?')[0].partition('#')[0]}"


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


def _unseen(written: Request, sent: Request) -> str:
    return "the form of its body only" if written == sent else "a secret only, which is not recorded"


def _shown(lines: list[str], hider: Hider) -> tuple[str, ...]:
    shown = [_safe(line, hider) for line in lines[:MOST_LINES]]
    more = len(lines) - len(shown)
    return (*shown, f"and {more} more difference{'s' if more > 1 else ''}") if more else tuple(shown)


def _safe(line: str, hider: Hider) -> str:
    leak = hider.leak(line)
    return line if leak is None else f"{line.partition(': ')[0]}: differs, but holds {leak.kind}"


def _hider(request: Request, rules: Rules, secrets: Iterable[Secret]) -> Hider:
    own = request_secrets(request.url, request.headers, rules.redact)
    named = (Secret("a secret named for the cassette", value) for value in rules.secrets)
    return Hider((*secrets, *named, *own), rules.allow)
