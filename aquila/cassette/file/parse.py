"""Cassette files back to interactions: ours, those of vcrpy, and those a person changed.

Whatever is wrong with a file is said in one line that names the file, the line and the remedy. A broken file never
counts as an empty one: that would record it again by accident. Nor does one that is cut off count as a short one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aquila.cassette.answer import is_event_stream, split_events
from aquila.cassette.file.decompress import DecompressError, decompress
from aquila.cassette.file.field import LATEST_MS, REMEDY, Field
from aquila.cassette.file.format import EXTRAS_VERSION, FAILURE_PREFIX, FORMAT_VERSION, digest
from aquila.cassette.file.wholeness import missing_end
from aquila.cassette.file.yamltext import load_document
from aquila.cassette.interaction import End, Failure, Interaction, TimedChunk
from aquila.cassette.matching.match import request_key
from aquila.errors import CassetteError
from aquila.transport.base import Request

_ENDS: tuple[End, ...] = ("complete", "cut", "abandoned")
#: Characters of the longest time and size together; Python refuses to read thousands of them.
_LONGEST = 30


def load(data: bytes, name: str) -> tuple[Interaction, ...]:
    """Read a cassette file.

    Args:
        data: The file's bytes.
        name: The file's name, for errors.

    Raises:
        CassetteError: It is no cassette, or it is cut off; names the line and the field.
    """
    text = decode(data, name)
    return read_document(load_document(text, name), name, text)


def decode(data: bytes, name: str) -> str:
    """Give the text of a file.

    Raises:
        CassetteError: It is empty or not UTF-8.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CassetteError(
            f"{name}, line {line}: not UTF-8; restore the file from git or record it again"
        ) from error
    if not text.strip():
        raise CassetteError(
            f"{name}, line 1: the file is empty; delete it to record it again, or restore it from git"
        )
    return text


def read_document(document: Any, name: str, text: str) -> tuple[Interaction, ...]:
    """Read the interactions of a document.

    Args:
        document: What the file says, as plain data.
        name: The file's name, for errors.
        text: The file's text, for the lines in errors.

    Raises:
        CassetteError: It is no cassette, or it is cut off.
    """
    root = Field(name, text, (), document)
    version = root.child("version")
    if version.value != FORMAT_VERSION or isinstance(version.value, bool):
        version.refuse(f"is {version.value!r}, expected {FORMAT_VERSION}")
    items = root.child("interactions")
    if not isinstance(items.value, list):
        items.refuse("is not a list")
    fields = [
        _plain_field(Field(name, text, ("interactions", index), item))
        for index, item in enumerate(items.value)
    ]
    interactions = tuple(map(_interaction, fields))
    if interactions:
        _refuse_if_cut(fields[-1], interactions[-1])
    return interactions


def _refuse_if_cut(item: Field, last: Interaction) -> None:
    missing = missing_end(item.text, item.value, last.headers, last.body)
    if missing is not None:
        remedy = (
            "restore it from git or record it again; if it is written by hand, say so: "
            "`aquila: {source: written}` under `response`"
        )
        line = item.text.rstrip("\n").count("\n") + 1
        item.refuse(f"{missing}: the file is cut off", remedy, line=line)


def _interaction(item: Field) -> Interaction:
    sent, answer = item.child("request"), item.child("response")
    _refuse_dialects(sent, answer)
    request = Request(
        method=sent.child("method").string(),
        url=sent.child("uri").string(),
        headers=sent.optional("headers").headers(),
        body=sent.optional("body").octets(),
    )
    status = answer.child("status").child("code")
    if not 100 <= status.integer() <= 999:  # noqa: PLR2004 - what HTTP allows
        status.refuse("is not a status of three digits")
    message = str(answer.value["status"].get("message") or "")
    extras = answer.optional("aquila")
    if extras.value is not None:
        _refuse_newer(extras)
    headers, body = _decoded(answer)
    chunks, edited = _chunks(extras, body, headers)
    end, failure = _end(extras, message)
    return Interaction(
        request=request,
        key=request_key(request),
        status=status.value,
        reason=message,
        headers=headers,
        chunks=chunks,
        end=end,
        failure=failure,
        edited=edited,
        document=item.value,
        **_facts(extras),
    )


