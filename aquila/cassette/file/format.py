"""Interactions as the YAML that vcrpy and pytest-recording replay, format version 1.

What their format has no word for (chunk boundaries, times, how the answer ended) stands under `response.aquila`: the
one place that survives a save by vcrpy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import pairwise
from typing import Any

from aquila.cassette.body.jsonbody import pretty
from aquila.cassette.file.yamltext import Amount, Flow, FlowList, Literal, dump_item
from aquila.cassette.interaction import NO_ANSWER_STATUS, Interaction, TimedChunk

FORMAT_VERSION = 1
#: Version of the mapping under `response.aquila`.
EXTRAS_VERSION = 1
#: Prefix of the status message of an interaction without an answer.
FAILURE_PREFIX = "aquila:"
#: The `source` of what another recorder recorded.
IMPORTED = "imported"


def render(interaction: Interaction) -> str:
    """Write one interaction as an item of the file's list."""
    document = interaction.document
    return dump_item(_styled(_document(interaction) if document is None else document))


def assemble(items: Iterable[str]) -> str:
    """Put rendered interactions together to a whole file."""
    text = "".join(items)
    return (
        f"version: {FORMAT_VERSION}\ninteractions:\n{text}"
        if text
        else f"version: {FORMAT_VERSION}\ninteractions: []\n"
    )


def digest(body: bytes) -> str:
    """Give the checksum by which a body that was edited by hand is noticed."""
    return hashlib.sha256(body).hexdigest()


def reason_phrase(status: int) -> str:
    """Give the standard words for a status; empty if it has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def chunk_index(chunks: Iterable[TimedChunk]) -> str:
    """Write when each chunk came and how long it is: `22:167 101:167`, milliseconds since the one before and bytes.

    It is one text and not a list because YAML reads a list of 30,000 pairs twenty times slower.
    """
    listed = [TimedChunk(0, b""), *chunks]
    return " ".join(f"{after.at_ms - before.at_ms}:{len(after.data)}" for before, after in pairwise(listed))


def _document(interaction: Interaction) -> dict[str, Any]:
    request = interaction.request
    failure = interaction.failure
    message = interaction.reason
    if failure is not None and interaction.status == NO_ANSWER_STATUS:
        message = f"{FAILURE_PREFIX}{failure.error}"
    return {
        "request": {
            "method": request.method,
            "uri": request.url,
            "body": _request_body(request.body, request.headers),
            "headers": {name: [value] for name, value in request.headers.items()},
        },
        "response": {
            "status": {"code": interaction.status, "message": message},
            "headers": {name: [value] for name, value in interaction.headers.items()},
            "body": {"string": _text_or_bytes(interaction.body)},
            "aquila": _extras(interaction),
        },
    }


def _extras(interaction: Interaction) -> dict[str, Any]:
    failure = interaction.failure
    end: Any = interaction.end
    if failure is not None:
        end = Flow(error=failure.error, message=failure.message)
        if failure.seconds is not None:
            end["seconds"] = failure.seconds
    extras = {
        "v": EXTRAS_VERSION,
        "recorded_at": interaction.recorded_at,
        "seq": interaction.seq,
        "end": end,
        "head_ms": interaction.head_ms,
        "total_ms": interaction.total_ms,
        "chunks": chunk_index(interaction.chunks),
        "sha": digest(interaction.body),
        "model": interaction.model,
        "usage": None if interaction.usage is None else Flow(interaction.usage),
        "cost_usd": None if interaction.cost_usd is None else Amount(interaction.cost_usd),
        "source": interaction.source,
        # The last, always: an interaction without its key is cut off.
        "key": interaction.key,
    }
    if interaction.source == IMPORTED and not interaction.total_ms:
        del extras["head_ms"], extras["total_ms"]  # Nobody measured them.
    return {name: value for name, value in extras.items() if value is not None}


def _request_body(body: bytes, headers: Mapping[str, str]) -> str | bytes:
    # Other tools compare bodies as JSON only under this content type; any other must stay as it was sent.
    text = pretty(body) if "application/json" in headers.get("content-type", "").lower() else None
    return _text_or_bytes(body) if text is None else text


def _text_or_bytes(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _styled(document: Mapping[str, Any]) -> dict[str, Any]:
    """Choose how each part is written, whichever tool the document comes from."""
    request, response = dict(document["request"]), dict(document["response"])
    if isinstance(request.get("body"), str):
        request["body"] = Literal(request["body"])
    body = response.get("body")
    if isinstance(body, dict) and isinstance(body.get("string"), str):
        response["body"] = {**body, "string": Literal(body["string"])}
    if isinstance(response.get("status"), dict) and "aquila" in response:
        # In this style it promises that `aquila` follows; what another tool recorded has none.
        response["status"] = Flow(response["status"])
    extras = response.get("aquila")
    if isinstance(extras, dict):
        response["aquila"] = {name: _styled_extra(name, value) for name, value in extras.items()}
    for part in (request, response):
        headers = part.get("headers") or {}
        part["headers"] = {
            name: FlowList(value) if isinstance(value, list) else value for name, value in headers.items()
        }
    return {**document, "request": request, "response": response}


def _styled_extra(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return Flow(value)
    return Amount(str(value)) if name == "cost_usd" and isinstance(value, int | float) else value
