"""What a tool returned, in the words the model is told. Pure but for the value's own serialisers."""

from __future__ import annotations

from enum import Enum
from typing import Any, NoReturn

from pydantic_core import PydanticSerializationError, from_json, to_json

from aquila.errors import ToolError


def render(value: Any) -> str:
    """Give text as it is, None as `ok`, and anything else as JSON; JSON that is one string loses its quotes.

    Raises:
        ToolError: The value cannot be JSON; the message names the type that is in the way.
    """
    if value is None:
        return "ok"
    if isinstance(value, str) and not isinstance(value, Enum):
        return sendable(str(value))
    try:
        encoded = to_json(value, inf_nan_mode="strings", fallback=_refuse)
    except PydanticSerializationError as error:
        kind = type(value).__name__
        reason = str(error).removeprefix("Error serializing to JSON: ").removeprefix("TypeError: ")
        raise ToolError(
            f"Tool failed: it returned a {kind}, which cannot be JSON ({reason}); it must return text, JSON values, a "
            "dataclass or a pydantic model"
        ) from error
    return str(from_json(encoded)) if encoded.startswith(b'"') else encoded.decode()


def sendable(text: str) -> str:
    """Replace lone surrogates, which file names may hold and no request can."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _refuse(value: Any) -> NoReturn:
    raise TypeError(f"{type(value).__name__} is no JSON value")
