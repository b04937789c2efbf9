"""Differences in words: what was recorded in `[-...-]`, what is sent now in `{+...+}`, and some text around them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from aquila.cassette.body.json_path import IGNORED
from aquila.cassette.matching.hunks import common_prefix, hunks
from aquila.cassette.matching.rules import ignored_spans

#: Changes of one text that are shown before the rest is only counted.
MOST_CHANGES = 8
#: Characters shown around a change, and of a change itself, from its beginning.
CONTEXT = 30
LONGEST_CHANGE = 300

#: Blanks belong to the word behind them: compared alone, they would all equal each other.
_WORDS = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")


def text_changes(before: str, after: str, ignored: Sequence[re.Pattern[str]] = ()) -> list[str]:
    """List the changes from one text to another: `at character 12: Answer in [-English-]{+French+}, please`.

    Args:
        before: The recorded text, which the positions are those of.
        after: The text that is sent.
        ignored: What they find does not count.
    """
    old, new = _Words(before, ignored), _Words(after, ignored)
    old_starts = [*accumulate(map(len, old.words), initial=0)]
    new_starts = [*accumulate(map(len, new.words), initial=0)]
    found = [
        _change(before, after, (old_starts[first], old_starts[last]), (new_starts[new_first], new_starts[new_last]))
        for first, last, new_first, new_last in hunks(old.keys, new.keys, cut=_sentences)
    ]  # fmt: skip
    more = len(found) - MOST_CHANGES
    return [*found[:MOST_CHANGES], f"and {more} more change{'s' if more > 1 else ''}"] if more > 0 else found


def byte_change(before: bytes, after: bytes) -> str:
    """Say in one line how bytes differ."""
    at = common_prefix(before, after)
    return f"{len(before)} bytes recorded, {len(after)} sent, different from byte {at} on"


def shown(value: Any) -> str:
    """Show a value on one line, a long one from its beginning."""
    if isinstance(value, bytes):
        return f"{len(value)} byte{'' if len(value) == 1 else 's'}"
    return _cut(visible(json.dumps(value, ensure_ascii=False, default=shown)))


def visible(text: str) -> str:
    """Escape what a terminal would not show, or would obey: line breaks, control characters, odd blanks."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


class _Words:
    """A text in words, each of which stands for itself unless it does not count."""

    __slots__ = ("keys", "words")

    def __init__(self, text: str, ignored: Iterable[re.Pattern[str]]) -> None:
        self.words: list[str] = []
        self.keys: list[str] = []
        at = 0
        for start, end in [*ignored_spans(text, ignored), (len(text), len(text))]:
            found = _WORDS.findall(text[at:start])
            self.words += [*found, text[start:end]]
            self.keys += [*found, IGNORED if start < end else ""]
            at = end


def _sentences(words: Sequence[Any]) -> list[tuple[Any, ...]]:
    sentences: list[list[Any]] = [[]]
    for word in words:
        if "\n" in word or sentences[-1][-1:] in (["."], ["!"], ["?"]):
            sentences.append([])
        sentences[-1].append(word)
    return [tuple(sentence) for sentence in sentences]


def _change(before: str, after: str, old: tuple[int, int], new: tuple[int, int]) -> str:
    (start, end), was, now = old, before[slice(*old)], after[slice(*new)]
    same = common_prefix(was, now)
    if max(len(was), len(now)) <= LONGEST_CHANGE:
        # Whole words read better; one too long to be shown whole, such as an image, begins where it differs.
        same = min(same, len(now) - len(now.lstrip()))
    start, was, now = start + same, was[same:], now[same:]
    left = ("..." if start > CONTEXT else "") + visible(before[max(0, start - CONTEXT) : start])
    right = visible(before[end : end + CONTEXT]) + ("..." if end + CONTEXT < len(before) else "")
    show = _code_points if _look_alike(was, now) else visible
    removed = f"[-{_cut(show(was))}-]" if was else ""
    added = f"{{+{_cut(show(now))}+}}" if now else ""
    return f"at character {start}: {left}{removed}{added}{right}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_CHANGE else f"{text[:LONGEST_CHANGE]}... ({len(text)} characters)"


def _look_alike(one: str, other: str) -> bool:
    """Tell whether texts that differ could look the same: in their composition, or by letters of another script."""
    if unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", other):
        return bool(one)
    return len(one) == len(other) and all(
        a == b or _is_disguise(a, b) for a, b in zip(one, other, strict=True)
    )


def _is_disguise(one: str, other: str) -> bool:
    # A letter with a mark, such as é for e, is seen; a Cyrillic one that looks like it is not.
    foreign = other if one.isascii() else one
    return one.isascii() != other.isascii() and not unicodedata.normalize("NFKD", foreign)[0].isascii()


def _code_points(text: str) -> str:
    return "".join(char if char.isascii() and char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()
