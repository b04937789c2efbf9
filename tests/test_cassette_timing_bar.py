from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from aquila.cassette.interaction import Interaction
from aquila.cassette.story.timing_bar import timing, timing_bar
from tests.tapes import interaction

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def timed(*times: int, **fields: Any) -> Interaction:
    return interaction(chunks=[(at, b"x") for at in times], recorded_at=NOW, **fields)


def test_the_bar_shows_head_first_chunk_density_and_end() -> None:
    recorded = timed(40, *[60] * 8, 61, 80, head_ms=10, total_ms=100)

    assert timing_bar(recorded, 10) == "[ h  > # . ] head 10 ms, 11 chunks 40-80 ms, end 100 ms"


def test_an_answer_that_came_at_once_is_drawn_at_the_left() -> None:
    assert timing_bar(timed(0, total_ms=0), 5) == "[>    ] head 0 ms, 1 chunk 0-0 ms, end 0 ms"


def test_an_answer_without_a_body_has_no_chunks_to_draw() -> None:
    assert timing_bar(timed(total_ms=1200, head_ms=1200), 5) == "[    h] head 1,200 ms, end 1,200 ms"


def test_a_file_whose_total_is_too_small_ends_with_its_last_chunk() -> None:
    measured = timing(timed(10, 500, total_ms=0))

    assert measured is not None
    assert measured.total_ms == 500


@pytest.mark.parametrize("fields", [{"edited": True, "recorded_at": NOW, "total_ms": 9}, {}])
def test_without_times_that_hold_there_is_no_bar(fields: dict[str, Any]) -> None:
    assert timing_bar(interaction(chunks=[(0, b"x")], **fields)) is None
