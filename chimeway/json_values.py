"""Values of a host's turned into JSON that both databases hold, or refused with the place where they stand. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any, NoReturn
from uuid import UUID

from pydantic import BaseModel

from chimeway.errors import NotifierInvalid
from jobs.sqltypes import storable

#: Values within values. Deeper ones are a mistake, or a value that holds itself.
DEEPEST = 20
#: Characters of JSON.
LARGEST = 1_000_000
#: Why infinity and what is no number are refused.
NO_NUMBER = "is {}, which JSON does not know; use None"
#: Bits of a whole number, some six hundred digits: with more, Python may refuse to write it, or to read it again.
LONGEST_INTEGER = 2_000


def plain(
    value: Any, *, where: str, drop: Callable[[str], bool] | None = None, largest: int = LARGEST
) -> Any:
    """Turn a value into JSON values.

    Times, UUIDs and decimals become text, members of an enum their values, pydantic models objects.

    Args:
        value: Anything.
        where: What it is, for messages; the path within it is added.
        drop: Which keys of objects are left out; None leaves out none.
        largest: Characters that it may have as JSON.

    Raises:
        NotifierInvalid: Something in it is no JSON, or it is too deep or too large. The message names the path, no value.
    """
    given = _plain(value, where, drop or frozenset[str]().__contains__, DEEPEST)
    size = len(json.dumps(given, ensure_ascii=False))
    if size > largest:
        raise NotifierInvalid(
            f"{where} has {size:,} characters as JSON, and at most {largest:,} are kept; pass ids of what is large"
        )
    return given


def _plain(value: Any, path: str, drop: Callable[[str], bool], depth: int) -> Any:
    if depth == 0:
        _refuse(path, f"is nested deeper than {DEEPEST} values, or holds itself; make it flatter")
    match value:
        case Enum():
            return _plain(value.value, path, drop, depth - 1)
        case BaseModel():
            return _plain(value.model_dump(mode="json"), path, drop, depth)
        case Mapping():
            return _object(value, path, drop, depth)
        case list() | tuple():
            return [_plain(item, f"{path}[{at}]", drop, depth - 1) for at, item in enumerate(value)]
    return _single(value, path)


def _single(value: Any, path: str) -> Any:  # noqa: PLR0911 - one line for each kind
    match value:
        case None | bool():
            return value
        case int():
            return _whole(int(value), path)
        case str():
            # The text itself: `str()` of a member of an enum is its name.
            return storable(str.__str__(value))
        case float():
            return float(value) if math.isfinite(value) else _refuse(path, NO_NUMBER.format(value))
        case Decimal():
            return str(value) if value.is_finite() else _refuse(path, NO_NUMBER.format(value))
        case date() | time():
            return value.isoformat()
        case UUID():
            return str(value)
    return _refuse(
        path, f"is of type {type(value).__name__}; use JSON values, times, UUIDs or pydantic models"
    )


def _object(value: Mapping[Any, Any], path: str, drop: Callable[[str], bool], depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            _refuse(path, f"has a key of type {type(key).__name__}; the keys of a JSON object are strings")
        name = storable(str.__str__(key))
        if not drop(name):
            found[name] = _plain(item, f"{path}.{name}", drop, depth - 1)
    return found


def _whole(value: int, path: str) -> int:
    if value.bit_length() > LONGEST_INTEGER:
        _refuse(path, f"is a whole number of more than {LONGEST_INTEGER:,} bits; pass it as text")
    return value


def _refuse(path: str, why: str) -> NoReturn:
    raise NotifierInvalid(f"{path} {why}")
