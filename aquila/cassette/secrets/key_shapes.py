"""What only keys look like, and the ids and masked keys that providers put into their errors.

There is no rule for entropy: encrypted reasoning and images would trip it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_WORD_PARTS = re.compile(rb"[A-Za-z0-9]+")
_IN_WORD = re.compile(rb"[A-Za-z0-9_-]\Z")
_AFTER_ESCAPE = re.compile(rb"\\(?:[bfnrt]|u([0-9A-Fa-f]{4}))\Z")
#: Where the rest may be long, so that a long word is looked at once.
_START = rb"(?:(?<![\w-])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4}))"
_MIXED_PART = re.compile(rb"(?=[0-9]*[A-Za-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{8,}|[0-9]{10,}")
#: Numbers of parts in shops are shorter, and are not hexadecimal.
_RUN = re.compile(
    rb"(?=[0-9]*[A-Za-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{18,}|[0-9]{10,}|(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,}"
)
_ID_PREFIX = re.compile(rb"\A(?:org-|proj_)")
_LONG_ID = 20
#: The tokens of RFC 6749, and the subject of the token that jwt.io shows.
_EXAMPLES = (b"2YotnFZFEjr1zCsicMWpAA", b"tGzv3JOkF0XG5Qx2TlKWIA", b".eyJzdWIiOiIxMjM0NTY3ODkw")


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
    # In JSON text, the `n` before a key at the beginning of a line is that of `\n`, and the `c` that of `\u201c`.
    before = data[max(0, at - 6) : at]
    escape = _AFTER_ESCAPE.search(before)
    if escape is None:
        return _IN_WORD.search(before) is None
    return escape[1] is None or _IN_WORD.search(chr(int(escape[1], 16)).encode(errors="replace")) is None


def is_random(text: bytes) -> bool:
    """Tell a key from words joined by hyphens, which have years and versions in them but no long mixture."""
    return any(_MIXED_PART.fullmatch(part) for part in _WORD_PARTS.findall(text))


def _is_api_key(key: bytes) -> bool:
    # A slug is in lower case, and its mixtures of letters and digits are short.
    return (is_random(key) and key != key.lower()) or any(map(_RUN.fullmatch, _WORD_PARTS.findall(key)))


def _is_id(text: bytes) -> bool:
    """Tell an id from words joined together, which have no capitals in a slug."""
    rest = _ID_PREFIX.sub(b"", text)
    has_digit = re.search(rb"\d", rest) is not None
    return has_digit and (_has_both_cases(rest) or len(rest) >= _LONG_ID)


def _is_named_id(text: bytes) -> bool:
    return re.search(rb"\d", text) is not None or _has_both_cases(_ID_PREFIX.sub(b"", text))


def _has_both_cases(text: bytes) -> bool:
    return text.lower() != text != text.upper()


def _is_token(token: bytes) -> bool:
    return is_random(token) and _is_no_sample(token)


def _is_no_sample(token: bytes) -> bool:
    return not any(example in token for example in _EXAMPLES)


def _is_no_example(key: bytes) -> bool:
    return re.search(rb"\d", key) is not None and not key.endswith(b"EXAMPLE")


#: A hit of one of them makes saving fail.
KEY_SHAPES = (
    Shape("an API key (sk-...)", b"sk-", re.compile(rb"sk-[A-Za-z0-9_-]{16,}"), _is_api_key),
    Shape("a Google API key (AIza...)", b"AIza", re.compile(rb"AIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])")),
    Shape("a Groq API key (gsk_...)", b"gsk_", re.compile(rb"gsk_[A-Za-z0-9]{20,}"), is_random),
    Shape("an xAI API key (xai-...)", b"xai-", re.compile(rb"xai-[A-Za-z0-9]{20,}"), is_random),
    Shape("a Hugging Face token (hf_...)", b"hf_", re.compile(rb"hf_[A-Za-z0-9]{30,}"), lambda key: key[3:] != key[3:].lower()),
    Shape("a GitHub token (ghp_...)", b"gh", re.compile(rb"gh[oprsu]_[A-Za-z0-9]{30,}"), is_random),
    Shape("a GitHub token (github_pat_...)", b"github_pat_", re.compile(rb"github_pat_[A-Za-z0-9_]{22,}"), is_random),
    Shape("an AWS access key (AKIA...)", b"IA", re.compile(rb"A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])"), _is_no_example),
    Shape("a Slack token (xoxb-...)", b"xox", re.compile(rb"xox[abeoprs]-[A-Za-z0-9-]{20,}"), is_random),
    Shape("a client's key of a session (ek_...)", b"ek_", re.compile(rb"ek_[A-Za-z0-9]{20,}"), is_random),
    Shape(
        "a bearer token",
        b"earer",
        re.compile(rb"(?:(?<=[\"'`:=])|(?<=[:=]\s)|(?<=[Aa]uthorization\s))[Bb]earer\s{1,4}[A-Za-z0-9._~+/=-]{16,}"),
        _is_token,
    ),
    Shape("a JSON web token", b".eyJ", re.compile(_START + rb"eyJ[\w-]{8,4000}\.eyJ[\w-]{8,8000}\.[\w-]{8,}"), _is_no_sample),
    Shape("an organisation id (org-...)", b"org-", re.compile(rb"org-[A-Za-z0-9]{16,}"), _is_id),
    Shape("a session cookie (__cf_bm)", b"__cf_bm", re.compile(rb"__cf_bm=[\w.-]{8,}")),
    Shape(
        "a private key (PEM)",
        b"PRIVATE KEY-----",
        re.compile(rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:\\+[nr]|\s){1,4}[A-Za-z0-9+/]{40}"),
    ),
)  # fmt: skip

#: They stand in answers that must be recordable, those about limits and wrong keys; so they are replaced.
REPLACED_SHAPES = (
    Shape("an organisation id", b"org-", re.compile(rb"(?<=organization )org-[A-Za-z0-9]{12,}"), _is_named_id),
    Shape("an organisation id", b"org-", re.compile(rb"org-[A-Za-z0-9]{16,}"), _is_id),
    Shape(
        "a project id",
        b"proj_",
        re.compile(rb"(?:(?<=roject )|(?<=roject [`']))proj_[A-Za-z0-9]{12,}"),
        _is_named_id,
    ),
    Shape("a project id", b"proj_", re.compile(rb"proj_[A-Za-z0-9]{16,}"), _is_id),
    # Words in bold have two or three stars on either side.
    Shape(
        "a masked key",
        b"**",
        re.compile(
            _START + rb"sk-[\w-]{0,200}\*{4,}[\w-]*|(?<=key provided: )[\w-]{1,200}\*{2,}[\w-]+"
            rb"|(?<=key provided: )(?:[\w-]{1,200}\*{4,}|\*{4,}[\w-]+)"
            rb"|(?<=[Kk]ey: )(?:[\w-]{1,200}\*{4,}[\w-]*|\*{4,}[\w-]+)"
        ),
    ),
)  # fmt: skip
