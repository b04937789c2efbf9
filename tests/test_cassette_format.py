from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aquila.cassette.answer import is_finished, model_and_usage, split_events
from aquila.cassette.file.format import assemble, render
from aquila.cassette.file.parse import load
from aquila.cassette.file.yamltext import Literal, dump_item, load_document
from aquila.cassette.interaction import Failure, Interaction
from aquila.transport.base import Request
from tests.tapes import HELLO, interaction, request

AWKWARD = ["\r", "\n", "\r\n", "\u2028", "\u2029", "\x85", "\0", "\ufeff", "\ufffe", "\x7f", " ", "\t", "🦅", "é", "#", ": ", "|"]  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.one_of(st.sampled_from(AWKWARD), st.text(max_size=5)), max_size=30).map(
        lambda parts: "".join(parts).encode(errors="surrogatepass")
    ),
)


def saved(*interactions: Interaction) -> bytes:
    return assemble(render(item) for item in interactions).encode()


def reloaded(*interactions: Interaction) -> tuple[Interaction, ...]:
    return load(saved(*interactions), "x.yaml")


@settings(deadline=None)
@given(BODIES, st.lists(st.integers(0, 200), max_size=8))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [3, 3])
@example(b"\xef\xbb\xbfdata: a\n\n", [1])
@example(b"\xff\xfe\x00", [1])
@example(b"\n", [])
@example(b"a\n\n\n", [])
@example(b"---\n...\n", [])
@example("data: é\u2028 🦅\n\n".encode(), [9])
def test_any_bytes_in_any_chunks_survive_a_save_and_a_load(body: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    chunks = [(7 * number, body[start:end]) for number, (start, end) in enumerate(pairwise(bounds))]

    (found,) = reloaded(interaction(chunks=chunks))

    assert [tuple(chunk) for chunk in found.chunks] == chunks
    assert found.body == body
    assert not found.edited


@settings(deadline=None)
@given(BODIES)
def test_every_yaml_loader_reads_the_same_text(body: bytes) -> None:
    text = saved(interaction(chunks=[(0, body)])).decode()

    pure = yaml.load(text, Loader=yaml.SafeLoader)

    assert pure == load_document(text, "x.yaml")


@settings(deadline=None)
@given(BODIES, st.booleans())
@example(b"\rfalse", True)
def test_any_request_body_survives(body: bytes, as_json: bool) -> None:
    headers = {"content-type": "application/json" if as_json else "application/octet-stream"}
    sent = Request(method="PUT", url="https://example.test/", headers=headers, body=body)

    (found,) = load(assemble([render(interaction_of(sent))]).encode(), "x.yaml")

    assert found.request.body == body or json.loads(found.request.body) == json.loads(body)
    assert found.key == interaction_of(sent).key


def interaction_of(sent: Request) -> Interaction:
    return replace(interaction(sent), request=sent)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_a_json_request_keeps_its_meaning_and_its_digest(body: dict[str, Any]) -> None:
    sent = Request(method="POST", url="https://e.test/", headers={}, body=json.dumps(body).encode())

    (found,) = reloaded(interaction(sent))

    assert json.loads(found.request.body) == body
    assert found.key == interaction(sent).key


def test_a_file_reads_like_a_document() -> None:
    recorded = interaction(
        request("Say hi 🦅", stop=None),
        chunks=[(22, HELLO[0]), (123, HELLO[1])],
        recorded_at=datetime(2026, 11, 22, 10, 24, 1, tzinfo=UTC),
        seq=3,
        head_ms=5,
        total_ms=1038,
        model="tiny-1",
        usage={"input": 12, "output": 3, "cached": 0},
    )

    assert saved(recorded).decode() == (
        """version: 1
interactions:
- request:
    method: POST
    uri: https://api.example.test/v1/chat/completions
    body: |-
      {
        "model": "tiny",
        "messages": [
          {
            "role": "user",
            "content": "Say hi 🦅"
          }
        ],
        "stream": true,
        "stop": null
      }
    headers:
      content-type: [application/json]
  response:
    status: {code: 200, message: OK}
    headers:
      content-type: [text/event-stream]
    body:
      string: |+
        data: {"model":"tiny-1","choices":[{"delta":{"content":"Grü"}}]}

        data: {"choices":[{"delta":{"content":"ße 🦅"}}]}

    aquila:
      v: 1
      recorded_at: 2026-11-22T10:24:01+00:00
      seq: 3
      end: complete
      head_ms: 5
      total_ms: 1038
      chunks: 22:67 101:54
      sha: SHA
      model: tiny-1
      usage: {input: 12, output: 3, cached: 0}
      key: KEY
""".replace("KEY", recorded.key).replace("SHA", hashlib.sha256(recorded.body).hexdigest())
    )


def test_everything_known_of_an_interaction_comes_back() -> None:
    recorded = interaction(
        status=599,
        reason="aquila:ConnectTimeout",
        chunks=(),
        end="error",
        failure=Failure(error="ConnectTimeout", message="no connection: within 10 s", seconds=10.0),
        recorded_at=datetime(2026, 11, 22, 10, 24, 1, tzinfo=UTC),
        seq=3,
        total_ms=10_003,
        cost_usd=Decimal("0.25"),
        source="written",
    )

    (found,) = reloaded(recorded)

    assert found == replace(recorded, request=found.request)
    assert json.loads(found.request.body) == json.loads(recorded.request.body)


def test_saving_a_loaded_file_again_changes_nothing() -> None:
    first = saved(interaction(seq=0), interaction(request("Other"), seq=1, source="written", end="cut"))

    assert saved(*load(first, "x.yaml")) == first


def test_an_edited_body_is_played_event_by_event() -> None:
    text = saved(interaction(chunks=[(5, HELLO[0]), (9, HELLO[1])])).decode()

    (found,) = load(text.replace("ße", "ter").encode(), "x.yaml")

    assert found.edited
    assert [chunk.data for chunk in found.chunks] == [HELLO[0], HELLO[1].replace("ße".encode(), b"ter")]


def test_a_written_fixture_needs_neither_times_nor_checksum() -> None:
    text = """version: 1
interactions:
- request: {method: POST, uri: "https://e.test/v1", body: '{"a": 1}', headers: {content-type: [application/json]}}
  response:
    status: {code: 200, message: OK}
    headers: {Content-Type: [text/event-stream]}
    body: {string: "data: a\\n\\ndata: b\\n\\n"}
    aquila: {source: written}
"""

    (found,) = load(text.encode(), "x.yaml")

    assert found.source == "written"
    assert [chunk.data for chunk in found.chunks] == [b"data: a\n\n", b"data: b\n\n"]
    assert not found.edited
    assert "source: written" in saved(found).decode()


def test_a_compressed_body_of_another_recorder_is_decoded() -> None:
    document = {
        "request": {"method": "GET", "uri": "https://e.test/", "body": None, "headers": {}},
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": {"Content-Encoding": ["gzip"], "Content-Length": ["31"]},
            "body": {"string": gzip.compress(b"plain")},
        },
    }

    (found,) = load(assemble([dump_item(document)]).encode(), "x.yaml")

    assert found.body == b"plain"
    assert found.headers == {}


