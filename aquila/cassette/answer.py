"""What a recorded answer says about itself: its events, whether it is finished, its model and its usage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2,}")
_TERMINAL = re.compile(
    rb"(?:^|[\r\n])(?:data: ?\[DONE\]|event: ?(?:response\.(?:completed|failed|incomplete)|message_stop)[\r\n]"
    rb'|data: ?\{[^\r\n]*"type": ?"response\.(?:completed|failed|incomplete)")'
)


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Tell whether the body is server-sent events."""
    return headers.get("content-type", "").lower().startswith("text/event-stream")


def split_events(body: bytes) -> list[bytes]:
    """Cut a body after each event. Joined, the pieces are the body again."""
    ends = [match.end() for match in _BLANK_LINE.finditer(body)]
    cuts = [0, *ends, len(body)]
    return [body[start:end] for start, end in pairwise(cuts) if end > start]


def is_finished(body: bytes, headers: Mapping[str, str]) -> bool:
    """Tell whether the answer is whole although its reader stopped before the source ended.

    It is when its terminal event came (`[DONE]`, `response.completed`, `response.failed`, `response.incomplete`), or
    as many bytes as `content-length` promised.
    """
    return _TERMINAL.search(body) is not None or headers.get("content-length") == str(len(body))


def model_and_usage(body: bytes) -> tuple[str | None, dict[str, int] | None]:
    """Find the model as served and the tokens used: `input`, `output`, `cached`. None where the answer is silent."""
    model: str | None = None
    usage: dict[str, int] | None = None
    for document in _documents(body):
        inner = document.get("response")
        for source in (document, inner) if isinstance(inner, dict) else (document,):
            name = source.get("model")
            model = name if isinstance(name, str) else model
            usage = _tokens(source.get("usage")) or usage
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
    return [first, *(text for text in texts if b'"usage"' in text)]


def _tokens(usage: object) -> dict[str, int] | None:
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details")
    counts = {
        "input": usage.get("prompt_tokens", usage.get("input_tokens")),
        "output": usage.get("completion_tokens", usage.get("output_tokens", 0)),
        "cached": details.get("cached_tokens") if isinstance(details, dict) else 0,
    }
    known = {name: count if isinstance(count, int) else 0 for name, count in counts.items()}
    return known if isinstance(counts["input"], int) else None
