"""Credentials out of the headers of vcrpy's interactions. Names keep their case, and values their number. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aquila.cassette.secrets.redact import REDACTED
from aquila.cassette.secrets.secret_names import is_secret_header, is_secret_response_header


def without_credentials(item: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the values of headers that carry credentials.

    Args:
        item: `request` and `response` as data, with headers as vcrpy has them: a text or a list of texts each.
    """
    return {
        **item,
        "request": _clean(item["request"], is_secret_header),
        "response": _clean(item["response"], is_secret_response_header),
    }


def _clean(side: Any, is_secret: Callable[[str], bool]) -> Any:
    headers = side.get("headers") if isinstance(side, dict) else None
    if not isinstance(headers, dict):
        return side
    clean = {
        name: _redacted(value) if is_secret(_text(name).lower()) else value for name, value in headers.items()
    }
    return {**side, "headers": clean}


def _redacted(value: Any) -> Any:
    return [REDACTED] * len(value) if isinstance(value, list) else REDACTED


def _text(name: Any) -> str:
    return name.decode("latin-1") if isinstance(name, bytes) else str(name)
