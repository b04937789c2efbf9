"""Content parts from one API's shape to the other's. Pure; what is in neither shape passes through untouched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aquila.errors import ConfigError

_TEXTS = {"text", "input_text", "output_text"}


def chat_parts(content: Any) -> Any:
    """Give content in the shape of Chat Completions.

    Raises:
        ConfigError: A part has no equivalent there.
    """
    return [_chat_part(part) for part in content] if isinstance(content, list) else content


def responses_parts(content: Any, role: str) -> Any:
    """Give content in the shape of the Responses API, which tells text that goes in from text that came out."""
    text = "output_text" if role == "assistant" else "input_text"
    return [_responses_part(part, text) for part in content] if isinstance(content, list) else content


def _chat_part(part: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = part.get("type")
    if kind in _TEXTS:
        return {"type": "text", **_without(part, "type", "annotations", "logprobs")}
    if kind == "input_image":
        if not part.get("image_url"):
            raise ConfigError(
                "image: Chat Completions takes no file_id of a picture; give a URL, a path or bytes, "
                "or use endpoint='responses'"
            )
        detail = {"detail": part["detail"]} if part.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    if kind == "input_file":
        if part.get("file_url"):
            raise ConfigError(
                "file: Chat Completions takes no URL of a document; give a path or bytes, "
                "or use endpoint='responses'"
            )
        return {"type": "file", "file": _without(part, "type")}
    return part


def _responses_part(part: Mapping[str, Any], text: str) -> Mapping[str, Any]:
    match part:
        case {"type": "text" | "input_text" | "output_text"}:
            return {**part, "type": text}
        case {"type": "image_url", "image_url": str() as url}:
            return {"type": "input_image", "image_url": url}
        case {"type": "image_url", "image_url": Mapping() as picture}:
            return {
                "type": "input_image",
                "image_url": picture.get("url"),
                **_without(picture, "url"),
            }
        case {"type": "file", "file": Mapping() as facts}:
            return {"type": "input_file", **facts}
        case _:
            return part


def _without(facts: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in names}
