"""What a recorded answer says about itself: its events, whether it is finished, its model and its usage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from itertools import pairwise
from typing import Any

from aquila.endpoint.counts import read_usage
from aquila.response import Usage

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2,}")
#: The same where all lines end in LF, five times as fast.
_BLANK_LF_LINE = re.compile(rb"\n{2,}")
_DONE = re.compile(rb"data: ?\[DONE\]")
_LAST_TYPES = rb"(?:response\.(?:completed|failed|incomplete)|message_stop|transcript\.text\.done)"
_LAST_NAME = re.compile(rb"event: ?" + _LAST_TYPES + rb"(?=[\r\n])")
_LAST_TYPE = re.compile(rb'"type": ?"' + _LAST_TYPES + b'"')
_USAGE = re.compile(rb'"usage"\s*:\s*\{')


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Tell whether the body is server-sent events."""
    return headers.get("content-type", "").lower().startswith("text/event-stream")


def split_events(body: bytes) -> list[bytes]:
    """Cut a body after each event. Joined, the pieces are the body again."""
    blank_line = _BLANK_LINE if b"\r" in body else _BLANK_LF_LINE
    ends = [match.end() for match in blank_line.finditer(body)]
    cuts = [0, *ends, len(body)]
    return [body[start:end] for start, end in pairwise(cuts) if end > start]


def is_finished(body: bytes, headers: Mapping[str, str]) -> bool:
    """Tell whether the answer is whole although its reader stopped before the source ended.

    It is when its terminal event came (`[DONE]`, `response.completed`, `response.failed`, `response.incomplete`,
    `message_stop`, `transcript.text.done`), or as many bytes as `content-length` promised.
    """
    return headers.get("content-length") == str(len(body)) or _has_last_event(body)


def has_no_body(method: str, status: int) -> bool:
    """Tell whether an answer has none, so that its headers tell of the one it would have."""
    return method.upper() == "HEAD" or status == HTTPStatus.NOT_MODIFIED


def _has_last_event(body: bytes) -> bool:
    if _at_line_start(_DONE, body) is not None:
        return True
    starts = (_at_line_start(_LAST_NAME, body), _typed_line(body))
    start = min((start for start in starts if start is not None), default=None)
    if start is None:
        return False
    # The last event may hold the whole answer again, so the beginning of it is not enough.
    return _BLANK_LINE.search(body, start) is not None or _is_json(_data(body[start:]))


def _at_line_start(pattern: re.Pattern[bytes], body: bytes) -> int | None:
    found = (match.start() for match in pattern.finditer(body))
    return next((at for at in found if body[at - 1 : at] in {b"", b"\n", b"\r"}), None)


def _typed_line(body: bytes) -> int | None:
    """Find the first line of data whose type says that it is the last, without looking at a byte twice."""
    line = searched = 0
    for match in _LAST_TYPE.finditer(body):
        line_end = max(body.rfind(end, searched, match.start()) for end in (b"\n", b"\r"))
        line = line if line_end < 0 else line_end + 1
        searched = match.start()
        if body.startswith(b"data:", line):
            return line
    return None


def _data(event: bytes) -> bytes:
    return b"\n".join(line[5:] for line in event.splitlines() if line.startswith(b"data:"))


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def model_and_usage(body: bytes) -> tuple[str | None, dict[str, int] | None]:
    """Find the model as served and the tokens used: `input`, `output`, `cached`. None where the answer is silent."""
    model, usage = model_and_counts(body)
    if usage is None:
        return model, None
    counts = {"input": usage.input_tokens, "output": usage.output_tokens, "cached": usage.cached_tokens}
    return model, {name: count or 0 for name, count in counts.items()}


def model_and_counts(body: bytes) -> tuple[str | None, Usage | None]:
    """Find the model as served and all that the provider counted. None where the answer is silent."""
    model: str | None = None
    usage: Usage | None = None
    for document in _documents(body):
        inner = document.get("response")
        for source in (document, inner) if isinstance(inner, dict) else (document,):
            name = source.get("model")
            # JSON may have half a surrogate pair, a file may not.
            model = name.encode(errors="backslashreplace").decode() if isinstance(name, str) else model
            usage = _counts(source.get("usage")) or usage
    return model, usage


def _documents(body: bytes) -> Iterator[dict[str, Any]]:
    if body.lstrip()[:1] == b"{":
        texts = [body]
    else:
        texts = _telling([line[5:] for line in body.splitlines() if line.startswith(b"data:")])
    for text in texts:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(document, dict):
            yield document


def _telling(texts: list[bytes]) -> list[bytes]:
    # A long stream repeats its model in each event; one of them and those with usage tell everything.
    first = next((text for text in texts if b'"model"' in text), b"")
    return [first, *(text for text in texts if _USAGE.search(text) is not None)]


def _counts(wire: object) -> Usage | None:
    for inputs, outputs in (("prompt", "completion"), ("input", "output")):
        usage = read_usage(wire, inputs=inputs, outputs=outputs)
        if usage is not None and usage.input_tokens is not None:
            # What only takes text in, such as embeddings, does not count what it gives.
            return usage if usage.output_tokens is not None else replace(usage, output_tokens=0)
    return None
