"""How much two texts are alike, quickly enough for every request of a long cassette. Pure."""

from __future__ import annotations

import re

from aquila.cassette.matching.hunks import common_prefix

#: Texts of longer "words" have no blanks between them: Chinese, images.
_LONG_WORD = 40
_WORDS = re.compile(r"\w+")


class Sketch:
    """A text to be compared with many others."""

    __slots__ = ("_words", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._words: frozenset[str] | None = None

    def likeness(self, other: Sketch) -> float:
        """Give 1 for equal texts, 0 for texts with nothing in common."""
        if self.text == other.text:
            return 1.0
        one, two = self.words(), other.words()
        shared = 2 * len(one & two) / max(1, len(one) + len(two))
        same = common_prefix(self.text, other.text) + common_prefix(self.text[::-1], other.text[::-1])
        # Either alone fails: prompts may say other things in the same words, and be changed at both of their ends.
        return (shared + min(1.0, same / max(len(self.text), len(other.text)))) / 2

    def words(self) -> frozenset[str]:
        """Give the different words."""
        if self._words is None:
            words = self.text.split()
            long = len(self.text) > _LONG_WORD * max(1, len(words))
            self._words = frozenset(_WORDS.findall(self.text) if long else words)
        return self._words
