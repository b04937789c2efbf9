"""How a server is told the shape of an answer. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from aquila.call import OutputSchema
from aquila.endpoint.profile import OutputMode


def json_schema(output: OutputSchema, mode: OutputMode) -> dict[str, Any]:
    """Give the schema with its name; strict only if both the type and the server can be."""
    strict = output.strict and mode == "strict"
    return {
        "name": output.name,
        "strict": strict,
        "schema": dict(output.schema if strict else output.loose_schema),
    }


def schema_in_words(output: OutputSchema | None, mode: OutputMode) -> str | None:
    """Give the instructions for a server that knows no schemas; None if it needs none."""
    if output is None or mode in {"strict", "schema"}:
        return None
    schema = msgspec.json.encode(output.loose_schema).decode()
    return (
        f"Answer with one JSON object and nothing else. It must be valid against this JSON Schema:\n{schema}"
    )
