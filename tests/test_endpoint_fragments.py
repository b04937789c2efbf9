from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquila.endpoint.fragments import Fragments, read_arguments, sendable
from aquila.errors import ProtocolError
from aquila.events import ToolCall, ToolCallChunk, ToolCallStarted
from tests.decoding import fragment

NAMES = st.sampled_from(["f", "g"])
OBJECTS = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=6) | st.none(), max_size=3)


def put_together(*fragments: Any) -> list[tuple[str, str, Any]]:
    gathered = Fragments()
    for entry in fragments:
        gathered.add(entry)
    return [(call.call_id, call.name, call.arguments) for call, _, _ in gathered.finished("r")]


@st.composite
def split_calls(draw: st.DrawFn) -> list[tuple[str, dict[str, Any], list[str]]]:
    """Some calls: name, arguments, and the arguments' text in pieces."""
    calls = []
    for _ in range(draw(st.integers(1, 4))):
        arguments = draw(OBJECTS)
        text = json.dumps(arguments)
        cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        calls.append((draw(NAMES), arguments, pieces))
    return calls


@st.composite
def interleaved(draw: st.DrawFn, rows: list[list[Any]]) -> list[Any]:
    """The rows' entries in any order that keeps each row's own."""
    waiting = [list(row) for row in rows if row]
    entries = []
    while waiting:
        row = draw(st.sampled_from(waiting))
        entries.append(row.pop(0))
        waiting = [row for row in waiting if row]
    return entries


@given(st.data())
def test_calls_with_an_index_may_come_in_any_order(data: st.DataObject) -> None:
    calls = data.draw(split_calls())
    first = data.draw(st.integers(0, 2))
    rows = [
        [fragment(piece, index=first + 2 * n, **({"id": f"c{n}", "name": name} if k == 0 else {}))
         for k, piece in enumerate(pieces)]
        for n, (name, _, pieces) in enumerate(calls)
    ]  # fmt: skip

    result = put_together(*data.draw(interleaved(rows)))

    assert sorted(result) == sorted((f"c{n}", name, args) for n, (name, args, _) in enumerate(calls))


@given(st.data())
def test_calls_whose_fragments_all_carry_their_id_may_come_in_any_order(data: st.DataObject) -> None:
    calls = data.draw(split_calls())
    index = data.draw(st.sampled_from([{}, {"index": 0}]))
    repeats = data.draw(st.booleans())
    rows = [
        [fragment(piece, id=f"c{n}", **index, **({"name": name} if repeats or k == 0 else {}))
         for k, piece in enumerate(pieces)]
        for n, (name, _, pieces) in enumerate(calls)
    ]  # fmt: skip

    result = put_together(*data.draw(interleaved(rows)))

    assert sorted(result) == sorted((f"c{n}", name, args) for n, (name, args, _) in enumerate(calls))


@given(split_calls(), st.sampled_from([{}, {"index": 0}]), st.sampled_from([None, ""]))
def test_calls_that_only_begin_with_an_id_come_one_behind_the_other(
    calls: list[tuple[str, dict[str, Any], list[str]]], index: dict[str, int], nothing: str | None
) -> None:
    entries = [
        fragment(piece, **index, id=f"c{n}" if k == 0 else nothing, name=name if k == 0 else nothing)
        for n, (name, _, pieces) in enumerate(calls)
        for k, piece in enumerate(pieces)
    ]

    assert put_together(*entries) == [(f"c{n}", name, args) for n, (name, args, _) in enumerate(calls)]


@given(split_calls())
def test_calls_without_index_and_id_are_told_apart_by_a_name_behind_complete_arguments(
    calls: list[tuple[str, dict[str, Any], list[str]]],
) -> None:
    entries = [fragment("".join(pieces), name=name) for name, _, pieces in calls]

    assert put_together(*entries) == [
        (f"call_r_{n}", name, arguments) for n, (name, arguments, _) in enumerate(calls)
    ]


@given(split_calls())
def test_the_chunks_of_a_call_are_its_arguments(calls: list[tuple[str, dict[str, Any], list[str]]]) -> None:
    gathered = Fragments()
    name, _, pieces = calls[0]

    events = [
        event
        for k, piece in enumerate(pieces)
        for event in gathered.add(fragment(piece, index=0, **({"id": "c", "name": name} if k == 0 else {})))
    ]

    assert events[0] == ToolCallStarted("c", name)
    assert "".join(event.text for event in events[1:] if isinstance(event, ToolCallChunk)) == "".join(pieces)


