from __future__ import annotations

import time

import pytest

from aquila.cassette.answer import is_finished, model_and_counts, split_events
from aquila.response import Usage


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "last",
    [
        ["data: [DONE]"],
        ["data:[DONE]"],
        ["event: message_stop", 'data: {"type": "message_stop"}'],
        ["event:message_stop", "data: {}"],
        ['data: {"type":"message_stop"}'],
        ['data:{"type":"transcript.text.done","text":"hi"}'],
        ["event: response.completed", 'data: {"type":"response.completed","response":{}}'],
        ['data: {"sequence_number":3,"type":"response.failed"}'],
    ],
)
def test_the_last_event_finishes_an_answer_whatever_ends_its_lines(last: list[str], end: str) -> None:
    whole = end.join(["data: x", "", *last, "", ""]).encode()
    beginning = end.join(["data: x", "", last[0][:9]]).encode()

    assert is_finished(whole, {})
    assert is_finished(whole.rstrip(b"\r\n"), {})
    assert not is_finished(beginning, {})


@pytest.mark.parametrize(
    "body",
    [
        b"event: response.completed\n",
        b'event: response.completed\ndata: {"type":"response.completed","response":{"output":[{"te',
        b'data: {"type":"response.completed","response":{"output":[{"te',
        b'data: {"text":"\\n\\ndata: [DONE]\\n\\n"}\n\n',
        b'data: {"text":"event: message_stop"}\n\n',
        b'{"type":"message_stop"}',
        b': "type":"message_stop"\n\n',
    ],
)  # fmt: skip
def test_a_beginning_or_a_quotation_of_the_last_event_finishes_nothing(body: bytes) -> None:
    assert not is_finished(body, {})


@pytest.mark.parametrize(
    "body",
    [
        b"data: [DONE" * 500_000,
        b'x "type":"message_stop"' * 200_000,
        b'data: "type":"message_stop"' * 200_000,
        b'"type":"message_stop"\r' * 200_000,
        b'data: {"type":"message_stop"\n' * 200_000,
        b'data: {"type":"response.output_text.delta"}\n\n' * 120_000,
    ],
    ids=["done", "no data", "one line", "CR", "no JSON", "no last event"],
)
def test_the_search_takes_time_in_proportion_to_the_body(body: bytes) -> None:
    start = time.process_time()
    is_finished(body, {})

    assert time.process_time() - start < 5


def test_a_body_without_cr_is_cut_as_any_other() -> None:
    assert split_events(b"a\n\nb\n\n\nc") == [b"a\n\n", b"b\n\n\n", b"c"]
    assert split_events(b"a\r\n\r\nb\n\nc") == [b"a\r\n\r\n", b"b\n\n", b"c"]


def test_all_that_was_counted_is_there() -> None:
    usage = (
        b'{"prompt_tokens":5,"completion_tokens":4,"total_tokens":9,"prompt_tokens_details":{"cached_tokens":3},'
        b'"completion_tokens_details":{"reasoning_tokens":2}}'
    )

    model, counts = model_and_counts(
        b'data: {"model":"m","usage":null}\n\ndata: {"usage":' + usage + b"}\n\n"
    )

    assert model == "m"
    assert counts == Usage(
        input_tokens=5, output_tokens=4, total_tokens=9, cached_tokens=3, reasoning_tokens=2
    )


def test_embeddings_give_no_tokens() -> None:
    _, counts = model_and_counts(b'{"usage":{"prompt_tokens":7,"total_tokens":7}}')

    assert counts == Usage(input_tokens=7, output_tokens=0, total_tokens=7)
