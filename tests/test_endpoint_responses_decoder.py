from __future__ import annotations

import json
from typing import Any

import pytest

from aquila import errors
from aquila.endpoint import ResponsesDecoder
from aquila.events import Chunk, Event, Status, UsageUpdate
from aquila.response import Usage
from tests import responses_wire as wire
from tests.decoding import (
    PROVIDER,
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


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "content_filter"}, "content_filter"),
        ({"reason": "max_messages"}, "max_messages"),
        ({"reason": "steered"}, "steered"),
        ({"reason": None}, "incomplete"),
        ({"reason": ["odd"]}, "incomplete"),
        (None, "incomplete"),
    ],
)
def test_an_incomplete_response_gives_what_came_and_why_it_ends(details: Any, reason: str) -> None:
    decoder = responses_decoder()
    end = wire.response("incomplete", [wire.message("Hi")], incomplete_details=details)

    events = feed(decoder, text_delta("Hi"), response_event("incomplete", response=end), finish=True)

    assert events == [Chunk("Hi"), Status("finished", {"finish_reason": reason, "status": "incomplete"})]
    assert (decoder.ended, decoder.closed) == (True, True)


@pytest.mark.parametrize(
    ("name", "status", "expected"),
    [
        ("completed", "completed", "completed"),
        ("completed", None, "completed"),
        ("completed", "in_progress", "completed"),
        ("completed", 5, "completed"),
        ("completed", "incomplete", "incomplete"),
        ("incomplete", None, "incomplete"),
        ("incomplete", "completed", "incomplete"),
    ],
)
def test_the_worse_of_the_events_name_and_the_status_inside_counts(
    name: str, status: Any, expected: str
) -> None:
    end = response_event(name, response={**wire.response("x"), "status": status})

    assert feed(responses_decoder(), end)[-1].data["status"] == expected  # type: ignore[union-attr]


def test_the_end_of_the_body_alone_ends_nothing() -> None:
    decoder = responses_decoder()

    feed(
        decoder,
        text_delta("Hi"),
        response_event("output_text.done", output_index=0, content_index=0, text="Hi"),
    )

    assert not decoder.ended


def test_usage_of_the_response_is_told_with_its_details() -> None:
    counts = {**wire.usage(7, 2), "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 1}}

    assert feed(responses_decoder(), completed(usage=counts))[0] == UsageUpdate(
        Usage(
            input_tokens=7, output_tokens=2, total_tokens=9, cached_tokens=3, cache_write_tokens=1, reasoning_tokens=0
        )
    )  # fmt: skip


def test_items_go_back_to_their_author_as_they_were_and_to_others_as_text() -> None:
    thought = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "AbC"}
    search = {
        "id": "ws_1",
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "url": None},
    }
    items = [thought, search, wire.message("Hi")]
    decoder = responses_decoder()

    feed(
        decoder,
        *[response_event("output_item.done", output_index=place, item=item) for place, item in enumerate(items)],
        completed({**thought, "encrypted_content": "another"}, search, wire.message("Hi")),
        finish=True,
    )  # fmt: skip

    assert items_sent(decoder.turn()) == items
    assert items_sent(decoder.turn(), "elsewhere") == [{"role": "assistant", "content": "Hi"}]


def test_reasoning_that_cannot_stand_alone_is_not_sent_to_a_server_that_keeps_nothing() -> None:
    thought = {"id": "rs_1", "type": "reasoning", "summary": []}
    sealed = {"id": "rs_2", "type": "reasoning", "summary": [], "encrypted_content": "AbC"}
    decoder = responses_decoder()

    feed(decoder, completed(thought, sealed, wire.message("Hi")))

    assert items_sent(decoder.turn(), store=False) == [sealed, wire.message("Hi")]
    assert items_sent(decoder.turn()) == [thought, sealed, wire.message("Hi")]


def test_items_that_ended_before_the_stream_was_picked_up_come_from_the_response() -> None:
    first, second = wire.message("A.", "a"), {**wire.message("B.", "b"), "note": "as it ended"}
    decoder = ResponsesDecoder(PROVIDER, ("resp_1", 8))

    feed(
        decoder,
        response_event("output_item.done", output_index=1, item=second, sequence_number=9),
        completed(first, wire.message("B.", "b")),
    )

    assert items_sent(decoder.turn()) == [first, second]


def test_a_lost_stream_is_picked_up_behind_its_last_event_and_no_event_counts_twice() -> None:
    events = wire.answer("a", "b", "c")
    decoder = responses_decoder()
    seen = [
        event for data in events[:6] for event in read_wire_events(decoder, data)
    ]  # fmt: skip

    place = decoder.resume()
    again = [event for data in events[3:] for event in read_wire_events(decoder, data)]

    assert place == ("resp_1", 5)
    assert texts([*seen, *again]) == "abc"
    assert decoder.ended


def read_wire_events(decoder: ResponsesDecoder, data: bytes) -> list[Event]:
    payload = data.partition(b"data: ")[2].strip()
    return decoder.decode("", payload)


def test_a_stream_without_numbers_can_be_had_as_a_whole_alone() -> None:
    decoder = responses_decoder()
    assert decoder.resume() is None
    feed(decoder, response_event("created", response=wire.response("in_progress")), text_delta("x"))

    assert decoder.resume() == (wire.ID, None)


def test_an_attached_stream_is_picked_up_where_it_was_attached() -> None:
    assert ResponsesDecoder(PROVIDER, ("resp_9", 4)).resume() == ("resp_9", 4)
    assert ResponsesDecoder(PROVIDER, ("resp_9", None)).resume() == ("resp_9", None)


def test_a_whole_response_is_read_like_a_stream() -> None:
    decoder = responses_decoder()
    body = wire.response("completed", [wire.message("Hi")], usage=wire.usage(1, 1))

    events = decoder.decode_whole(json.dumps(body, indent=2).encode())

    assert texts(events) == "Hi"
    assert events[-1] == FINISHED
    assert decoder.ended


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_a_response_that_is_not_done_yet_is_no_end(status: str) -> None:
    decoder = responses_decoder()

    events = decoder.decode_whole(json.dumps(wire.response(status)).encode())

    assert events[-1] == Status(status, {})
    assert not decoder.ended


def test_a_whole_response_gives_only_what_the_stream_before_it_did_not() -> None:
    decoder = responses_decoder()
    feed(decoder, text_delta("Hel"))

    events = decoder.decode_whole(json.dumps(wire.response("completed", [wire.message("Hello")])).encode())

    assert texts(events) == "lo"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error":{"message":"x","code":401}}', errors.AuthenticationError),
        (b'[{"error":{"message":"x","code":503}}]', errors.OverloadedError),
        (b'{"id":"r"}', errors.ProtocolError),
        (b"[]", errors.ProtocolError),
        (b"{", errors.ProtocolError),
        (json.dumps(wire.response("failed", error={"message": "x"})).encode(), errors.ProviderStreamError),
        (json.dumps(wire.response("cancelled")).encode(), errors.ProviderStreamError),
    ],
)
def test_a_body_that_is_no_answer_is_an_error(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        responses_decoder().decode_whole(body)


def test_litellm_ends_with_done_and_wraps_its_ids() -> None:
    long = "resp_" + "b" * 236
    decoder = responses_decoder()

    events = read_wire(decoder, b"".join(wire.answer("Hi", response_id=long)) + b"data: [DONE]\n\n")

    assert events[0] == Status("created", {"response_id": long, "model": "gpt-4o-mini-2024-07-18"})
    assert texts(events) == "Hi"