TEXT = '{"x": 1}'
CALL = [("c", "f", {"x": 1})]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([fragment(TEXT, index=0, id="c", name="f")], id="whole"),
        pytest.param([fragment({"x": 1}, index=0, id="c", name="f")], id="as an object"),
        pytest.param([fragment(TEXT, index=1, id="c", name="f")], id="the first index is 1"),
        pytest.param([fragment(TEXT, index=7, id="c", name="f")], id="a gap"),
        pytest.param(
            [fragment('{"x"', index=0, id="c", name="f"), fragment(": 1}", index=0, id="c", name="f")],
            id="id and name repeated",
        ),
        pytest.param(
            [fragment('{"x"', index=0, id="c", name="f"), fragment(": 1}", index=0, id="", name="")],
            id="id and name empty later",
        ),
        pytest.param(
            [fragment('{"x"', index=0, id="c", name="f"), fragment(": 1}", index=0, id=None, name=None)],
            id="id and name null later",
        ),
        pytest.param([fragment("", index=0, id="c"), fragment(TEXT, index=0, name="f")], id="the name is late"),
        pytest.param([fragment(TEXT, index=0, name="f"), fragment("", index=0, id="c")], id="the id is late"),
        pytest.param(
            [fragment('{"x"', index=0), fragment("", index=0, id="c", name="f"), fragment(": 1}", index=0)],
            id="a fragment before its header",
        ),
        pytest.param(
            [fragment(TEXT, index=0, id="c", name="f"), fragment("", index=0, name="f")],
            id="the name again behind the whole",
        ),
        pytest.param([fragment(TEXT, index=0, id="c", name="f"), fragment("", id="c")], id="the index is missing at the end"),
        pytest.param([fragment(TEXT, index=0, id="c", name="f"), fragment(None)], id="index and id are missing at the end"),
        pytest.param([None, fragment(TEXT, index=0, id="c", name="f")], id="null says nothing"),
    ],
)  # fmt: skip
def test_one_call_is_one_call_however_it_is_told(entries: list[Any]) -> None:
    assert put_together(*entries) == CALL


def test_a_trailing_fragment_without_an_index_finds_its_call_by_the_id() -> None:
    gathered = Fragments()
    for entry in (
        fragment(TEXT, index=0, id="a", name="f"),
        fragment(TEXT, index=1, id="b", name="f"),
        {"id": "a", "extra_content": {"signed": True}},
    ):
        gathered.add(entry)

    assert [extra for _, extra, _ in gathered.finished("r")] == [{"extra_content": {"signed": True}}, {}]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (None, {}),
        ("", {}),
        (" ", {}),
        ("null", {}),
        ("{}", {}),
        ('{\n "a": [1] }', {"a": [1]}),
        ("[]", None),
        ("5", None),
        ('"x"', None),
        ('{"a"', None),
        ("{}{}", None),
        ('{"a": 1e999}', None),
        ("[" * 100_000, None),
    ],
)
def test_arguments_are_an_object_or_cannot_be_used(text: str | None, arguments: Any) -> None:
    assert put_together(fragment(text, index=0, id="c", name="f"))[0][2] == arguments
    assert read_arguments(text or "") == arguments


def test_what_no_tool_can_take_goes_back_as_json() -> None:
    broken = ToolCall("c", "f", None, '{"a"')

    assert json.loads(sendable(broken)) == {"invalid_json": '{"a"'}
    assert sendable(ToolCall("c", "f", {}, "{}")) == "{}"


@pytest.mark.parametrize(
    "entry",
    [
        "text",
        5,
        [1],
        fragment("", index=0, id=5, name="f"),
        fragment("", index=0, id=["c"]),
        fragment("", index=0, id="c", name=5),
        fragment("", index=0, id="c", name={"a": 1}),
        {"index": 0, "id": "c", "function": "f"},
        {"index": 0, "id": "c", "function": [1]},
    ],
)
def test_a_fragment_of_wrong_types_is_an_error(entry: Any) -> None:
    with pytest.raises(ProtocolError, match="the stream's"):
        put_together(entry)


def test_calls_are_complete_when_each_has_a_name_and_arguments() -> None:
    gathered = Fragments()
    assert not gathered.complete()

    gathered.add(fragment('{"x"', index=0, id="c"))
    assert not gathered.complete()
    gathered.add(fragment(": 1}", index=0))
    assert not gathered.complete()
    gathered.add(fragment("", index=0, name="f"))
    assert gathered.complete()
    assert gathered
