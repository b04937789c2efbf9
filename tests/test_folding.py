from __future__ import annotations

from aquila.errors import ConnectionFailed
from aquila.events import (
    Annotation,
    Chunk,
    Event,
    ReasoningChunk,
    Retrying,
    Started,
    Status,
    Unknown,
    UsageUpdate,
)
from aquila.folding import Folder, fold
from aquila.plan import Pending
from aquila.response import Response, Usage
from aquila.tool_call import ToolCall, ToolResult

FINISHED = Status("finished", {"finish_reason": "stop"})
CALL = ToolCall("c1", "add", {"a": 1}, '{"a":1}')
SOURCE = {"type": "url_citation", "url": "u"}


def test_the_events_of_a_run_make_its_response() -> None:
    events: list[Event] = [
        Started("ref", "m", {"id": 1}),
        Status("created", {"response_id": "r", "model": "m-2026"}),
        ReasoningChunk("hm"),
        Chunk("Hel"),
        Unknown({"new": 1}),
        Chunk("lo"),
        Annotation(SOURCE),
        Status("refusal", {"text": "no"}),
        Status("web_search_call.searching", {"item_id": "ws"}),
        UsageUpdate(Usage(input_tokens=1)),
        UsageUpdate(Usage(input_tokens=2)),
        FINISHED,
    ]

    response = fold(events)

    assert response.evolve(messages=()) == Response(
        text="Hello", status="completed", finish_reason="stop", model="m-2026", response_id="r", reasoning="hm",
        refusal="no", usage=Usage(input_tokens=2), meta={"id": 1}, annotations=(SOURCE,),
    )  # fmt: skip


def test_a_run_without_end_is_in_progress() -> None:
    assert fold([Chunk("Hel")]).status == "in_progress"


def test_what_a_failed_request_gave_is_not_part_of_the_next_one() -> None:
    retried = Retrying(2, 0.5, ConnectionFailed("gone"))

    assert fold([UsageUpdate(Usage(input_tokens=9)), retried, Chunk("x")]).usage is None


def test_text_and_end_are_the_last_answer_s_and_tokens_calls_and_thoughts_all_of_them() -> None:
    response = fold(
        [
            ReasoningChunk("hm"),
            Chunk("Let me see."),
            CALL,
            UsageUpdate(Usage(input_tokens=3, output_tokens=1)),
            Status("finished", {"finish_reason": "tool_calls"}),
            ToolResult("c1", "add", "2"),
            Status("round", {"number": 2}),
            ReasoningChunk(" so"),
            Chunk("2"),
            UsageUpdate(Usage(input_tokens=8)),
            FINISHED,
        ]
    )

    assert (response.text, response.finish_reason, response.reasoning) == ("2", "stop", "hm so")
    assert response.usage == Usage(input_tokens=11, output_tokens=1)
    assert response.tool_calls == (CALL,)


def test_a_round_whose_tokens_nobody_counted_leaves_those_of_the_others() -> None:
    rounds: list[Event] = [
        UsageUpdate(Usage(input_tokens=3)),
        Status("round", {"number": 2}),
        Chunk("x"),
        FINISHED,
    ]

    assert fold(rounds).usage == Usage(input_tokens=3)


def test_tokens_and_calls_from_before_a_pause_are_counted_too() -> None:
    call = ToolCall("c1", "pay", {})
    folder = Folder(Pending(calls=(call,), denied={}, usage=Usage(input_tokens=3)))
    folder.add_all([UsageUpdate(Usage(input_tokens=8)), Chunk("x"), FINISHED])

    answer = folder.response()
    assert answer.usage == Usage(input_tokens=11)
    assert answer.tool_calls == (call,)


def test_a_comment_on_the_work_is_the_text_only_when_nothing_else_was_said() -> None:
    comment = Status("commentary", {"text": "Looking."})

    assert fold([comment, FINISHED]).text == "Looking."
    assert fold([comment, Chunk("Hi"), FINISHED]).text == "Hi"


def test_what_a_model_gave_that_was_given_up_is_not_part_of_the_next_one_s_answer() -> None:
    events: list[Event] = [Status("created", {"response_id": "a"}), UsageUpdate(Usage(input_tokens=3)),
              Status("fallback", {"from": "a", "to": "b"}), Chunk("x"), FINISHED]  # fmt: skip

    response = fold(events)

    assert (response.text, response.response_id, response.usage) == ("x", None, None)


def test_a_cut_answer_is_incomplete_whatever_cut_it() -> None:
    for reason in ("length", "content_filter"):
        assert fold([Chunk("x"), Status("finished", {"finish_reason": reason})]).status == "incomplete"


def test_the_provider_s_own_status_wins_over_what_the_reason_stands_for() -> None:
    ended = Status("finished", {"finish_reason": "max_tool_calls", "status": "incomplete"})

    assert fold([Chunk("x"), ended]).status == "incomplete"
