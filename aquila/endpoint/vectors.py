"""The vectors in an answer of the embeddings API: base64 of 32-bit numbers, or numbers as text. Pure.

Source: OpenAI's API reference, and gateways that know no `encoding_format`.
"""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Mapping, Sequence

from aquila.endpoint.wire_json import excerpt
from aquila.errors import ProtocolError
from aquila.response import Usage

_BYTES = 4


def read_vectors(data: Sequence[object], count: int) -> list[list[float]]:
    """Give one vector for each text, in the order of the texts, which need not be the order they came in.

    Args:
        data: The answer's `data`.
        count: How many texts were sent.

    Raises:
        ProtocolError: A vector is missing, comes twice or cannot be read.
    """
    vectors: dict[int, list[float]] = {}
    for place, item in enumerate(data):
        facts = item if isinstance(item, Mapping) else {}
        index = facts.get("index", place)
        if not isinstance(index, int) or index in vectors:
            raise ProtocolError(f"the embedding at place {place} has the index {excerpt(index)}")
        vectors[index] = _vector(facts.get("embedding"))
    if set(vectors) != set(range(count)):
        raise ProtocolError(f"{len(data)} embeddings came for {count} texts")
    return [vectors[index] for index in range(count)]


def embedding_usage(wire: object) -> Usage | None:
    """Read the tokens that were counted; None if none were."""
    if not isinstance(wire, Mapping):
        return None
    counts = {"input_tokens": wire.get("prompt_tokens"), "total_tokens": wire.get("total_tokens")}
    usage = Usage(**{name: count for name, count in counts.items() if type(count) is int})
    return usage if usage.to_dict() else None


def _vector(value: object) -> list[float]:
    if isinstance(value, str):
        try:
            data = b64decode(value, validate=True)
            return list(struct.unpack(f"<{len(data) // _BYTES}f", data))
        except (ValueError, struct.error) as error:
            raise ProtocolError(f"an embedding is not base64 of 32-bit numbers ({error})") from None
    if isinstance(value, list) and all(type(number) in {int, float} for number in value):
        return [float(number) for number in value]
    raise ProtocolError(f"an embedding is neither base64 nor a list of numbers: {excerpt(value)}")