@settings(deadline=None)
@given(st.text(max_size=40))
def test_a_literal_block_is_exact(text: str) -> None:
    text = text.encode(errors="ignore").decode()

    (found,) = load_document(dump_item({"a": {"b": Literal(text), "c": 1}}), "x.yaml")

    assert found == {"a": {"b": text, "c": 1}}


@settings(deadline=None)
@given(BODIES)
def test_events_joined_are_the_body(body: bytes) -> None:
    assert b"".join(split_events(body)) == body


@pytest.mark.parametrize(
    ("body", "finished"),
    [
        (b"data: x\n\ndata: [DONE]\n\n", True),
        (b"data:[DONE]\r\n\r\n", True),
        (b'event: response.completed\ndata: {"type": "response.completed"}\n\n', True),
        (b'data: {"type":"response.incomplete","response":{}}\n\n', True),
        (b'data: {"text":"data: [DONE]"}\n\n', False),
        (b'data: {"text":"\\"type\\":\\"response.completed\\""}\n\n', False),
        (b"data: x\n\n", False),
    ],
)
def test_a_terminal_event_finishes_an_answer(body: bytes, finished: bool) -> None:
    assert is_finished(body, {}) is finished


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"".join(HELLO), ("tiny-1", {"input": 12, "output": 3, "cached": 0})),
        (
            b'data: {"response":{"model":"m","usage":{"input_tokens":5,"output_tokens":2,"input_tokens_details":{"cached_tokens":4}}}}',
            ("m", {"input": 5, "output": 2, "cached": 4}),
        ),
        (
            b'{"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}',
            ("m", {"input": 1, "output": 0, "cached": 0}),
        ),
        (b"<html>", (None, None)),
        (b'data: {"model": 7, "usage": "none"}\n\n', (None, None)),
    ],
)
def test_an_answer_names_its_model_and_usage(body: bytes, expected: tuple[str, dict[str, int]]) -> None:
    assert model_and_usage(body) == expected
