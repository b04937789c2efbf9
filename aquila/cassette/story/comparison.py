"""What differs between two cassettes in meaning: requests and answers, never ids, chunks or times. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, TypeAlias

from aquila.cassette.body.jsonbody import parse
from aquila.cassette.interaction import Interaction
from aquila.cassette.matching.match import normal_url, request_key
from aquila.cassette.matching.request_differences import differences
from aquila.cassette.matching.rules import DEFAULT_RULES, Rules
from aquila.cassette.story.answer_events import Told, read_answer
from aquila.transport.base import Request

_WORD = re.compile(rb"\w+")
#: A method and a URL.
_Place: TypeAlias = tuple[str, str]
#: Pairs of unequal requests whose likeness is measured; of more, those at the same place belong together.
_MOST_MEASURED = 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An interaction of each cassette that belong together, by number from 1, and how they differ."""

    left: int
    right: int
    #: One difference each, `path: change`.
    request: tuple[str, ...]
    answer: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether both say the same."""
        return not (self.request or self.answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs between two cassettes."""

    #: All that belong together, equal ones too, in the order of the right one.
    pairs: tuple[Pair, ...]
    #: Numbers, from 1, of interactions that only one of them has.
    only_left: tuple[int, ...]
    only_right: tuple[int, ...]

    @property
    def equal(self) -> bool:
        """Whether both cassettes say the same."""
        return not (self.only_left or self.only_right) and all(pair.equal for pair in self.pairs)


def compare(
    left: Sequence[Interaction], right: Sequence[Interaction], rules: Rules = DEFAULT_RULES
) -> Comparison:
    """Compare two cassettes; the order of their interactions does not count.

    Equal requests belong together first, in their order; then those that have most words in common, if they go to the
    same place.

    Args:
        left: One cassette.
        right: The other.
        rules: What does not count in requests.
    """
    pairs = _by_key([_key(each, rules) for each in left], [_key(each, rules) for each in right])
    same = frozenset(pairs)
    pairs += _by_likeness(
        _by_place(left, {pair[0] for pair in same}), _by_place(right, {pair[1] for pair in same})
    )
    taken = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    return Comparison(
        pairs=tuple(
            Pair(
                left=mine + 1,
                right=other + 1,
                request=() if (mine, other) in same else _requests(left[mine], right[other], rules),
                answer=_answers(left[mine], right[other]),
            )
            for mine, other in sorted(pairs, key=lambda pair: pair[1])
        ),
        only_left=tuple(number + 1 for number in range(len(left)) if number not in taken[0]),
        only_right=tuple(number + 1 for number in range(len(right)) if number not in taken[1]),
    )


def _key(interaction: Interaction, rules: Rules) -> str:
    return interaction.key if rules == DEFAULT_RULES else request_key(interaction.request, rules)


def _by_key(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    waiting: defaultdict[str, deque[int]] = defaultdict(deque)
    for number, key in enumerate(left):
        waiting[key].append(number)
    return [(waiting[key].popleft(), number) for number, key in enumerate(right) if waiting.get(key)]


def _by_place(
    interactions: Sequence[Interaction], without: AbstractSet[int]
) -> dict[_Place, dict[int, Interaction]]:
    places: defaultdict[_Place, dict[int, Interaction]] = defaultdict(dict)
    for number, interaction in enumerate(interactions):
        if number not in without:
            request = interaction.request
            places[request.method.upper(), normal_url(request.url)][number] = interaction
    return places


def _by_likeness(
    left: Mapping[_Place, Mapping[int, Interaction]], right: Mapping[_Place, Mapping[int, Interaction]]
) -> list[tuple[int, int]]:
    """Give the pairs that are most like each other, each interaction in one of them."""
    pairs: list[tuple[int, int]] = []
    for place in left.keys() & right.keys():
        ours, theirs = left[place], right[place]
        if len(ours) * len(theirs) > _MOST_MEASURED:
            pairs += zip(ours, theirs, strict=False)
        else:
            words = ({number: _words(each) for number, each in side.items()} for side in (ours, theirs))
            pairs += _nearest(*words)
    return pairs


def _nearest(
    ours: Mapping[int, frozenset[bytes]], theirs: Mapping[int, frozenset[bytes]]
) -> list[tuple[int, int]]:
    ranked = sorted(
        (-len(words & more) / (len(words | more) or 1), abs(mine - other), mine, other)
        for mine, words in ours.items()
        for other, more in theirs.items()
    )
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, mine, other in ranked:
        if mine not in pairs and other not in taken:
            pairs[mine] = other
            taken.add(other)
    return list(pairs.items())


def _words(interaction: Interaction) -> frozenset[bytes]:
    return frozenset(_WORD.findall(interaction.request.body))


def _requests(before: Interaction, after: Interaction, rules: Rules) -> tuple[str, ...]:
    return tuple(differences(before.request, after.request, rules)) or ("the form of its body only",)


def _answers(before: Interaction, after: Interaction) -> tuple[str, ...]:
    # An answer's meaning is JSON like a request's body, and its differences are told in the same words.
    try:
        bodies = [json.dumps(_facts(each)).encode() for each in (before, after)]
    except RecursionError:
        # It is nested so deeply that it can be read and not written again.
        bodies = [before.body, after.body]
    recorded, again = (Request(method="GET", url="/", body=body) for body in bodies)
    return tuple(line.removeprefix("$.") for line in differences(recorded, again))


def _facts(interaction: Interaction) -> dict[str, Any]:
    told = read_answer(interaction)
    failure = interaction.failure
    facts = {
        "status": interaction.status,
        "failure": None if failure is None else f"{failure.error}: {failure.message}",
        **(_said(told) if told is not None and told.moments else {"body": _body(interaction.body)}),
    }
    # What says nothing is absent, or an empty list would differ from the items of a full one.
    return {name: value for name, value in facts.items() if value not in (None, "", [])}


def _said(told: Told) -> dict[str, Any]:
    response = told.response
    return {
        "problem": told.problem,
        "model": response.model,
        "reasoning": response.reasoning,
        "text": response.text,
        "refusal": response.refusal,
        "tool_calls": [
            {"name": call.name, "arguments": call.text if call.arguments is None else call.arguments}
            for call in told.calls
        ],
        "finish_reason": response.finish_reason,
        "usage": response.usage.to_dict() if response.usage is not None else None,
    }


def _body(body: bytes) -> Any:
    value = parse(body)
    if value is not None:
        return value
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"{len(body):,} bytes, sha256 {hashlib.sha256(body).hexdigest()}"