def _refuse_dialects(sent: Field, answer: Field) -> None:
    """Refuse what only the recorder that wrote it, with its own serializer, can read."""
    bodies = sent.mapping().get("body"), answer.mapping().get("body")
    answered = bodies[1] if isinstance(bodies[1], dict) else {}
    foreign = isinstance(bodies[0], dict) or (answered and "string" not in answered)
    for part in (sent, answer):
        if "parsed_body" in part.value or foreign:
            part.refuse(
                "has its body in another recorder's form", f"convert it: aquila cassette import {part.name}"
            )


def _refuse_newer(extras: Field) -> None:
    version = extras.optional("v")
    if version.value is not None and version.integer() > EXTRAS_VERSION:
        version.refuse(f"is {version.value}, which a newer release writes", "pip install -U aquila-llm")


def _facts(extras: Field) -> dict[str, Any]:
    if extras.value is None:
        return {}
    readers: dict[str, Callable[[Field], Any]] = {
        "seq": Field.integer,
        "recorded_at": _moment,
        "head_ms": Field.milliseconds,
        "total_ms": Field.milliseconds,
        "model": Field.string,
        "usage": Field.counts,
        "cost_usd": Field.amount,
        "source": Field.string,
    }
    values = extras.mapping()
    present = ((name, reader) for name, reader in readers.items() if values.get(name) is not None)
    return {name: reader(extras.child(name)) for name, reader in present}


def _moment(field: Field) -> datetime:
    try:
        moment = datetime.fromisoformat(str(field.value))
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        moment.astimezone(UTC)
    except ValueError:
        field.refuse("is not a time in ISO 8601")
    except OverflowError:
        field.refuse("is not a time between the years 1 and 9999")
    return moment


def _end(extras: Field, message: str) -> tuple[End, Failure | None]:
    value = "complete" if extras.value is None else extras.mapping().get("end", "complete")
    if isinstance(value, dict):
        end = extras.child("end")
        seconds = value.get("seconds")
        return "error", Failure(
            error=end.child("error").string(),
            message=str(value.get("message") or ""),
            seconds=end.child("seconds").seconds() if isinstance(seconds, int | float) else None,
        )
    if value not in _ENDS:
        extras.child("end").refuse(f"is {value!r}, expected {', '.join(_ENDS)} or an error")
    if message.startswith(FAILURE_PREFIX):
        return "error", Failure(error=message.removeprefix(FAILURE_PREFIX), message="")
    return value, None


def _decoded(answer: Field) -> tuple[dict[str, str], bytes]:
    headers = answer.optional("headers").headers()
    field = answer.child("body")
    if field.value == {}:
        return headers, b""  # So vcrpy writes the answers that aiohttp follows elsewhere.
    field = field.child("string")
    body, encoding = field.octets(), headers.get("content-encoding", "")
    if not encoding or "aquila" in answer.value or not body:
        return headers, body
    # Other tools keep the body as it came; what passes our seam is decoded. What is text is no compressed body: vcrpy
    # stores that of aiohttp decoded, and its headers as they were.
    if not isinstance(field.value, str):
        try:
            body = decompress(body, encoding)
        except DecompressError as error:
            field.refuse(str(error), error.remedy or REMEDY)
    gone = {"content-encoding", "content-length"}
    return {name: value for name, value in headers.items() if name not in gone}, body


def _chunks(extras: Field, body: bytes, headers: Mapping[str, str]) -> tuple[tuple[TimedChunk, ...], bool]:
    values = {} if extras.value is None else extras.mapping()
    edited = values.get("sha") is not None and extras.child("sha").string() != digest(body)
    if values.get("chunks") is not None and not edited:
        return _cut(extras.child("chunks"), body), False
    pieces = split_events(body) if is_event_stream(headers) else [body] if body else []
    return tuple(TimedChunk(0, piece) for piece in pieces), edited


def _cut(field: Field, body: bytes) -> tuple[TimedChunk, ...]:
    chunks, at_ms, start = [], 0, 0
    for pair in field.string().split():
        delta, _, size = pair.partition(":")
        if not (delta.isdecimal() and size.isdecimal() and len(pair) <= _LONGEST):
            field.refuse(f"has {pair[:40]!r}, which is not milliseconds:bytes")
        at_ms += int(delta)
        if at_ms > LATEST_MS:
            field.refuse(f"ends later than {LATEST_MS:,} milliseconds")
        chunks.append(TimedChunk(at_ms, body[start : start + int(size)]))
        start += int(size)
    if start != len(body):
        field.refuse(f"counts {start} bytes where the body has {len(body)}")
    return tuple(chunks)


def _plain_field(field: Field) -> Field:
    try:
        return replace(field, value=_plain(field.value))
    except RecursionError:
        field.refuse("is nested too deep")


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
