"""How the interactions of other tools are laid out: bodies as literal blocks, JSON one field a line, short things on one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aquila.cassette.body.jsonbody import pretty
from aquila.cassette.file.yamltext import Flow, FlowList, Literal


def styled(item: Mapping[str, Any]) -> dict[str, Any]:
    """Choose how each part of an interaction is written.

    Args:
        item: `request` and `response`, as vcrpy has them; what else stands there is kept.
    """
    document = plain(item)
    request, response = document.pop("request"), document.pop("response")
    return {"request": _styled_request(request), "response": _styled_response(response), **document}


def plain(value: Any) -> Any:
    """Replace what a client's request may hold by data: files, iterators, mappings and texts of its own classes."""
    match value:
        case Mapping():
            data: Any = {plain(name): plain(child) for name, child in value.items()}
        case list() | tuple():
            data = [plain(child) for child in value]
        case str():
            data = str(value)
        case bytes() | bytearray() | memoryview():
            data = bytes(value)
        case _ if hasattr(value, "read"):
            data = plain(value.read())
        case Iterator():
            data = b"".join(part if isinstance(part, bytes) else str(part).encode() for part in value)
        case _:
            data = value
    return data


def _styled_request(request: dict[str, Any]) -> dict[str, Any]:
    headers, body = request.get("headers"), _text(request.get("body"))
    kinds = [value for name, value in _values(headers) if name.lower() == "content-type"]
    if isinstance(body, str) and any("application/json" in str(kind).lower() for kind in kinds):
        body = pretty(body.encode(errors="surrogatepass")) or body
    styled = {"method": None, "uri": None, "body": None, **request, "headers": _styled_headers(headers)}
    return {**styled, "body": Literal(body) if isinstance(body, str) else body}


def _styled_response(response: dict[str, Any]) -> dict[str, Any]:
    body, headers = response.get("body"), _styled_headers(response.get("headers"))
    if isinstance(body, dict) and "string" in body:
        text = _text(body["string"])
        body = {**body, "string": Literal(text) if isinstance(text, str) else text}
    extras, status = response.get("aquila"), response.get("status")
    if not isinstance(extras, dict):
        # The short things come last: a file that is cut off inside a body lacks them, which every reader notices.
        rest = {name: value for name, value in response.items() if name not in {"body", "headers", "status"}}
        return {"body": body, "headers": headers, **rest, "status": status}
    return {
        **response,
        "status": Flow(status) if isinstance(status, dict) else status,
        "headers": headers,
        "body": body,
        "aquila": {name: Flow(part) if isinstance(part, dict) else part for name, part in extras.items()},
    }


def _styled_headers(headers: Any) -> Any:
    if not isinstance(headers, dict):
        return {} if headers is None else headers
    return {name: FlowList(value) if isinstance(value, list) else value for name, value in headers.items()}


def _values(headers: Any) -> Iterator[tuple[str, Any]]:
    for name, values in headers.items() if isinstance(headers, dict) else ():
        for value in values if isinstance(values, list) else [values]:
            yield str(name), value


def _text(body: Any) -> Any:
    if isinstance(body, bytes):
        try:
            return body.decode()
        except UnicodeDecodeError:
            return body
    return body
