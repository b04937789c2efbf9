"""Fields of an answer that we do not know, gathered from its fragments so that its author gets them back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STANDARD = {
    "role",
    "content",
    "refusal",
    "tool_calls",
    "function_call",
    "reasoning_content",
    "reasoning",
    "audio",
}
#: Fields of a piece whose text goes on in the next piece.
_TEXTS = ("text", "summary", "data", "thinking")


class Extras:
    """Gathers the unusual fields of one streamed message."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def add(self, delta: Mapping[str, Any]) -> None:
        """Take the fields of one fragment: text is joined, lists are continued, all else is replaced."""
        for name, value in delta.items():
            if name not in _STANDARD and value is not None:
                self.fields[name] = _joined(self.fields.get(name), value)


def _joined(before: Any, value: Any) -> Any:
    if isinstance(before, str) and isinstance(value, str):
        return before + value
    if isinstance(value, list):
        return _continued(before if isinstance(before, list) else [], value)
    if isinstance(before, dict) and isinstance(value, dict):
        return before | value
    return value


def _continued(before: list[Any], pieces: list[Any]) -> list[Any]:
    whole = list(before)
    for piece in pieces:
        if whole and _goes_on(whole[-1], piece):
            news = {key: value for key, value in piece.items() if value is not None and value != ""}
            joined = {
                name: _text(whole[-1], name) + news[name]
                for name in _TEXTS
                if isinstance(news.get(name), str)
            }
            whole[-1] = {**whole[-1], **news, **joined}
        else:
            whole.append(piece)
    return whole


def _goes_on(last: Any, piece: Any) -> bool:
    """Say whether a piece continues the last one.

    OpenRouter's `reasoning_details` have the same index and type; LiteLLM's `thinking_blocks` have no index, and the
    signature ends each.
    """
    if not (isinstance(last, dict) and isinstance(piece, dict) and last.get("type") == piece.get("type")):
        return False
    if isinstance(piece.get("index"), int):
        return bool(last.get("index") == piece["index"])
    return piece.get("type") == "thinking" and "index" not in last and not last.get("signature")


def _text(piece: Mapping[str, Any], name: str) -> str:
    value = piece.get(name)
    return value if isinstance(value, str) else ""
