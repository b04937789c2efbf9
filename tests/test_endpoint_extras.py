from __future__ import annotations

from typing import Any

import pytest

from aquila.endpoint.extras import Extras


def gathered(*deltas: dict[str, Any]) -> dict[str, Any]:
    extras = Extras()
    for delta in deltas:
        extras.add(delta)
    return extras.fields


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param([{"mood": "ha"}, {"mood": "ppy"}], {"mood": "happy"}, id="text is joined"),
        pytest.param(
            [{"mood": {"a": 1}}, {"mood": {"b": 2}}], {"mood": {"a": 1, "b": 2}}, id="objects are merged"
        ),
        pytest.param([{"mood": [1]}, {"mood": [2]}], {"mood": [1, 2]}, id="lists are continued"),
        pytest.param([{"mood": 1}, {"mood": 2}], {"mood": 2}, id="all else is replaced"),
        pytest.param([{"mood": "a"}, {"mood": None}], {"mood": "a"}, id="null says nothing"),
        pytest.param([{"mood": "a"}, {"mood": 5}], {"mood": 5}, id="another type replaces"),
        pytest.param([{"role": "assistant", "content": "x"}], {}, id="fields that are read elsewhere"),
    ],
)
def test_fields_are_put_together_by_their_type(
    deltas: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    assert gathered(*deltas) == expected


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        pytest.param(
            [{"index": 0, "type": "t", "text": "a"}, {"index": 0, "type": "t", "text": "b", "id": None}],
            [{"index": 0, "type": "t", "text": "ab"}], id="same index and type",
        ),
        pytest.param(
            [{"index": 0, "type": "t", "text": "a"}, {"index": 0, "type": "t", "text": "", "signature": "s"}],
            [{"index": 0, "type": "t", "text": "a", "signature": "s"}], id="an empty text takes nothing away",
        ),
        pytest.param(
            [{"index": 0, "type": "t", "text": "a"}, {"index": 1, "type": "t", "text": "b"}],
            [{"index": 0, "type": "t", "text": "a"}, {"index": 1, "type": "t", "text": "b"}], id="another index",
        ),
        pytest.param(
            [{"index": 0, "type": "t", "text": "a"}, {"index": 0, "type": "u", "text": "b"}],
            [{"index": 0, "type": "t", "text": "a"}, {"index": 0, "type": "u", "text": "b"}], id="another type",
        ),
        pytest.param(
            [{"type": "thinking", "thinking": "a"}, {"type": "thinking", "thinking": "b", "signature": "s"},
             {"type": "thinking", "thinking": "c"}],
            [{"type": "thinking", "thinking": "ab", "signature": "s"}, {"type": "thinking", "thinking": "c"}],
            id="a signature ends a block without an index",
        ),
        pytest.param([{"type": "t", "text": "a"}, {"type": "t", "text": "b"}],
                     [{"type": "t", "text": "a"}, {"type": "t", "text": "b"}], id="no index"),
        pytest.param([{"index": 0, "text": 5}, {"index": 0, "text": "b"}], [{"index": 0, "text": "b"}], id="odd types"),
        pytest.param(["a", {"index": 0}, 5], ["a", {"index": 0}, 5], id="entries that are no objects"),
    ],
)  # fmt: skip
def test_pieces_of_a_list_go_on_where_they_belong_together(pieces: list[Any], expected: list[Any]) -> None:
    assert gathered(*({"details": [piece]} for piece in pieces)) == {"details": expected}
    assert gathered({"details": pieces}) == {"details": expected}
