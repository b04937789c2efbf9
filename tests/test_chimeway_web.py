from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest
from chimeway_notifiers import MovedClock, Recorder, Welcome, told
from sqlalchemy import select
from starlette.applications import Starlette

import jobs
from aquila.errors import ConfigError
from chimeway import store
from chimeway.adapters.base import ProviderFeedback
from chimeway.adapters.webhook_feedback import read_feedback
from chimeway.feedback_signature import read_secret, sign, verify
from chimeway.tables import feedback
from chimeway.web import LARGEST_BODY, feedback_route

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]

SECRET = "whsec-of-the-provider"  # noqa: S105 - of a test
KEY = read_secret(SECRET)


class Provider(Recorder):
    def verify_feedback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> list[ProviderFeedback]:
        return read_feedback(verify([KEY], headers, body, now), body)


@pytest.fixture
def posting(place: None, clock: MovedClock) -> Iterator[None]:
    with told(
        dispatcher="sync", channels={"email": Provider("provider"), "sms": Recorder("deaf")}, clock=clock
    ):
        yield


async def post(
    name: str, body: bytes, headers: Mapping[str, str], *, broken_off: bool = False, method: str = "POST"
) -> tuple[int, Any]:
    """Give the status and the answer of one request, by the ASGI protocol."""
    parts = [
        {"type": "http.request", "body": body[at : at + 65_536], "more_body": True}
        for at in range(0, len(body), 65_536)
    ]
    end = (
        {"type": "http.disconnect"}
        if broken_off
        else {"type": "http.request", "body": b"", "more_body": False}
    )
    coming = iter([*parts, end])
    status, answer = 0, b""

    async def receive() -> Any:
        return next(coming)

    async def send(message: Any) -> None:
        nonlocal status, answer
        status = message.get("status", status)
        answer += message.get("body", b"")

    path = f"/chimeway/feedback/{name}"
    raw = [(key.encode(), value.encode()) for key, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b""}
    await Starlette(routes=[feedback_route()])(scope, receive, send)
    return status, json.loads(answer) if answer.startswith(b"{") else answer


def stored() -> list[Any]:
    return store.read(lambda connection: list(connection.execute(select(feedback))))


async def test_what_a_provider_posts_is_taken_in(posting: None, clock: MovedClock) -> None:
    done = await Welcome.atrigger("ada", {"name": "Ada"})
    body = json.dumps({"delivery_id": done.deliveries[0].delivery_id, "kind": "bounced"}).encode()
    headers = sign(KEY, "m-1", clock.now(), body)

    assert await post("provider", body, headers) == (202, {"added": 1})
    # It is sent again if the answer was lost.
    assert await post("provider", body, headers) == (202, {"added": 0})
    assert [row.state for row in stored()] == ["queued"]


async def test_what_is_not_signed_is_refused_without_a_reason(
    posting: None, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    body = b'{"delivery_id": "x", "kind": "bounced"}'
    headers = sign(read_secret("another secret of 16"), "m-1", clock.now(), body)

    with caplog.at_level(logging.WARNING, "chimeway"):
        assert await post("provider", body, headers) == (401, {"error": "refused"})
        assert (await post("provider", body, {}))[0] == 401

    assert "signature does not fit" in caplog.text
    assert SECRET not in caplog.text
    assert stored() == []


@pytest.mark.parametrize("name", ["nobody", "deaf", "inbox"])
async def test_only_adapters_that_take_feedback_are_there(posting: None, name: str) -> None:
    assert await post(name, b"{}", {}) == (404, {"error": "no such adapter"})


async def test_a_request_that_breaks_off_is_no_news(posting: None, clock: MovedClock) -> None:
    body = b'{"delivery_id": "x", "kind": "bounced"}'

    status, _ = await post("provider", body, sign(KEY, "m-1", clock.now(), body), broken_off=True)

    assert status == 400
    assert stored() == []


async def test_a_body_that_is_too_large_is_not_read_to_its_end(posting: None, clock: MovedClock) -> None:
    body = b" " * (LARGEST_BODY + 1)

    assert (await post("provider", body, sign(KEY, "m-1", clock.now(), body)))[0] == 413
    # The end does not come, which whoever reads to the end would be told.
    assert (await post("provider", body + b" " * 200_000, {}, broken_off=True))[0] == 413


async def test_a_database_that_is_away_lets_the_provider_come_back(
    posting: None, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"delivery_id": "x", "kind": "bounced"}'
    monkeypatch.setenv("AQUILA_DATABASE_URL", "postgresql://127.0.0.1:1/nothing")
    jobs.close()

    assert await post("provider", body, sign(KEY, "m-1", clock.now(), body)) == (
        503,
        {"error": "come back later"},
    )


async def test_reading_the_address_is_not_allowed(posting: None) -> None:
    assert (await post("provider", b"", {}, method="GET"))[0] == 405


def test_a_path_without_the_adapter_is_refused() -> None:
    with pytest.raises(ConfigError, match="adapter"):
        feedback_route("/hooks")
    assert feedback_route("/hooks/{adapter}").path == "/hooks/{adapter}"


def test_without_starlette_it_says_what_to_install() -> None:
    code = """
import sys
sys.modules["starlette"] = None
import chimeway
try:
    import chimeway.web
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "ConfigError" in done.stdout
    assert "aquila-llm[notify,web]" in done.stdout
