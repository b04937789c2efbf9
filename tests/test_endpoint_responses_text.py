from __future__ import annotations

from typing import Any

import pytest

from aquila.events import Annotation, Chunk, ReasoningChunk, Status, UsageUpdate
from aquila.response import Usage
from tests import responses_wire as wire
from tests.decoding import (
    completed,
    feed,
    items_sent,
    read_wire,
    response_event,
    responses_decoder,
    text_delta,
    texts,
)

FINISHED = Status("finished", {"finish_reason": "stop", "status": "completed"})


def test_text_that_came_in_fragments_is_not_repeated_by_what_follows() -> None:
    assert read_wire(responses_decoder(), b"".join(wire.answer("Hel", "lo")))[-3:] == [
        Status("output_item.done", {"item": wire.message("Hello")}),
        UsageUpdate(
            Usage(input_tokens=7, output_tokens=2, total_tokens=9, cached_tokens=0, reasoning_tokens=0)
        ),
        FINISHED,
    ]


@pytest.mark.parametrize(
    "payloads",
    [
        pytest.param([completed(wire.message("Hi"))], id="only in the response"),
        pytest.param(
            [response_event("output_item.done", output_index=0, item=wire.message("Hi")), completed()],
            id="only in the item, the response's output empty",
        ),
        pytest.param(
            [
                response_event("output_item.done", output_index=0, item=wire.message("Hi")),
                response_event("completed", response={"id": "r", "status": "completed", "output": None}),
            ],
            id="only in the item, the response's output null",
        ),
        pytest.param(
            [response_event("output_text.done", output_index=0, content_index=0, text="Hi"), completed()],
            id="only with the end of the part",
        ),
        pytest.param(
            [
                text_delta("H"),
                response_event("output_text.done", output_index=0, content_index=0, text="Hi"),
                completed(),
            ],
            id="the rest with the end of the part",
        ),
        pytest.param([text_delta("H"), completed(wire.message("Hi"))], id="the rest with the response"),
        pytest.param(
            [completed({"type": "message", "content": "Hi"})], id="only in the response, and not in parts"
        ),
        pytest.param(
            [
                text_delta("Hi"),
                response_event("output_text.done", output_index=0, content_index=0, text="Ho"),
                completed(wire.message("Hey")),
            ],
            id="contradictions change nothing",
        ),
        pytest.param(
            [
                text_delta("Hi", None, item_id="a"),
                response_event("output_text.done", item_id="a", content_index=0, text="Hi"),
                completed(wire.message("Hi", "other")),
            ],
            id="no output_index, and other ids at the end",
        ),
    ],
)
def test_the_text_is_told_once_wherever_it_stands(payloads: list[dict[str, Any]]) -> None:
    decoder = responses_decoder()

    events = feed(decoder, *payloads, finish=True)
    turn = decoder.turn()

    assert texts(events) == "Hi"
    assert turn is not None
    assert turn.content == "Hi"


def test_several_messages_are_one_text_and_none_comes_twice() -> None:
    events = feed(
        responses_decoder(),
        text_delta("A.", 0),
        response_event("output_item.done", output_index=0, item=wire.message("A.", "a")),
        text_delta("B.", 1),
        response_event("output_item.done", output_index=1, item=wire.message("B.", "b")),
        completed(wire.message("A.", "a"), wire.message("B.", "b")),
    )

    assert texts(events) == "A.B."


def test_parts_may_come_interleaved() -> None:
    decoder = responses_decoder()
    parts = [{"type": "output_text", "text": text} for text in ("ab", "cdef")]

    events = feed(
        decoder,
        text_delta("a", 0, 0),
        text_delta("c", 0, 1),
        text_delta("b", 0, 0),
        text_delta("d", 0, 1),
        completed({"id": "m", "type": "message", "content": parts}),
    )
    turn = decoder.turn()

    assert texts(events) == "acbdef"
    assert turn is not None
    assert turn.content == "abcdef"


def test_a_comment_on_the_work_is_no_answer_and_stays_in_the_history() -> None:
    decoder = responses_decoder()
    comment = {**wire.message("Looking.", "c"), "phase": "commentary"}
    final = {**wire.message("42", "f"), "phase": "final_answer"}

    events = feed(
        decoder,
        response_event("output_item.added", output_index=0, item={**comment, "content": []}),
        text_delta("Looking.", 0),
        response_event("output_item.done", output_index=0, item=comment),
        response_event("output_item.added", output_index=1, item={**final, "content": []}),
        text_delta("42", 1),
        response_event("output_item.done", output_index=1, item=final),
        completed(comment, final),
        finish=True,
    )
    turn = decoder.turn()

    assert texts(events) == "42"
    assert Status("commentary", {"text": "Looking."}) in events
    assert turn is not None
    assert turn.content == "42"
    assert items_sent(turn) == [comment, final]


def test_a_comment_at_the_place_of_the_answer_does_not_make_a_comment_of_it() -> None:
    comment = {**wire.message("", "c"), "phase": "commentary"}

    events = feed(
        responses_decoder(),
        response_event("output_item.added", output_index=0, item=comment),
        text_delta("Looking.", 0),
        response_event("output_item.added", output_index=0, item=wire.message("", "f")),
        text_delta("42", 0),
    )

    assert texts(events) == "42"


def test_a_comment_alone_is_what_the_turn_says() -> None:
    decoder = responses_decoder()
    comment = {**wire.message("Looking.", "c"), "phase": "commentary"}

    feed(
        decoder,
        response_event("output_item.added", output_index=0, item={**comment, "content": []}),
        text_delta("Looking.", 0),
        completed(comment),
    )
    turn = decoder.turn()

    assert turn is not None
    assert turn.content == "Looking."


def test_a_refusal_is_told_once_wherever_it_stands() -> None:
    refused = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "refusal", "refusal": "I won't"}],
    }
    streamed, late = responses_decoder(), responses_decoder()

    events = feed(
        streamed,
        response_event("refusal.delta", delta="I "),
        response_event("refusal.done", refusal="I won't"),
        completed(refused),
    )
    turn = streamed.turn()

    assert [
        event.data["text"] for event in events if isinstance(event, Status) and event.name == "refusal"
    ] == [
        "I ",
        "won't",
    ]
    assert feed(late, completed(refused))[0] == Status("refusal", {"text": "I won't"})
    assert turn is not None
    assert turn.extra == {"refusal": "I won't"}


def test_sources_and_reasoning_that_only_the_response_holds_are_told() -> None:
    source = {"type": "url_citation", "url": "https://example.org"}
    message = wire.message("Hi")
    message["content"][0]["annotations"] = [source]
    thought = {
        "id": "rs",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text} for text in "ab"],
    }

    assert feed(responses_decoder(), completed(thought, message)) == [
        ReasoningChunk("a\n\nb"),
        Annotation(source),
        Chunk("Hi"),
        FINISHED,
    ]


def test_sources_and_reasoning_that_came_on_the_way_are_not_told_again() -> None:
    source = {"type": "url_citation", "url": "https://example.org"}
    message = wire.message("Hi")
    message["content"][0]["annotations"] = [source]
    thought = {"id": "rs", "type": "reasoning", "summary": [{"type": "summary_text", "text": "a"}]}

    events = feed(
        responses_decoder(),
        response_event("reasoning_summary_text.delta", delta="a"),
        text_delta("Hi"),
        response_event("output_text.annotation.added", annotation=source),
        completed(thought, message),
    )

    assert events == [ReasoningChunk("a"), Chunk("Hi"), Annotation(source), FINISHED]
