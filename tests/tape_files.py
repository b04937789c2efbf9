"""Cassette files for the tests that damage them, and the refusal they expect."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from aquila.cassette.file.format import assemble, render
from aquila.cassette.file.parse import load
from aquila.cassette.interaction import Failure, Interaction
from aquila.errors import CassetteError
from tests.tapes import HELLO, interaction, request

MOMENT = datetime(2026, 11, 22, 10, 24, 1, tzinfo=UTC)
FULL = (
    interaction(
        request("Grüße 🦅"),
        chunks=[(22 * number, chunk) for number, chunk in enumerate(HELLO)],
        recorded_at=MOMENT,
        seq=0,
        model="tiny-1",
        usage={"input": 12, "output": 3, "cached": 0},
        cost_usd=Decimal("0.000021"),
    ),
    interaction(
        request("plain"), headers={"content-type": "text/plain"}, chunks=[(3, b"one\ntwo\nthree\n")], seq=1
    ),
    interaction(
        request("json"), headers={"content-type": "application/json"}, chunks=[(3, b'{"a": 1}')], seq=2
    ),
    interaction(
        request("bytes"), headers={"content-type": "image/png"}, chunks=[(3, b"\xff\x00" * 9)], seq=3
    ),
    interaction(request("crlf"), chunks=[(3, b"data: a\r\n\r\ndata: [DONE]\r\n\r\n")], seq=4),
    interaction(request("none"), status=204, chunks=[], seq=5),
    interaction(
        request("down"),
        status=599,
        headers={},
        chunks=[],
        end="error",
        failure=Failure(error="ConnectTimeout", message="within 10 s", seconds=10.0),
        seq=6,
    ),
    interaction(request("written"), source="written", end="cut", seq=7),
)


def saved(*interactions: Interaction) -> str:
    return assemble(render(item) for item in interactions)


def refusal(data: bytes) -> str:
    with pytest.raises(CassetteError) as caught:
        load(data, "x.yaml")
    message = str(caught.value)
    assert "\n" not in message
    assert re.match(r"x\.yaml, line \d+: ", message), message
    return message


#: As another tool or a person may write it, without our extras.
WRITTEN = """
version: 1
interactions:
- request:
    method: POST
    uri: https://e.test/v1
  response:
    status:
      code: 200
      message: OK
    headers:
      content-type: [{kind}]
    body:
      string: |
        {body}
"""
