from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aquila.cassette.interaction import Failure, Interaction
from aquila.cassette.matching.rules import Rules
from aquila.cassette.story.comparison import Pair, compare
from aquila.endpoint.scripted import chat_calls, chat_text
from aquila.transport.base import Request
from tests.tapes import interaction, request

EMBEDDINGS = "https://api.example.test/v1/embeddings"


def asked(prompt: str, *answer: bytes, run: str = "one", **fields: Any) -> Interaction:
    return interaction(
        request(prompt, run=run), chunks=[(1, data) for data in answer or chat_text(["Hi"], "stop")], **fields
    )


def posted(url: str, answer: bytes) -> Interaction:
    return interaction(Request(method="POST", url=url, body=b"{}"), chunks=[(1, answer)])


def test_times_chunks_and_dates_are_no_differences() -> None:
    answer = b"".join(chat_text(["He", "llo"], "stop"))
    quick = asked("A", *chat_text(["He", "llo"], "stop"))
    slow = asked("A", answer, total_ms=9000, recorded_at=datetime(2026, 1, 1, tzinfo=UTC), seq=7)

    found = compare([quick], [slow])

    assert found.equal
    assert found.pairs == (Pair(left=1, right=1, request=(), answer=()),)


def test_ids_of_calls_are_no_differences() -> None:
    left = asked("A", *chat_calls([("call_a", "weather", {"city": "Porto"})]))
    right = asked("A", *chat_calls([("call_b", "weather", {"city": "Porto"})]))

    assert compare([left], [right]).equal


def test_order_is_no_difference_between_unequal_requests() -> None:
    left, right = asked("A"), asked("B", *chat_text(["Ho"], "stop"))

    found = compare([left, right], [right, left])

    assert found.equal
    assert [(pair.left, pair.right) for pair in found.pairs] == [(2, 1), (1, 2)]


def test_equal_requests_belong_together_in_their_order() -> None:
    busy, fine = asked("A", b"busy", status=503), asked("A")

    found = compare([busy, fine], [fine, busy])

    assert [pair.answer[0] for pair in found.pairs] == ["status: 503 -> 200", "status: 200 -> 503"]


def test_a_changed_prompt_names_its_path() -> None:
    (pair,) = compare([asked("Tell me of the sea")], [asked("Tell me of the tide")]).pairs

    assert len(pair.request) == 1
    assert pair.request[0].startswith("$.messages[0].content: ")
    assert "sea" in pair.request[0]
    assert "tide" in pair.request[0]
    assert pair.answer == ()


def test_the_nearest_requests_belong_together() -> None:
    left = [asked("What is a tide and why does it rise"), asked("Name three birds of the coast")]
    right = [asked("Name four birds of the coast"), asked("What is a tide and why does it fall")]

    assert [(pair.left, pair.right) for pair in compare(left, right).pairs] == [(2, 1), (1, 2)]


def test_a_changed_answer_says_what_changed() -> None:
    left = asked("A", *chat_text(["It is warm in Porto"], "stop"))
    right = asked("A", *chat_text(["It is warm in Oslo"], "length"))

    (pair,) = compare([left], [right]).pairs

    assert pair.request == ()
    assert [line.partition(":")[0] for line in pair.answer] == ["text", "finish_reason"]
    assert "Porto" in pair.answer[0]
    assert "Oslo" in pair.answer[0]


def test_changed_arguments_name_their_path() -> None:
    left = asked("A", *chat_calls([("call_a", "weather", {"city": "Porto", "days": 1})]))
    right = asked("A", *chat_calls([("call_a", "weather", {"city": "Porto", "days": 2})]))

    (pair,) = compare([left], [right]).pairs

    assert pair.answer == ("tool_calls[0].arguments.days: 1 -> 2",)


def test_an_answer_that_broke_off_differs_from_a_whole_one() -> None:
    whole = asked("A", *chat_text(["Hi"], "stop"))
    cut = replace(
        whole,
        chunks=whole.chunks[:1],
        end="error",
        failure=Failure(error="ConnectionFailed", message="reset"),
    )

    lines = " ".join(compare([whole], [cut]).pairs[0].answer)

    assert "failure: not recorded, now" in lines
    assert "finish_reason: recorded as" in lines


def test_what_only_one_has_is_listed() -> None:
    found = compare([asked("A"), posted(EMBEDDINGS, b"{}")], [asked("A"), asked("B"), asked("C")])

    assert (found.only_left, found.only_right) == ((2,), (2, 3))
    assert not found.equal


def test_bodies_of_other_traffic_are_compared_as_json_and_else_as_bytes() -> None:
    def lines(before: bytes, after: bytes) -> tuple[str, ...]:
        return compare([posted(EMBEDDINGS, before)], [posted(EMBEDDINGS, after)]).pairs[0].answer

    assert lines(b'{"a": 1, "b": 2}', b'{"b":2,"a":1}') == ()
    assert lines(b'{"a": 1}', b'{"a": 2}') == ("body.a: 1 -> 2",)
    assert lines(b"\xff\x00", b"\xff\x00") == ()
    assert "sha256" in lines(b"\xff\x00", b"\xff\x01")[0]


def test_many_changed_requests_are_paired_by_place() -> None:
    def recorded(system: str) -> list[Interaction]:
        return [
            interaction(Request(method="POST", url=EMBEDDINGS, body=json.dumps([system, number]).encode()))
            for number in range(210)
        ]

    found = compare(recorded("old"), recorded("new"))

    assert [(pair.left, pair.right) for pair in found.pairs] == [(number, number) for number in range(1, 211)]


def test_what_the_rules_ignore_is_no_difference() -> None:
    left, right = asked("A", run="one"), asked("A", run="two")

    found = compare([left], [right], Rules.of(ignore=["$.run"]))

    assert found.equal
    assert not compare([left], [right]).equal


def test_answers_that_are_nested_too_deeply_are_compared_as_text() -> None:
    deep = b"[" * 900 + b"]" * 900

    assert compare([posted(EMBEDDINGS, deep)], [posted(EMBEDDINGS, deep)]).equal
    assert not compare([posted(EMBEDDINGS, deep)], [posted(EMBEDDINGS, b"[1]")]).equal
