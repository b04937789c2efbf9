"""Token counts of either API, as `Usage`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aquila.response import Usage


def read_usage(wire: Any, *, inputs: str, outputs: str) -> Usage | None:
    """Read a usage object; one without a single count (Vertex sends such) is no usage.

    Args:
        wire: The object.
        inputs: What the API calls the tokens that go in: `prompt`, `input`.
        outputs: What it calls those that come out: `completion`, `output`.
    """
    if not isinstance(wire, Mapping):
        return None
    read, written = wire.get(f"{inputs}_tokens_details"), wire.get(f"{outputs}_tokens_details")
    usage = Usage(
        input_tokens=_count(wire, f"{inputs}_tokens"),
        output_tokens=_count(wire, f"{outputs}_tokens"),
        total_tokens=_count(wire, "total_tokens"),
        cached_tokens=_count(read, "cached_tokens"),
        cache_write_tokens=_count(read, "cache_write_tokens"),
        reasoning_tokens=_count(written, "reasoning_tokens"),
    )
    return usage if usage.to_dict() else None


def _count(wire: Any, name: str) -> int | None:
    value = wire.get(name) if isinstance(wire, Mapping) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None
