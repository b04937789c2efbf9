from __future__ import annotations

from aquila.errors import ConnectionFailed
from aquila.events import Chunk, ReasoningChunk, Retrying, Started, Status, Unknown, UsageUpdate
from aquila.folding import fold
from aquila.response import Response, Usage


def test_the_events_of_a_run_make_its_response() -> None:
    events = [
        Started("ref", "m", {"id": 1}),
        Status("created", {"response_id": "r", "model": "m-2026"}),
        ReasoningChunk("hm"),
        Chunk("Hel"),
        Unknown({"new": 1}),
        Chunk("lo"),
        Status("refusal", {"text": "no"}),
        UsageUpdate(Usage(input_tokens=1)),
        UsageUpdate(Usage(input_tokens=2)),
        Status("finished", {"finish_reason": "stop"}),
    ]

    response = fold(events)

    assert response.evolve(messages=()) == Response(
        text="Hello", status="completed", finish_reason="stop", model="m-2026", response_id="r", reasoning="hm",
        refusal="no", usage=Usage(input_tokens=2), meta={"id": 1},
    )  # fmt: skip


def test_a_run_without_end_is_in_progress() -> None:
    assert fold([Chunk("Hel")]).status == "in_progress"


def test_what_a_failed_request_gave_is_not_part_of_the_next_one() -> None:
    retried = Retrying(2, 0.5, ConnectionFailed("gone"))

    assert fold([UsageUpdate(Usage(input_tokens=9)), retried, Chunk("x")]).usage is None
