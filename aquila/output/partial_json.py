"""JSON that is still being written, as the value it amounts to so far. Pure.

Parsing the whole text again for each piece takes time in the square of its length; this reads every character once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from aquila.output.json_token import is_cut_escape, parse_number, read_run

#: Deeper nesting is refused, as pydantic's own parser does.
_DEEPEST = 200
#: Strings up to this length (characters) show every piece at once; copying them costs a few microseconds.
_SHORT = 32_768
#: A longer string shows its new pieces when they make up one part in 64 of it, so that all copies together stay linear.
_SHIFT = 6
_SPACE = re.compile(r"[ \t\n\r]*")
_CONTAINER = re.compile(r"[{\[]")
_NUMBER_CHARACTERS = re.compile(r"[-+.0-9eE]*")
_WORDS: dict[str, tuple[str, Any]] = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}

# What may come next, as the characters that can begin it.
_VALUE = '{["-0123456789tfn'
_VALUE_OR_END = _VALUE + "]"
_KEY = '"'
_KEY_OR_END = '"}'
_COLON = ":"
_AFTER_ITEM = ",]"
_AFTER_PAIR = ",}"

_Reader: TypeAlias = "Callable[[PartialJSON, str, int], int]"


class PartialJSON:
    """Grows one value from pieces of JSON text, cut anywhere.

    Strings grow; keys, numbers, `true`, `false` and `null` appear when they are complete. Objects and lists are the
    same ones from first to last. What stands before the first `{` or `[` and is no JSON (a code fence, a polite
    sentence) is skipped, and what follows the value is ignored: a preview may be more lenient than the verdict.
    """

    __slots__ = (
        "_allowed", "_changed", "_open", "_pieces", "_read", "_rest", "_slots", "_text", "_waiting", "broken",
        "complete", "value",
    )  # fmt: skip

    def __init__(self) -> None:
        #: The value so far; None before it has begun.
        self.value: Any = None
        #: True when the value has ended.
        self.complete = False
        #: True when the text is no JSON; `value` stays as it was before the fault.
        self.broken = False
        self._read: _Reader = PartialJSON._structure
        self._allowed = _VALUE
        self._rest = ""
        self._changed = False
        # The containers that are open, outermost first, and for each where its last value is: a key, or -1 in a list.
        self._open: list[Any] = []
        self._slots: list[Any] = []
        self._start_token()

    def feed(self, text: str) -> bool:
        """Take the next piece; True if the value has changed."""
        if self.complete or self.broken:
            return False
        self._changed = False
        text = self._rest + text
        self._rest = ""
        at = 0
        while at < len(text) and not (self.complete or self.broken):
            at = self._read(self, text, at)
        if self._read is PartialJSON._string and (
            len(self._text) <= _SHORT or self._waiting >= len(self._text) >> _SHIFT
        ):
            self._show()
        return self._changed

    def _structure(self, text: str, at: int) -> int:
        space = _SPACE.match(text, at)
        at = space.end() if space else at
        if at == len(text):
            return at
        char = text[at]
        if char not in self._allowed:
            return self._fail(at)
        if char in "{[":
            return self._begin({} if char == "{" else [], at)
        if char in "}]":
            self._open.pop()
            self._slots.pop()
            return self._ended(at + 1)
        if char in ",:":
            self._allowed = _KEY if char == "," and type(self._open[-1]) is dict else _VALUE
            return at + 1
        return self._scalar(text, at)

    def _scalar(self, text: str, at: int) -> int:
        char = text[at]
        if char in _WORDS:
            return self._word(text, at)
        self._start_token()
        if char != '"':
            self._read = PartialJSON._number
            return at
        if self._allowed in {_KEY, _KEY_OR_END}:
            self._read = PartialJSON._key
        else:
            self._put("")
            self._read = PartialJSON._string
        return at + 1

    def _start_token(self) -> None:
        self._pieces: list[str] = []
        self._waiting = 0
        self._text = ""

    def _begin(self, container: dict[str, Any] | list[Any], at: int) -> int:
        if len(self._open) == _DEEPEST:
            return self._fail(at)
        self._put(container)
        self._open.append(container)
        self._slots.append(-1)
        self._allowed = _KEY_OR_END if type(container) is dict else _VALUE_OR_END
        return at + 1

    def _string(self, text: str, at: int) -> int:
        at, ended = self._characters(text, at)
        if not ended:
            return at
        self._show()
        return self._ended(at)

    def _key(self, text: str, at: int) -> int:
        at, ended = self._characters(text, at)
        if ended:
            self._slots[-1] = "".join(self._pieces)
            self._allowed = _COLON
            self._read = PartialJSON._structure
        return at

    def _characters(self, text: str, at: int) -> tuple[int, bool]:
        run, at = read_run(text, at)
        if run:
            self._pieces.append(run)
            self._waiting += len(run)
        if at == len(text):
            return at, False
        if text[at] == '"':
            return at + 1, True
        if is_cut_escape(text, at):
            self._rest = text[at:]
            return len(text), False
        return self._fail(at), False

    def _number(self, text: str, at: int) -> int:
        run = _NUMBER_CHARACTERS.match(text, at)
        end = run.end() if run else at
        self._pieces.append(text[at:end])
        if end == len(text):
            return end
        number = parse_number("".join(self._pieces))
        if number is None:
            return self._fail(end)
        self._put(number)
        return self._ended(end)

    def _word(self, text: str, at: int) -> int:
        word, value = _WORDS[text[at]]
        if text.startswith(word, at):
            self._put(value)
            return self._ended(at + len(word))
        if word.startswith(text[at : at + len(word)]):
            self._rest = text[at:]
            return len(text)
        return self._fail(at)

    def _put(self, value: Any) -> None:
        self._changed = True
        if not self._open:
            self.value = value
        elif type(self._open[-1]) is list:
            self._open[-1].append(value)
        else:
            self._open[-1][self._slots[-1]] = value

    def _show(self) -> None:
        if not self._pieces:
            return
        self._text += "".join(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        self._changed = True
        if self._open:
            self._open[-1][self._slots[-1]] = self._text
        else:
            self.value = self._text

    def _ended(self, at: int) -> int:
        self._read = PartialJSON._structure
        if not self._open:
            self.complete = True
        else:
            self._allowed = _AFTER_ITEM if type(self._open[-1]) is list else _AFTER_PAIR
        return at

    def _fail(self, at: int) -> int:
        if self._open:
            self.broken = True
        else:
            # No container has begun, so this was talk: `no: {...}`, `1. {...}`.
            self.value = None
            self._start_token()
            self._read = PartialJSON._talk
        return at

    def _talk(self, text: str, at: int) -> int:
        found = _CONTAINER.search(text, at)
        if not found:
            return len(text)
        self._read = PartialJSON._structure
        self._allowed = _VALUE
        return found.start()
