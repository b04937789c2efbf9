"""The files of other recorders, in the one form that vcrpy reads: what they call their bodies, headers and statuses.

Known are vcrpy's own files, also old ones and JSON ones, those of serializers that store bodies as parsed JSON
(`parsed_body`), and cassetter's (`body: {type, content}`).
"""

from __future__ import annotations

import base64
import binascii
import json
import tomllib
from collections.abc import Callable
from typing import Any

from aquila.cassette.file.field import Field
from aquila.cassette.file.format import FORMAT_VERSION, reason_phrase
from aquila.cassette.file.yamltext import load_document
from aquila.errors import CassetteError

_ENCODED = frozenset({"content-encoding", "content-length"})


def read_foreign(text: str, name: str) -> tuple[dict[str, Any], str]:
    """Read a document and give it in vcrpy's form, with the name of what wrote it.

    Args:
        text: The file's text: YAML, JSON, or TOML if its name says so.
        name: The file's name.

    Raises:
        CassetteError: It is of no recorder that is known; names the line.
    """
    root = Field(name, text, (), _toml(text, name) if name.endswith(".toml") else load_document(text, name))
    if isinstance(root.value, list):
        root.refuse(
            "is a list, as vcrpy wrote before 1.0", f"convert it first: python -m vcr.migration {name}"
        )
    for kind in ("grpc_interactions", "ws_interactions"):
        if root.mapping().get(kind):
            root.child(kind).refuse("are no HTTP traffic", "keep them in the tool that recorded them")
    items = root.child("interactions")
    if not isinstance(items.value, list):
        items.refuse("is not a list")
    fields = [Field(name, text, ("interactions", index), item) for index, item in enumerate(items.value)]
    writer = _writer(fields)
    return {
        "version": root.value.get("version", FORMAT_VERSION),
        "interactions": [_item(field) for field in fields],
    }, writer


def _toml(text: str, name: str) -> Any:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise CassetteError(
            f"{name}, line 1: not valid TOML ({error}); restore the file from git or record it again"
        ) from error


def _writer(items: list[Field]) -> str:
    if any("aquila" in item.child("response").mapping() for item in items):
        return "Aquila"
    parts = [item.child(part).mapping() for item in items for part in ("request", "response")]
    if any("parsed_body" in part for part in parts):
        return "vcrpy, with parsed bodies"
    if not any(isinstance(part.get("body"), dict) and "type" in part["body"] for part in parts):
        return "vcrpy"
    if "recorded_at" not in items[-1].value:
        items[-1].refuse("ends without `recorded_at`: the file is cut off", "restore it from git")
    return "cassetter"


def _item(item: Field) -> dict[str, Any]:
    sent, answer = item.child("request"), item.child("response")
    status = answer.child("status")
    code = status.value
    request = {"method": sent.child("method").value, "uri": sent.child("uri").value, **_content(sent)}
    content = _content(answer)
    response = {
        **{name: value for name, value in answer.value.items() if name != "parsed_body"},
        "status": {"code": code, "message": reason_phrase(code)} if isinstance(code, int) else code,
        "headers": content["headers"],
        "body": {"string": content["body"]},
    }
    return {**item.value, "request": request, "response": response}


def _content(part: Field) -> dict[str, Any]:
    headers, body = _headers(part.optional("headers")), part.optional("body")
    is_typed = isinstance(body.value, dict) and "type" in body.value
    value: Any
    if "parsed_body" in part.value:
        value = _json(part.optional("parsed_body"))
    elif is_typed:
        value = _typed(body)
    elif isinstance(body.value, dict) and "base64_string" in body.value:
        value = _decoded(body.child("base64_string"), base64.b64decode)
    elif isinstance(body.value, dict):
        value = body.child("string").value
    else:
        value = body.value
    if is_typed or "parsed_body" in part.value:
        headers = {name: kept for name, kept in headers.items() if name.lower() not in _ENCODED}
    return {"headers": headers, "body": value}


def _headers(field: Field) -> dict[str, Any]:
    """Read headers as a mapping; also pairs and whole lines, each of which may repeat a name."""
    if not isinstance(field.value, list):
        return field.mapping() if field.value is not None else {}
    found: dict[str, Any] = {}
    for line in field.value:
        pair = line.split(":", 1) if isinstance(line, str) else line
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):  # noqa: PLR2004
            field.refuse("is no list of headers")
        found.setdefault(pair[0].strip(), []).append(pair[1].strip() if isinstance(pair[1], str) else pair[1])
    return found


def _typed(body: Field) -> str | bytes | None:
    """Read cassetter's form, where bytes are hexadecimal and JSON stands as data."""
    content = body.optional("content")
    value: str | bytes | None = None
    match body.value["type"]:
        case "none":
            pass
        case "text":
            value = content.string()
        case "json":
            value = _json(content)
        case "binary":
            value = _decoded(content, bytes.fromhex)
        case other:
            body.child("type").refuse(f"is {other!r}, expected none, text, json or binary")
    return value


def _json(field: Field) -> str:
    # As the tools that store bodies parsed write them when they replay.
    try:
        return json.dumps(field.value)
    except (TypeError, ValueError, RecursionError):
        field.refuse("is no JSON", "put what is not quoted, such as a date, in quotes")


def _decoded(field: Field, decode: Callable[[str], bytes]) -> bytes:
    text = field.value.decode("latin-1") if isinstance(field.value, bytes) else field.string()
    try:
        return decode(text)
    except (binascii.Error, ValueError):
        field.refuse("is cut off or damaged")
