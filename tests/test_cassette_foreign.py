from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from aquila.cassette.file.importing import import_file
from aquila.cassette.file.parse import load
from aquila.errors import CassetteError
from tests.test_cassette_importing import imported, item, only, written


def test_bodies_stored_as_parsed_json_become_the_bytes_their_serializer_gave() -> None:
    content = {"content-type": ["application/json"], "content-encoding": ["gzip"]}

    found = imported(item(
        {"headers": {"content-type": ["application/json"]}, "parsed_body": {"model": "m", "n": 1.5}},
        {"headers": content, "parsed_body": {"text": "é", "none": None}},
    ))  # fmt: skip

    one = only(found)
    assert json.loads(one.request.body) == {"model": "m", "n": 1.5}
    assert one.body == b'{"text": "\\u00e9", "none": null}'
    assert one.headers == {"content-type": "application/json"}
    assert found.writer == "vcrpy, with parsed bodies"


CASSETTER = """version: 1
interactions:
- request:
    method: POST
    uri: https://e.test/v1?api_key=[FILTERED]
    headers:
      content-type:
      - application/json
    body:
      type: json
      content:
        model: t
  response:
    status: 200
    headers:
      content-length:
      - "154"
      content-type:
      - text/event-stream
    body:
      type: text
      content: |+
        data: {"model":"tiny-1"}

        data: [DONE]

  recorded_at: 2026-11-24T11:56:34.403581+02:00
- request:
    method: GET
    uri: https://e.test/image
    headers: {}
    body:
      type: none
  response:
    status: 200
    headers: {}
    body:
      type: binary
      content: >-
        00ff10
  recorded_at: 2026-11-24T11:56:34.400521+00:00
"""


def test_a_file_of_cassetter_becomes_one_of_ours() -> None:
    found = import_file(CASSETTER.encode(), "a.yaml")

    stream, image = load(written(found), "a.yaml")
    assert found.writer == "cassetter"
    assert [chunk.data for chunk in stream.chunks] == [b'data: {"model":"tiny-1"}\n\n', b"data: [DONE]\n\n"]
    assert stream.recorded_at == datetime(2026, 11, 24, 9, 56, 34, tzinfo=UTC)
    assert (stream.reason, stream.request.url) == ("OK", "https://e.test/v1?api_key=[redacted]")
    assert stream.headers == {"content-type": "text/event-stream"}
    assert (image.body, image.request.body) == (b"\x00\xff\x10", b"")


def test_a_file_of_cassetter_that_is_cut_off_is_refused() -> None:
    cut = CASSETTER[: CASSETTER.rindex("  recorded_at")]

    with pytest.raises(CassetteError, match=r"a\.yaml, line 28: interaction 2 ends without `recorded_at`"):
        import_file(cut.encode(), "a.yaml")


def test_toml_is_read() -> None:
    text = """version = 1
[[interactions]]
recorded_at = "2026-11-24T11:56:34+00:00"
request = {method = "GET", uri = "https://e.test/", headers = {}, body = {type = "none"}}
response = {status = 204, headers = {}, body = {type = "none"}}
"""

    assert only(import_file(text.encode(), "a.toml")).status == 204


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"base64_string": base64.b64encode(b"\xff\x00").decode()}, b"\xff\x00"),
        ({"string": "text"}, b"text"),
        ({"string": b"\xff"}, b"\xff"),
        ({"encoding": "UTF-8", "string": "text"}, b"text"),
        ({"string": None}, b""),
        (None, b""),
        ("text", b"text"),
    ],
)
def test_bodies_in_old_forms_are_read(body: Any, expected: bytes) -> None:
    found = imported(item({"body": body}, {"body": body}))

    assert (only(found).body, only(found).request.body) == (expected, expected)


@pytest.mark.parametrize(
    "headers",
    [
        [["Content-Type", "text/plain"], ["X-A", "1"], ["X-A", "2"]],
        ["Content-Type: text/plain", "X-A: 1", "X-A: 2"],
        {"Content-Type": "text/plain", "X-A": ["1", "2"]},
    ],
)
def test_headers_in_old_forms_are_read(headers: Any) -> None:
    found = only(imported(item({"body": ""}, {"headers": headers, "body": {"string": "a"}})))

    assert found.headers == {"content-type": "text/plain", "x-a": "1, 2"}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("- request: {}\n", "line 1: the file is a list, as vcrpy wrote before 1.0; convert it first: python -m vcr.migration a.yaml"),
        ("version: 1\ninteractions: []\nws_interactions:\n- {}\n", "line 3: ws_interactions are no HTTP traffic"),
        ("version: 1\ninteractions:\n- request: {method: GET, uri: /, body: {type: word}}\n  response: {status: 200}\n  recorded_at: x\n",
         "line 3: interaction 1, request.body.type is 'word', expected none, text, json or binary"),
        ("version: 1\ninteractions:\n- request: {method: GET, uri: /}\n  response:\n    status: 200\n    parsed_body: {a: 2020-01-01}\n",
         "line 6: interaction 1, response.parsed_body is no JSON; put"),
        ("version: 1\ninteractions:\n- request: {method: GET, uri: /}\n  response:\n    status: 200\n    body: {base64_string: a}\n",
         "line 6: interaction 1, response.body.base64_string is cut off or damaged"),
        ("version: 1\ninteractions:\n- request: {method: GET, uri: /, headers: [7]}\n  response: {status: 200, body: {string: a}}\n",
         "line 3: interaction 1, request.headers is no list of headers"),
        ("a: 1\n", "line 1: the file has no `interactions`"),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_told_with_its_line(document: str, problem: str) -> None:
    with pytest.raises(CassetteError) as caught:
        import_file(document.encode(), "a.yaml")

    assert f"a.yaml, {problem}" in str(caught.value)


def test_importing_twice_changes_nothing_more() -> None:
    first = written(import_file(CASSETTER.encode(), "a.yaml"))

    assert written(import_file(first, "a.yaml")) == first
