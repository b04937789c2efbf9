r"""Halves of characters: escapes such as `\ud83d` that a server has cut from their other half. Pure.

They are JSON by its grammar and no Unicode, so no text can hold them; each becomes U+FFFD, and the answer is saved.
"""

from __future__ import annotations

import re

#: An escaped backslash, which hides what follows; a whole pair; a half.
_ESCAPE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def without_halves(data: bytes) -> bytes:
    """Replace every half of a character; bytes without any stay as they are."""
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], data)
