"""JSON bodies: the form they are compared in, the form they are read in, and the leaves they are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

#: Characters that are legal in JSON text and not in a literal block of YAML; an escape says the same in JSON.
_AWKWARD = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_NAME = re.compile(r"[A-Za-z_]\w*")


def parse(body: bytes) -> Any | None:
    """Read a JSON object or array; None when the body is anything else. `1.0` reads as `1`."""
    if body.lstrip()[:1] not in {b"{", b"["}:
        return None
    try:
        return json.loads(body, parse_float=_number)
    except (ValueError, RecursionError):
        return None


def canonical(body: bytes) -> bytes:
    """Give the form in which bodies are compared: keys sorted, no blanks. A body that is not JSON stays as it is.

    The order of lists and the difference between null and absent count: both change what a model sees.
    """
    value = parse(body)
    if value is None:
        return body
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


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
    if isinstance(value, dict) and value:
        for name, child in value.items():
            step = f".{name}" if _NAME.fullmatch(name) else f"[{json.dumps(name, ensure_ascii=False)}]"
            yield from leaves(child, path + step)
    elif isinstance(value, list) and value:
        for number, child in enumerate(value):
            yield from leaves(child, f"{path}[{number}]")
    else:
        yield path, value


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number
