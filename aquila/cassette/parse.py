"""Cassette files back to interactions: ours, those of vcrpy, and those a person changed.

Whatever is wrong with a file is said in one line that names the file, the field and the remedy. A broken file never
counts as an empty one: that would record it again by accident.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from aquila.cassette.answer import is_event_stream, split_events
from aquila.cassette.format import FAILURE_PREFIX, FORMAT_VERSION, digest
from aquila.cassette.interaction import End, Failure, Interaction, TimedChunk
from aquila.cassette.match import request_key
from aquila.cassette.yamltext import load_document
from aquila.errors import CassetteError
from aquila.transport.base import Request

_ENDS: tuple[End, ...] = ("complete", "cut", "abandoned")


def load(data: bytes, name: str) -> tuple[Interaction, ...]:
    """Read a cassette file.

    Args:
        data: The file's bytes.
        name: The file's name, for errors.

    Raises:
        CassetteError: It is no cassette; names the line or the field.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CassetteError(
            f"{name}, line {line}: not UTF-8; restore the file from git or record it again"
        ) from error
    if not text.strip():
        raise CassetteError(f"{name} is empty; delete it to record it again, or restore it from git")
    document = load_document(text, name)
    root = _Field(name, "the file", document).mapping()
    version = root.get("version")
    if version != FORMAT_VERSION or isinstance(version, bool):
        _Field(name, "version", version).refuse(f"is {version!r}, expected {FORMAT_VERSION}")
    items = root.get("interactions")
    if not isinstance(items, list):
        _Field(name, "interactions", items).refuse("is not a list")
    return tuple(
        _interaction(_Field(name, f"interactions[{index}]", item)) for index, item in enumerate(items)
    )


@dataclass(frozen=True, slots=True)
class _Field:
    """A value of the file and where it stands."""

    name: str
    path: str
    value: Any

    def refuse(self, problem: str) -> NoReturn:
        raise CassetteError(
            f"{self.name}, {self.path}: {problem}; correct it, restore the file from git or record it again"
        )

    def child(self, key: str) -> _Field:
        if key not in self.mapping():
            self.refuse(f"has no `{key}`")
        return _Field(self.name, f"{self.path}.{key}", self.value[key])

    def mapping(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            self.refuse("is not a mapping")
        return self.value

    def text(self) -> str:
        if not isinstance(self.value, str):
            self.refuse("is not a text")
        return self.value

    def integer(self) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self.refuse("is not a whole number")
        return self.value

    def octets(self) -> bytes:
        if self.value is None:
            return b""
        if isinstance(self.value, str):
            return self.value.encode(errors="surrogatepass")
        if not isinstance(self.value, bytes):
            self.refuse("is neither text nor bytes")
        return self.value

    def headers(self) -> dict[str, str]:
        values = {} if self.value is None else self.mapping()
        lists = ((name, value if isinstance(value, list) else [value]) for name, value in values.items())
        return {str(name).lower(): ", ".join(_header_text(part) for part in parts) for name, parts in lists}


def _header_text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _interaction(item: _Field) -> Interaction:
    document = _plain(item.mapping())
    item = _Field(item.name, item.path, document)
    sent, answer = item.child("request"), item.child("response")
    request = Request(
        method=sent.child("method").text(),
        url=sent.child("uri").text(),
        headers=_Field(item.name, f"{sent.path}.headers", sent.value.get("headers")).headers(),
        body=_Field(item.name, f"{sent.path}.body", sent.value.get("body")).octets(),
    )
    status = answer.child("status").child("code").integer()
    message = answer.value["status"].get("message")
    extras = _Field(item.name, f"{answer.path}.aquila", answer.value.get("aquila") or {})
    extras.mapping()
    headers, body = _decoded(answer)
    chunks, edited = _chunks(extras, body, headers)
    end, failure = _end(extras, str(message or ""))
    return Interaction(
        request=request,
        key=request_key(request),
        status=status,
        reason=str(message or ""),
        headers=headers,
        chunks=chunks,
        end=end,
        failure=failure,
        edited=edited,
        document=document,
        **_facts(extras),
    )


def _facts(extras: _Field) -> dict[str, Any]:
    values = extras.mapping()
    readers: dict[str, Callable[[_Field], Any]] = {
        "seq": _Field.integer,
        "head_ms": _Field.integer,
        "total_ms": _Field.integer,
        "model": _Field.text,
        "usage": _Field.mapping,
        "source": _Field.text,
    }
    present = ((name, reader) for name, reader in readers.items() if values.get(name) is not None)
    return {"recorded_at": _moment(extras), **{name: reader(extras.child(name)) for name, reader in present}}


def _moment(extras: _Field) -> datetime | None:
    value = extras.value.get("recorded_at")
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        extras.child("recorded_at").refuse("is not a time in ISO 8601")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _end(extras: _Field, message: str) -> tuple[End, Failure | None]:
    value = extras.value.get("end", "complete")
    if isinstance(value, dict):
        end = extras.child("end")
        seconds = value.get("seconds")
        return "error", Failure(
            error=end.child("error").text(),
            message=str(value.get("message") or ""),
            seconds=float(seconds) if isinstance(seconds, int | float) else None,
        )
    if value not in _ENDS:
        extras.child("end").refuse(f"is {value!r}, expected {', '.join(_ENDS)} or an error")
    if message.startswith(FAILURE_PREFIX):
        return "error", Failure(error=message.removeprefix(FAILURE_PREFIX), message="")
    return value, None


def _decoded(answer: _Field) -> tuple[dict[str, str], bytes]:
    headers = _Field(answer.name, f"{answer.path}.headers", answer.value.get("headers")).headers()
    field = answer.child("body").child("string")
    body = field.octets()
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity" or "aquila" in answer.value or not body:
        return headers, body
    # Other tools keep the body as it came; what passes our seam is decoded.
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        field.refuse(f"is encoded as {encoding}, which cannot be replayed")
    try:
        body = zlib.decompress(body, wbits=zlib.MAX_WBITS | 32)
    except zlib.error:
        field.refuse(f"is not valid {encoding}")
    return {
        name: value for name, value in headers.items() if name not in {"content-encoding", "content-length"}
    }, body


def _chunks(extras: _Field, body: bytes, headers: Mapping[str, str]) -> tuple[tuple[TimedChunk, ...], bool]:
    index, sha = extras.value.get("chunks"), extras.value.get("sha")
    if index is not None:
        chunks = _cut(extras.child("chunks"), body)
        if chunks is not None and sha == digest(body):
            return chunks, False
    pieces = split_events(body) if is_event_stream(headers) else [body] if body else []
    return tuple(TimedChunk(0, piece) for piece in pieces), sha is not None


def _cut(field: _Field, body: bytes) -> tuple[TimedChunk, ...] | None:
    chunks, at_ms, start = [], 0, 0
    for pair in field.text().split():
        delta, colon, size = pair.partition(":")
        if not (colon and delta.isdecimal() and size.isdecimal()):
            field.refuse(f"{pair!r} is not milliseconds:bytes")
        at_ms += int(delta)
        chunks.append(TimedChunk(at_ms, body[start : start + int(size)]))
        start += int(size)
    return tuple(chunks) if start == len(body) else None


def _plain(value: Any) -> Any:
    """Replace what vcrpy's old tags construct (tuples, file objects, iterators) by data that can be saved again."""
    if isinstance(value, dict):
        return {name: _plain(child) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    if hasattr(value, "read"):
        return value.read()
    if hasattr(value, "__next__"):
        return b"".join(part if isinstance(part, bytes) else str(part).encode() for part in value)
    return value
