"""Lists, as declarations give them: whoever stores one must find it in the same order in every process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any


def list_problem(name: str, given: Any, *, remedy: str | None = None) -> str | None:
    """Say why something cannot stand for a list; None if it can.

    Args:
        name: What it is called in the declaration.
        given: What stands there.
        remedy: How it is written; None means as an argument of that name.
    """
    if isinstance(given, Iterable) and not isinstance(given, str | bytes | AbstractSet | Mapping):
        return None
    kind = type(given).__name__
    shown = "None" if given is None else f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
    why = ", whose order is another one in each process" if isinstance(given, AbstractSet) else ""
    return f"{name} is a list, not {shown}{why}; write {remedy or f'{name}=[...]'}"
