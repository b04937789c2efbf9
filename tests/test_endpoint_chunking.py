"""However the network cuts a stream, the events are the same: recorded streams and written ones, on both APIs."""

from __future__ import annotations

import json
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquila.cassette.file.parse import load
from aquila.endpoint import Decoder
from aquila.events import Event
from tests import responses_wire
from tests.decoding import chat_decoder, choice, fragment, read_wire, responses_decoder
from tests.project_cassettes import ROOT

#: Events at the head and the tail of a recording, which are all of one kind between.
_EDGE = 4


@cache
def recorded() -> dict[str, bytes]:
    """Each whole recorded stream by its cassette and place."""
    streams: dict[str, bytes] = {}
    for path in sorted((ROOT / "cassettes").rglob("*.yaml")):
        for number, interaction in enumerate(load(path.read_bytes(), path.name)):
            body = b"".join(chunk.data for chunk in interaction.chunks)
            if interaction.status == 200 and interaction.end == "complete" and b"data:" in body:
                streams[f"{path.parent.name}/{path.stem}-{number}"] = body
    return streams


def written() -> dict[str, bytes]:
    chat = [
        choice(content="<think>h‧m</think>Grüße 🏴‍☠️\u2028"),
        choice(reasoning_details=[{"index": 0, "type": "reasoning.text", "text": "hm"}]),
        choice(tool_calls=[fragment('{"x"', index=0, id="a", name="f")]),
        choice(tool_calls=[fragment(": 1}", index=0), fragment("{}", index=1, id="b", name="g")]),
        choice("tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    ]
    lines = [json.dumps(payload, ensure_ascii=False).encode() for payload in chat]
    plain = (
        b": hello\n\nretry: 3\n\n" + b"".join(b"data: %s\n\n" % line for line in lines) + b"data: [DONE]\n\n"
    )
    items = (responses_wire.call("c1", "f", {"x": "ü"}), responses_wire.call("c2", "g", {}))
    return {
        "chat": plain,
        "chat with CRLF": plain.replace(b"\n", b"\r\n"),
        "chat with CR and a BOM": b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r"),
        "chat without the last blank line": plain.rstrip(b"\n"),
        "responses text": b"".join(responses_wire.answer("Grü", "ße 🏴‍☠️")),
        "responses calls": b"".join(responses_wire.calls(*items)) + b"data: [DONE]\n\n",
    }


def decoder_for(wire: bytes) -> Decoder:
    return responses_decoder() if b'"response.' in wire else chat_decoder()


def events_of(wire: bytes, *cuts: int) -> list[Event]:
    return read_wire(decoder_for(wire), wire, cuts)


def edges(wire: bytes) -> bytes:
    blocks = wire.split(b"\n\n")
    return wire if len(blocks) <= 2 * _EDGE else b"\n\n".join([*blocks[:_EDGE], *blocks[-_EDGE:]])


@pytest.mark.parametrize("name", recorded())
def test_a_recorded_stream_cut_once_anywhere_gives_the_same_events(name: str) -> None:
    wire = edges(recorded()[name])
    whole = events_of(wire)

    assert whole
    for place in range(1, len(wire)):
        assert events_of(wire, place) == whole


@pytest.mark.parametrize("name", written())
def test_a_written_stream_cut_once_anywhere_gives_the_same_events(name: str) -> None:
    wire = written()[name]
    whole = events_of(wire)

    assert whole
    for place in range(1, len(wire)):
        assert events_of(wire, place) == whole


@pytest.mark.parametrize("name", [*recorded(), *written()])
def test_a_stream_that_comes_byte_by_byte_gives_the_same_events(name: str) -> None:
    wire = recorded().get(name) or written()[name]

    assert events_of(wire, *range(1, len(wire))) == events_of(wire)


@given(st.data())
def test_any_cuts_give_the_same_events(data: st.DataObject) -> None:
    wire = data.draw(st.sampled_from([*recorded().values(), *written().values()]))
    cuts = data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=30))

    assert events_of(wire, *cuts) == events_of(wire)


def test_the_forms_of_one_stream_give_the_same_events() -> None:
    streams = written()

    assert (
        events_of(streams["chat"])
        == events_of(streams["chat with CRLF"])
        == events_of(streams["chat with CR and a BOM"])
        == events_of(streams["chat without the last blank line"])
    )
