"""What only keys look like, and the ids and masked keys that providers put into their errors.

There is no rule for entropy: encrypted reasoning and images would trip it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_WORD_PARTS = re.compile(rb"[A-Za-z0-9]+")
_IN_WORD = re.compile(rb"[A-Za-z0-9_-]\Z")
_AFTER_ESCAPE = re.compile(rb"\\(?:[bfnrt]|u[0-9A-Fa-f]{4})\Z")
#: Where the rest may be long, so that a long word is looked at once.
_START = rb"(?:(?<![\w-])|(?<=\\[bfnrt]))"
_MIXED_PART = re.compile(rb"(?=[0-9]*[A-Za-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{8,}|[0-9]{10,}")


@dataclass(frozen=True, slots=True)
class Shape:
    """How one kind of key is recognised."""

    #: In words.
    kind: str
    #: Every match has it. Looking for it first is many times faster than the expression.
    literal: bytes
    pattern: re.Pattern[bytes]
    #: Says of a match whether it is a key after all.
    is_key: Callable[[bytes], bool] = bool

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Find the keys of this kind.

        Yields:
            Beginnings and ends.
        """
        if self.literal in data:
            for found in self.pattern.finditer(data):
                if _begins_word(data, found.start()) and self.is_key(found[0]):
                    yield found.span()


def _begins_word(data: bytes, at: int) -> bool:
    # In JSON text, the `n` before a key at the beginning of a line is that of `\n`.
    before = data[max(0, at - 6) : at]
    return _IN_WORD.search(before) is None or _AFTER_ESCAPE.search(before) is not None


def _is_random(key: bytes) -> bool:
    """Tell a key from words joined by hyphens, which have years and versions in them but no long mixture."""
    return any(_MIXED_PART.fullmatch(part) for part in _WORD_PARTS.findall(key))


def _is_mixed(key: bytes) -> bool:
    return key != key.lower() and _is_random(key)


def _is_no_example(key: bytes) -> bool:
    return re.search(rb"\d", key) is not None and not key.endswith(b"EXAMPLE")


#: A hit of one of them makes saving fail.
KEY_SHAPES = (
    Shape("an API key (sk-...)", b"sk-", re.compile(rb"sk-[A-Za-z0-9_-]{16,}"), _is_random),
    Shape("a Google API key (AIza...)", b"AIza", re.compile(rb"AIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])")),
    Shape("a Groq API key (gsk_...)", b"gsk_", re.compile(rb"gsk_[A-Za-z0-9]{20,}"), _is_random),
    Shape("an xAI API key (xai-...)", b"xai-", re.compile(rb"xai-[A-Za-z0-9]{20,}"), _is_random),
    Shape("a Hugging Face token (hf_...)", b"hf_", re.compile(rb"hf_[A-Za-z0-9]{30,}"), lambda key: key[3:] != key[3:].lower()),
    Shape("a GitHub token (ghp_...)", b"gh", re.compile(rb"gh[oprsu]_[A-Za-z0-9]{30,}"), _is_random),
    Shape("a GitHub token (github_pat_...)", b"github_pat_", re.compile(rb"github_pat_[A-Za-z0-9_]{22,}"), _is_random),
    Shape("an AWS access key (AKIA...)", b"IA", re.compile(rb"A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])"), _is_no_example),
    Shape("a Slack token (xoxb-...)", b"xox", re.compile(rb"xox[abeoprs]-[A-Za-z0-9-]{20,}"), _is_random),
    Shape("a client's key of a session (ek_...)", b"ek_", re.compile(rb"ek_[A-Za-z0-9]{20,}"), _is_random),
    Shape("a bearer token", b"earer", re.compile(rb"[Bb]earer\s{1,4}[A-Za-z0-9._~+/=-]{16,}"), _is_random),
    Shape("a JSON web token", b".eyJ", re.compile(_START + rb"eyJ[\w-]{8,4000}\.eyJ[\w-]{8,8000}\.[\w-]{8,}")),
    Shape("an organisation id (org-...)", b"org-", re.compile(rb"org-[A-Za-z0-9]{16,}"), _is_random),
    Shape("a session cookie (__cf_bm)", b"__cf_bm", re.compile(rb"__cf_bm=[\w.-]{8,}")),
    Shape(
        "a private key (PEM)",
        b"PRIVATE KEY-----",
        re.compile(rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:\\+[nr]|\s){1,4}[A-Za-z0-9+/]{40}"),
    ),
)  # fmt: skip

#: They stand in answers that must be recordable, those about limits and wrong keys; so they are replaced.
REPLACED_SHAPES = (
    Shape(
        "an organisation id",
        b"org-",
        re.compile(rb"(?<=organization )org-\w+|org-(?=[A-Za-z]*\d)[A-Za-z0-9]{16,}"),
    ),
    Shape(
        "a project id",
        b"proj_",
        re.compile(rb"(?<=roject )proj_\w+|(?<=roject [`'])proj_\w+|proj_(?=[A-Za-z]*\d)[A-Za-z0-9]{16,}"),
    ),
    Shape(
        "a masked key",
        b"**",
        re.compile(
            _START + rb"sk-[\w-]{0,200}\*{2,}[\w-]*"
            rb"|(?<=key provided: )[^\s\"\\*]{0,200}\*{2,}[\w-]*|(?<=[Kk]ey: )[\w-]{0,200}\*{2,}[\w-]*"
        ),
    ),
)
