"""Lists, as declarations give them: whoever stores one must find it in the same order in every process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any


def list_problem(name: str, given: Any) -> str | None:
    """Say why something cannot stand for a list; None if it can.

    Args:
        name: What it is called in the declaration.
        given: What stands there.
    """
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | Set | Mapping):
        return None
    kind = "None" if given is None else f"a {type(given).__name__}"
    why = ", whose order is another one in each process" if isinstance(given, Set) else ""
    return f"{name} is a list, not {kind}{why}; write {name}=[...]"
