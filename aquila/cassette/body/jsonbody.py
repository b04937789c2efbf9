"""JSON bodies: the form they are compared in, the form they are read in, and the leaves they are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from aquila.cassette.body.json_path import path_step

#: Characters that are legal in JSON text and not in a literal block of YAML; an escape says the same in JSON.
_AWKWARD = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


#: `json.loads` and `json.dumps` make one of these for each call that names an option.
_DECODER = json.JSONDecoder(parse_float=_number)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def parse(body: bytes) -> Any | None:
    """Read a JSON object or array; None when the body is anything else. `1.0` reads as `1`."""
    if body.lstrip()[:1] not in {b"{", b"["}:
        return None
    try:
        return _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except (ValueError, RecursionError):
        return None


def canonical(value: Any) -> bytes:
    """Give the form in which values are compared: keys sorted, no blanks.

    The order of lists and the difference between null and absent count: both change what a model sees.
    """
    return _ENCODER.encode(value).encode()


def pretty(body: bytes) -> str | None:
    """Give the form in which bodies are reviewed: one field a line, in the sender's order.

    None when it is no JSON object or array: what is not compared as JSON must stay as it is.
    """
    if parse(body) is None:
        return None
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    return _AWKWARD.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def leaves(value: Any, path: str = "$") -> Iterator[tuple[str, Any]]:
    """Walk a JSON value in order and give each leaf with its path. Empty objects and arrays are leaves.

    Yields:
        Pairs such as `("$.messages[0].content", "Hello")`.
    """
    # No recursion: what json can read may be nested more deeply than functions can.
    waiting: list[Iterator[tuple[str, Any]]] = [iter(((path, value),))]
    while waiting:
        for at, item in waiting[-1]:
            if isinstance(item, dict | list) and item:
                waiting.append(_children(at, item))
                break
            yield at, item
        else:
            waiting.pop()


def _children(path: str, value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    items: Iterable[tuple[str | int, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
    return ((path + path_step(key), child) for key, child in items)
