"""What another recorder recorded, or a person changed, as it would be had we recorded it: redacted, plain, one event a chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from aquila.cassette.answer import has_no_body, model_and_usage
from aquila.cassette.file.foreign import read_foreign
from aquila.cassette.file.format import IMPORTED
from aquila.cassette.file.parse import decode, read_document
from aquila.cassette.interaction import Interaction, TimedChunk
from aquila.cassette.matching.match import request_key
from aquila.cassette.matching.rules import DEFAULT_RULES, Rules
from aquila.cassette.secrets.leaks import Leak, find_leak, written_fields
from aquila.cassette.secrets.redact import (
    REDACTED,
    redact_body,
    redact_chunks,
    redact_request_headers,
    redact_response_headers,
    redact_url,
)
from aquila.cassette.secrets.secret import Secret, request_secrets

#: They belong to one connection, or to a body in another form than the file's.
_OF_THE_WIRE = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_OF_THE_REQUEST = _OF_THE_WIRE | {"accept-encoding", "content-length", "host"}
#: What other recorders put in a secret's place.
_BLANKED = ("filter", "redact", "scrub", "dummy", "fake", "mock", "xxxx", "****", "placeholder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A file read."""

    #: The recorder that wrote it.
    writer: str
    interactions: tuple[Interaction, ...]
    #: What was replaced: header names, `query parameters`, `request body`, `response body`.
    redacted: tuple[str, ...]
    #: Headers that are not kept.
    left_out: tuple[str, ...]
    #: A secret that is still inside, and the interaction, from 1; None if there is none.
    leak: tuple[int, Leak] | None


def import_file(
    data: bytes, name: str, *, rules: Rules = DEFAULT_RULES, secrets: Iterable[Secret] = ()
) -> Imported:
    """Read a file of another recorder, or one of ours that was changed by hand.

    Args:
        data: The file's bytes.
        name: The file's name, for errors.
        rules: What is redacted besides the defaults.
        secrets: Values that must not be inside.

    Raises:
        CassetteError: It is of no recorder that is known, or broken; names the line.
    """
    text = decode(data, name)
    document, writer = read_foreign(text, name)
    before = read_document(document, name, text)
    after = tuple(_converted(item, rules) for item in before)
    pairs = list(zip(before, after, strict=True))
    known = (*secrets, *(Secret("a secret of the rules", value) for value in rules.secrets))
    return Imported(
        writer=writer,
        interactions=after,
        redacted=tuple(sorted({place for pair in pairs for place in _redacted(*pair)})),
        left_out=tuple(sorted({name for old, new in pairs for name in _left_out(old, new)})),
        leak=next(_leaks(pairs, known, rules), None),
    )


def _converted(item: Interaction, rules: Rules) -> Interaction:
    sent = item.request
    request = replace(
        sent,
        url=redact_url(sent.url, rules.redact),
        headers=_without(redact_request_headers(sent.headers, rules.redact), _OF_THE_REQUEST),
        body=redact_body(sent.body, rules.redact, pieces=False),
    )
    chunks = tuple(
        TimedChunk(int(at), data)
        for at, data in redact_chunks([(chunk.at_ms, chunk.data) for chunk in item.chunks], rules.redact)
    )
    size = sum(len(chunk.data) for chunk in chunks)
    headers = _without(redact_response_headers(item.headers, rules.redact), _OF_THE_WIRE)
    if headers.get("content-length", str(size)) != str(size) and not has_no_body(sent.method, item.status):
        del headers["content-length"]
    model, usage = model_and_usage(item.body)
    return replace(
        item,
        request=request,
        key=request_key(request),
        headers=headers,
        chunks=chunks,
        model=item.model or model,
        usage=item.usage or usage,
        recorded_at=item.recorded_at or _recorded_at(item),
        source=item.source if _is_ours(item) else IMPORTED,
        edited=False,
        document=None,
    )


def _is_ours(item: Interaction) -> bool:
    return item.document is not None and "aquila" in item.document["response"]


def _recorded_at(item: Interaction) -> datetime | None:
    value = None if item.document is None else item.document.get("recorded_at")
    try:
        moment = datetime.fromisoformat(str(value)).replace(microsecond=0)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _without(headers: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


def _redacted(old: Interaction, new: Interaction) -> Iterator[str]:
    for before, after in ((old.request.headers, new.request.headers), (old.headers, new.headers)):
        yield from (name for name, value in after.items() if value == REDACTED != before[name])
    if old.request.url != new.request.url:
        yield "query parameters"
    if old.request.body != new.request.body:
        yield "request body"
    if old.body != new.body:
        yield "response body"


def _left_out(old: Interaction, new: Interaction) -> set[str]:
    return {*old.request.headers} - {*new.request.headers} | {*old.headers} - {*new.headers}


def _leaks(
    pairs: Iterable[tuple[Interaction, Interaction]], known: tuple[Secret, ...], rules: Rules
) -> Iterator[tuple[int, Leak]]:
    for number, (old, new) in enumerate(pairs, start=1):
        own = request_secrets(old.request.url, old.request.headers, rules.redact)
        real = [secret for secret in own if not any(word in secret.value.lower() for word in _BLANKED)]
        leak = find_leak(written_fields(new), (*known, *real), rules.allow)
        if leak is not None:
            yield number, leak
