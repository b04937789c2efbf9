"""Names of cassettes, and lists of them, for people."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

#: File systems allow 255 bytes for a name; the rest is for the suffixes.
_LONGEST_NAME = 150
_MOST_LISTED = 10
_UNUSUAL = re.compile(r"[^\w.\-\[\]]+")


def cassette_name(nodeid: str) -> str:
    """Give the cassette of a test that names none: `tests/test_chat.py::TestA::test_b` is `test_chat/TestA/test_b`."""
    path, _, test = nodeid.partition("::")
    folder = PurePosixPath(path).with_suffix("")
    parts = [part for part in folder.parts if part not in {"..", "/"}]
    if len(parts) > 1 and parts[0] in {"test", "tests"}:
        parts = parts[1:]
    # A parameter may hold anything, `::` and slashes included.
    names, bracket, parameters = test.partition("[")
    last = [*names.split("::")]
    last[-1] += bracket + parameters
    return "/".join(_file_name(part) for part in [*parts, *last] if part)


def _file_name(part: str) -> str:
    plain = _UNUSUAL.sub("-", part).lstrip(".") or "-"
    if plain == part and len(part) <= _LONGEST_NAME:
        return part
    # Names that are made equal by this stay different.
    digest = hashlib.blake2b(part.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    return f"{plain[:_LONGEST_NAME]}-{digest}"


def listed(numbers: list[int]) -> str:
    """Write numbers for a person, the first few of many."""
    return some(map(str, numbers))


def some(items: Iterable[str]) -> str:
    """Write a list for a person, the first few of many."""
    texts = list(items)
    more = len(texts) - _MOST_LISTED
    return ", ".join(texts[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
