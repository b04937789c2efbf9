"""What the servers on one's own machine do differently, one test for each of their habits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aquila import errors
from aquila.events import ToolCall, UsageUpdate
from aquila.response import Usage
from tests.decoding import chat_decoder, choice, feed, fragment, read_wire


def chunk(payload: Any) -> bytes:
    return f"data: {json.dumps(payload)}\n\n".encode()


def test_vllm_reports_an_error_in_band_and_says_done_behind_it() -> None:
    wire = (
        chunk({"error": {"message": "CUDA OOM", "type": "BadRequestError", "code": 400}})
        + b"data: [DONE]\n\n"
    )

    with pytest.raises(errors.BadRequestError, match="CUDA OOM"):
        read_wire(chat_decoder("vllm"), wire)


def test_vllm_counts_on_every_chunk_what_has_come_so_far() -> None:
    frames = [
        {**choice(content=text), "usage": {"prompt_tokens": 3, "completion_tokens": count}}
        for count, text in enumerate("ab", 1)
    ]

    updates = [event for event in feed(chat_decoder("vllm"), *frames) if isinstance(event, UsageUpdate)]

    assert updates == [
        UsageUpdate(Usage(input_tokens=3, output_tokens=1)),
        UsageUpdate(Usage(input_tokens=3, output_tokens=2)),
    ]


def test_ollama_numbers_all_calls_zero_and_ends_with_stop() -> None:
    calls = [fragment(f'{{"x":{n}}}', index=0, id=f"call_{n}", name="f") for n in (1, 2)]

    events = feed(
        chat_decoder("ollama"), *[choice(tool_calls=[call]) for call in calls], choice("stop"), finish=True
    )

    assert events[-2:] == [
        ToolCall("call_1", "f", {"x": 1}, '{"x":1}'),
        ToolCall("call_2", "f", {"x": 2}, '{"x":2}'),
    ]


def test_ollama_of_old_numbers_no_call_at_all() -> None:
    calls = [fragment({"x": n}, name="f") for n in (1, 2)]

    events = feed(chat_decoder("ollama"), choice(tool_calls=calls), choice("stop"), finish=True)

    assert events[-2:] == [
        ToolCall("call_r_0", "f", {"x": 1}, '{"x":1}'),
        ToolCall("call_r_1", "f", {"x": 2}, '{"x":2}'),
    ]


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b'error: {"code":500,"message":"slot unavailable","type":"server_error"}\n\n', id="until 2025"),
        pytest.param(chunk({"error": {"code": 500, "message": "slot unavailable"}}), id="since"),
        pytest.param(b": ping\n\ndata:\n\n" + chunk({"error": {"code": 500, "message": "slot unavailable"}}),
                     id="behind pings and empty data"),
    ],
)  # fmt: skip
def test_llama_cpp_reports_errors_in_a_field_of_its_own(wire: bytes) -> None:
    with pytest.raises(errors.InternalServerError, match="slot unavailable"):
        read_wire(chat_decoder("llama.cpp"), wire)


def test_lm_studio_reports_errors_twice_over() -> None:
    facts = {"error": {"message": "Error rendering prompt with jinja template"}, "message": "jinja"}

    with pytest.raises(errors.ProviderStreamError, match="rendering prompt"):
        chat_decoder("lmstudio").decode("error", json.dumps(facts).encode())
