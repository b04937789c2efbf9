"""Why a request is not in the cassette: the nearest recorded one, and the very words in which they differ."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate
from typing import Any, Literal

from aquila.cassette.interaction import Interaction
from aquila.cassette.jsonbody import leaves, parse
from aquila.cassette.match import Index, normal_url, request_key
from aquila.transport.base import Request

#: Differences listed before the rest is only counted.
MOST_LINES = 12
MOST_CHANGES = 4
#: Characters shown around a change, and of a change itself, from its beginning.
CONTEXT = 30
LONGEST_CHANGE = 300

#: Blanks belong to the word behind them: compared alone, they would all equal each other.
_WORDS = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")
_MOST_EQUAL_PAIRS = 50_000
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Drift:
    """What a report is made of."""

    reason: Literal["empty", "already_played", "no_match"]
    #: Position of the nearest interaction, from 1; None if there is none.
    number: int | None = None
    #: One difference each, `path: change`; empty when the requests are equal.
    lines: tuple[str, ...] = ()


def explain(request: Request, index: Index) -> Drift:
    """Find the recorded request nearest to one that found no answer, unplayed ones first."""
    if not index.interactions:
        return Drift("empty")
    key = request_key(request)
    for number, interaction in enumerate(index.interactions, start=1):
        if interaction.key == key:
            return Drift("already_played", number)
    unplayed = index.unplayed()
    sent = _parts(request)
    nearest = min(
        range(len(index.interactions)),
        key=lambda number: (*_distance(index.interactions[number], sent), number not in unplayed, number),
    )
    found = differences(index.interactions[nearest].request, request) or ["the form of its body only"]
    shown, more = found[:MOST_LINES], len(found) - MOST_LINES
    return Drift(
        "no_match", nearest + 1, (*shown, f"and {more} more differences") if more > 0 else tuple(shown)
    )


def differences(recorded: Request, sent: Request) -> list[str]:
    """List what differs between two requests, one line for each JSON path.

    A changed text is shown as `[-recorded-]{+sent+}` with its words around it and the character where it begins.
    """
    before, after = _parts(recorded), _parts(sent)
    paths = [*after, *(path for path in before if path not in after)]
    return [
        _line(path, before.get(path, _ABSENT), after.get(path, _ABSENT))
        for path in paths
        if not _equal(before.get(path, _ABSENT), after.get(path, _ABSENT))
    ]


def _parts(request: Request) -> dict[str, Any]:
    value = parse(request.body)
    if value is not None:
        body = dict(leaves(value))
    else:
        try:
            body = {"body": request.body.decode()}
        except UnicodeDecodeError:
            body = {"body": request.body}
    return {"method": request.method.upper(), "url": normal_url(request.url), **body}


def _distance(interaction: Interaction, sent: dict[str, Any]) -> tuple[bool, bool, float]:
    recorded = _parts(interaction.request)
    cost = sum(
        _cost(recorded.get(path, _ABSENT), sent.get(path, _ABSENT)) for path in recorded.keys() | sent.keys()
    )
    return recorded["method"] != sent["method"], recorded["url"] != sent["url"], cost


def _cost(before: object, after: object) -> float:
    if _equal(before, after):
        return 0.0
    if isinstance(before, str) and isinstance(after, str):
        same = _prefix(before, after) + _prefix(before[::-1], after[::-1])
        return 1.0 - 0.9 * min(1.0, same / max(len(before), len(after)))
    return 1.0


def _equal(before: object, after: object) -> bool:
    # True equals 1 in Python; a model's parameters tell them apart.
    return before == after and isinstance(before, bool) == isinstance(after, bool)


def _line(path: str, before: object, after: object) -> str:
    if before is _ABSENT:
        return f"{path}: not recorded, now {_shown(after)}"
    if after is _ABSENT:
        return f"{path}: recorded as {_shown(before)}, now absent"
    if isinstance(before, str) and isinstance(after, str) and path not in {"method", "url"}:
        return f"{path}: {'; '.join(_changes(before, after))}"
    if isinstance(before, bytes) and isinstance(after, bytes):
        return f"{path}: {len(before)} bytes recorded, {len(after)} sent, different from byte {_prefix(before, after)} on"
    return f"{path}: {_shown(before)} -> {_shown(after)}"


def _shown(value: object) -> str:
    text = f"{len(value)} bytes" if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_CHANGE else f"{text[:LONGEST_CHANGE]}... ({len(text)} characters)"


def _changes(before: str, after: str) -> list[str]:
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    starts = list(accumulate(map(len, old), initial=0))
    shown = []
    for first, last, words in _hunks(old, new):
        start, end, now = starts[first], starts[last], "".join(words)
        shared = _prefix(before[start:end], now)
        if max(end - start, len(now)) <= LONGEST_CHANGE:
            # Whole words read better; one too long to be shown whole, such as an image, begins where it differs.
            shared = min(shared, len(now) - len(now.lstrip()))
        start, now = start + shared, now[shared:]
        left = ("..." if start > CONTEXT else "") + before[max(0, start - CONTEXT) : start]
        right = before[end : end + CONTEXT] + ("..." if end + CONTEXT < len(before) else "")
        change = _marked("-", before[start:end]) + _marked("+", now)
        shown.append(f"at character {start}: {left}{change}{right}".replace("\n", "\\n"))
    more = len(shown) - MOST_CHANGES
    return [*shown[:MOST_CHANGES], f"and {more} more changes"] if more > 0 else shown


def _hunks(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, Sequence[str]]]:
    head = _prefix(old, new)
    tail = _prefix(old[head:][::-1], new[head:][::-1])
    middle_old, middle_new = old[head : len(old) - tail], new[head : len(new) - tail]
    counts = Counter(middle_new)
    if sum(counts[word] for word in middle_old) > _MOST_EQUAL_PAIRS:
        yield head, len(old) - tail, middle_new
        return
    matcher = SequenceMatcher(None, middle_old, middle_new, autojunk=False)
    for tag, first, last, new_first, new_last in matcher.get_opcodes():
        if tag != "equal":
            yield head + first, head + last, middle_new[new_first:new_last]


def _marked(sign: str, text: str) -> str:
    if not text:
        return ""
    cut = text if len(text) <= LONGEST_CHANGE else f"{text[:LONGEST_CHANGE]}... ({len(text)} characters)"
    return f"[-{cut}-]" if sign == "-" else f"{{+{cut}+}}"


def _prefix(before: Sequence[object], after: Sequence[object]) -> int:
    # Halving compares slices at the speed of C, where a loop over characters takes seconds for a long cassette.
    same, different = 0, min(len(before), len(after)) + 1
    while different - same > 1:
        middle = (same + different) // 2
        if before[same:middle] == after[same:middle]:
            same = middle
        else:
            different = middle
    return same
