"""What the tests of matching share: a talk with tools, forms, and how a request is looked for."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from aquila.cassette.matching.drift import Drift, explain
from aquila.cassette.matching.match import Index, request_key
from aquila.cassette.matching.rules import DEFAULT_RULES, Rules
from aquila.transport.base import Request
from tests.tapes import interaction, request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


POLICY = "You help the travellers of a railway. Never promise a refund. Name the platform and the time of a train. "
SYSTEM = (POLICY * 20)[:2040] + "Answer in English, kindly."
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"Looks up {name}",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
    for name in ("trains", "prices", "weather")
]
TALK: list[dict[str, Any]] = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": "When does the next train go to Paris?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "trains", "arguments": '{"city":"Paris"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": '{"leaves": "10:24", "platform": 7}'},
    {"role": "user", "content": "And what does it cost?"},
]
Talk = list[dict[str, Any]]


def body(text: str) -> Request:
    return Request(method="POST", url="https://e.test/v1", body=text.encode())


def talk(change: Callable[[Talk, Talk], object] = lambda *_: None, **fields: Any) -> Request:
    messages, tools = copy.deepcopy((TALK, TOOLS))
    change(messages, tools)
    whole = {"model": "tiny", "messages": messages, "tools": tools, "temperature": 0.2, **fields}
    return replace(request(), body=json.dumps(whole).encode())


def drift(sent: Request, *recorded: Request, rules: Rules = DEFAULT_RULES) -> Drift:
    items = (replace(interaction(), request=each, key=request_key(each)) for each in recorded)
    return explain(sent, Index(items, rules))


def form(*files: tuple[str, tuple[str | None, bytes, str]], mark: str = "XX", **fields: str) -> Request:
    named = [(name, (None, value.encode(), "")) for name, value in fields.items()]
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"'
        + (f'; filename="{filename}"' if filename else "")
        + (f"\r\nContent-Type: {kind}" if kind else "")
        + f"\r\n\r\n{data.decode('latin-1')}\r\n"
        for name, (filename, data, kind) in [*named, *files]
    ]
    return Request(
        method="POST",
        url="https://e.test/v1/audio/transcriptions",
        headers={"content-type": f"multipart/form-data; boundary={mark}"},
        body="".join([*parts, f"--{mark}--\r\n"]).encode("latin-1"),
    )


SOUND = ("file", ("a.wav", b"RIFF\x00\xff", "audio/wav"))
