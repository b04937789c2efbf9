"""Cuts a text that is too long for one prompt, and groups texts that fit one together. Pure.

Tokens are guessed: four bytes of UTF-8 make one. That is four letters of English, and one and a third of Chinese.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise

BYTES_PER_TOKEN = 4

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
#: Behind the mark, quotation marks and brackets that close; Chinese and Japanese need no space behind it.
_SENTENCE = re.compile(
    r"[.!?\u2026][\"'\u201d\u2019\u00bb)\]]*\s+|[\u3002\uff01\uff1f\uff61][\u300d\u300f\u201d\u2019\uff09]*\s*|\n\s*"
)
_WORD = re.compile(r"\s+")

_JOINERS = {"\u200c", "\u200d"}
_MARKS = {"Mc", "Me", "Mn"}
#: The combining class of signs that join an Indian consonant to the next one.
_VIRAMA = 9
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_TAGS = range(0xE0020, 0xE0080)
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_HANGUL = (range(0x1100, 0x1200), range(0xAC00, 0xD7A4))
#: Vowels and final consonants, which go on with a syllable.
_HANGUL_PARTS = range(0x1160, 0x1200)
_HIGH, _LOW = range(0xD800, 0xDC00), range(0xDC00, 0xE000)


def count_tokens(text: str) -> int:
    """Guess how many tokens a text has."""
    return -(-_size(text) // BYTES_PER_TOKEN)


def split_text(text: str, most: int) -> list[str]:
    """Cut a text into pieces of much the same length; joined they are the text again.

    It is cut between paragraphs where that can be, else between sentences, else between words, else between characters as
    readers see them. A character that is longer than the limit stays whole.

    Args:
        text: The text.
        most: How many tokens a piece has at most; at least 1.
    """
    limit = most * BYTES_PER_TOKEN
    whole = _size(text)
    if whole <= limit:
        return [text]
    # Without a share the last piece would be whatever is left over, and its summary would weigh as much as the others.
    share = whole / -(-whole // limit)
    pieces: list[str] = []
    piece: list[str] = []
    filled = 0
    for unit in _units(text, limit, (_paragraphs, _sentences, _words, _characters)):
        size = _size(unit)
        if piece and (filled + size > limit or filled >= share):
            pieces.append("".join(piece))
            piece, filled = [], 0
        piece.append(unit)
        filled += size
    return [*pieces, "".join(piece)]


def group_texts(texts: Sequence[str], most: int) -> list[list[str]]:
    """Group neighbours that fit into one prompt: as many as go into it, but two in any case.

    So there are fewer groups than texts, however long the texts are.

    Args:
        texts: The texts.
        most: How many tokens a group has at most.
    """
    groups: list[list[str]] = []
    filled = 0
    for text in texts:
        size = count_tokens(text)
        if groups and (filled + size <= most or len(groups[-1]) < 2):  # noqa: PLR2004 - two, as said above
            groups[-1].append(text)
            filled += size
        else:
            groups.append([text])
            filled = size
    return groups


def _size(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _units(text: str, limit: int, cuts: Sequence[Callable[[str], list[str]]]) -> list[str]:
    """Give a text in parts that fit, as long as they can be."""
    if not cuts or _size(text) <= limit:
        return [text]
    return [unit for part in cuts[0](text) for unit in _units(part, limit, cuts[1:])]


def _paragraphs(text: str) -> list[str]:
    return _behind(_PARAGRAPH, text)


def _sentences(text: str) -> list[str]:
    return _behind(_SENTENCE, text)


def _words(text: str) -> list[str]:
    return _behind(_WORD, text)


def _behind(pattern: re.Pattern[str], text: str) -> list[str]:
    """Cut behind each match, so that white space stays with what is before it."""
    ends = (found.end() for found in pattern.finditer(text))
    return _cut(text, [end for end in ends if end < len(text) and not _belongs(text[end - 1], text[end])])


def _characters(text: str) -> list[str]:
    """Cut between the characters that readers see, of which each may be several of Unicode's."""
    places: list[int] = []
    flag_letters = 0
    for place in range(1, len(text)):
        before, after = text[place - 1], text[place]
        flag_letters = flag_letters + 1 if ord(before) in _FLAG_LETTERS else 0
        half_a_flag = flag_letters % 2 == 1 and ord(after) in _FLAG_LETTERS
        if not half_a_flag and not _belongs(before, after):
            places.append(place)
    return _cut(text, places)


def _cut(text: str, places: Sequence[int]) -> list[str]:
    return [text[start:end] for start, end in pairwise([0, *places, len(text)])]


def _belongs(before: str, after: str) -> bool:
    """Say whether two of Unicode's characters are parts of one."""
    first, second = ord(before), ord(after)
    return (
        unicodedata.category(after) in _MARKS
        or after in _JOINERS
        or before == "\u200d"
        or unicodedata.combining(before) == _VIRAMA
        or second in _SKIN_TONES
        or second in _TAGS
        or (before, after) == ("\r", "\n")
        or (second in _HANGUL_PARTS and any(first in part for part in _HANGUL))
        or (first in _HIGH and second in _LOW)
    )
