from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aquila.errors import ConfigError
from chimeway.adapters import ProviderFeedback, Unanswered, WebhookAdapter
from chimeway.content import Content
from chimeway.errors import DeliveryError, FeedbackRefused, PermanentFailure, TemporaryFailure
from chimeway.feedback_signature import read_secret, sign, verify
from tests.hook_server import HookServer, hook_server
from tests.outgoing import outgoing

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()
NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)


class FixedClock:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def server() -> Iterator[HookServer]:
    with hook_server(body=b'{"id": "msg_1", "token": "t", "ok": true}') as running:
        yield running


def test_a_message_is_posted_as_signed_json(server: HookServer) -> None:
    content = Content(subject="Grüße", text="Hallo", url="https://x.example", data={"n": 1})

    receipt = WebhookAdapter(server.url, SECRET, clock=FixedClock()).deliver(
        outgoing(content, correlation_id="c")
    )

    [posted] = server.posted
    assert json.loads(posted.body) == {
        "type": "welcome",
        "timestamp": "2026-01-02T03:04:05+00:00",
        "data": {
            "delivery_id": "d1",
            "notification_id": "n1",
            "tenant_id": "default",
            "channel": "email",
            "recipient": {"identity": "ada", "type": "user"},
            "address": "ada@example.com",
            "subject": "Grüße",
            "text": "Hallo",
            "html": None,
            "url": "https://x.example",
            "data": {"n": 1},
            "category": None,
            "correlation_id": "c",
        },
    }
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["idempotency-key"] == posted.headers["webhook-id"] == "d1"
    assert verify([read_secret(SECRET)], posted.headers, posted.body, NOW) == "d1"
    assert receipt.provider_message_id == "msg_1"
    assert receipt.response["status"] == 200


def test_two_attempts_post_the_same_body(server: HookServer) -> None:
    adapter = WebhookAdapter(server.url, headers={"authorization": "Bearer abc"})

    for attempt in (1, 2):
        adapter.deliver(outgoing(attempt=attempt))

    first, second = server.posted
    assert first.body == second.body
    assert first.headers["authorization"] == "Bearer abc"
    assert "webhook-signature" not in first.headers


@pytest.mark.parametrize(
    ("status", "headers", "wanted", "retry_after"),
    [
        (400, {}, PermanentFailure, None),
        (401, {}, PermanentFailure, None),
        (404, {}, PermanentFailure, None),
        (408, {}, TemporaryFailure, None),
        (410, {}, PermanentFailure, None),
        (425, {}, TemporaryFailure, None),
        (429, {"Retry-After": "120"}, TemporaryFailure, 120.0),
        (429, {"Retry-After": "soon"}, TemporaryFailure, None),
        (500, {}, TemporaryFailure, None),
        (503, {"Retry-After": "999999"}, TemporaryFailure, 3600.0),
    ],
)
def test_the_status_decides_whether_to_try_again(
    status: int, headers: dict[str, str], wanted: type[DeliveryError], retry_after: float | None
) -> None:
    with (
        hook_server(status=status, headers=headers, body=b"no") as server,
        pytest.raises(DeliveryError, match=f"127.0.0.1 answered {status}") as raised,
    ):
        WebhookAdapter(server.url).deliver(outgoing())

    assert type(raised.value) is wanted
    assert raised.value.retry_after == retry_after
    assert raised.value.response == {"status": status, "body": "no"}
    assert "sk-in-the-address" not in str(raised.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(server: HookServer, status: int) -> None:
    with (
        hook_server(status=status, headers={"Location": server.url}) as leading_away,
        pytest.raises(PermanentFailure, match="redirects are not followed"),
    ):
        WebhookAdapter(leading_away.url).deliver(outgoing())

    assert server.posted == []


def test_a_server_that_is_not_there_is_tried_again_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    with pytest.raises(
        TemporaryFailure, match=r"127\.0\.0\.1 cannot be reached: ConnectionRefusedError"
    ) as raised:
        WebhookAdapter(f"http://127.0.0.1:{port}/sk-secret").deliver(outgoing())

    assert type(raised.value) is TemporaryFailure


@pytest.mark.parametrize("status", [None, 0])
def test_a_server_that_says_nothing_may_have_taken_it(status: int | None) -> None:
    with hook_server(status=status) as server, pytest.raises(Unanswered, match="gave no answer"):
        WebhookAdapter(server.url, timeout=0.2).deliver(outgoing())


def test_of_a_long_answer_only_the_beginning_is_read() -> None:
    with hook_server(body=b"x" * 3_000_000) as server:
        receipt = WebhookAdapter(server.url).deliver(outgoing())

    assert len(receipt.response["body"]) == 64_000


def test_an_answer_that_breaks_off_says_what_its_status_says() -> None:
    with hook_server(body=b"half", promised=100) as server:
        receipt = WebhookAdapter(server.url).deliver(outgoing())

    assert receipt.response == {"status": 200, "body": "half"}


def test_the_proxy_of_the_environment_is_used_but_not_for_this_machine(
    server: HookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook_server() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        WebhookAdapter(server.url).deliver(outgoing())
        WebhookAdapter("http://elsewhere.example/hook").deliver(outgoing())

    assert len(server.posted) == 1
    assert [posted.path for posted in proxy.posted] == ["http://elsewhere.example/hook"]


@pytest.mark.parametrize(
    "url", ["ftp://x.example", "file:///etc/passwd", "x.example", "http://", "http://ada:pw-secret@x.example", "http://x:port",
            "http://x.example/a b", "http://x.example/\r\nx: y", "http://ex\u00e4mple.com", "", None]
)  # fmt: skip
def test_only_web_addresses_are_posted_to(url: Any) -> None:
    with pytest.raises(ConfigError, match="url= must") as raised:
        WebhookAdapter(url)

    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("headers", [{"Webhook-Id": "x"}, {"a b": "x"}, {"x-y": "a\r\nb: c"}, {"x-y": "ä"}])
def test_headers_that_cannot_be_sent_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="header"):
        WebhookAdapter("http://x.example", headers=headers)


def feedback(body: Any, *, secret: str = SECRET, at: datetime = NOW) -> list[ProviderFeedback]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {name.title(): value for name, value in sign(read_secret(secret), "e1", at, data).items()}
    return WebhookAdapter("http://x.example", SECRET).verify_feedback(headers, data, NOW)


def test_feedback_with_a_signature_that_fits_is_read() -> None:
    one = {"delivery_id": "d1", "kind": "delivered"}

    assert feedback(one) == [ProviderFeedback(provider_event_id="e1", kind="delivered", delivery_id="d1")]
    assert [(item.provider_event_id, item.kind, item.detail) for item in feedback([one, {**one, "kind": "bounced", "detail": "gone"}])] == [
        ("e1:0", "delivered", None),
        ("e1:1", "bounced", "gone"),
    ]  # fmt: skip
    assert feedback({"provider_message_id": "m", "kind": "failed", "event_id": "own"}) == [
        ProviderFeedback(provider_event_id="own", kind="failed", provider_message_id="m")
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        ("text", "no JSON object"),
        ({"delivery_id": "d"}, "'kind' that is none of delivered, bounced, failed"),
        ({"kind": "delivered"}, "names neither"),
        ({"kind": "delivered", "delivery_id": 7}, "names neither"),
        ([{}] * 1001, "1001 pieces"),
    ],
)
def test_feedback_that_cannot_be_read_is_refused(body: Any, words: str) -> None:
    with pytest.raises(FeedbackRefused, match=words):
        feedback(body)


def test_feedback_that_is_not_the_servers_is_refused() -> None:
    one = {"delivery_id": "d1", "kind": "delivered"}

    with pytest.raises(FeedbackRefused, match="signature does not fit"):
        feedback(one, secret="whsec_" + "QUJDREVGR0hJSktMTU5PUFFSUw==")
    with pytest.raises(FeedbackRefused, match="301 s away"):
        feedback(one, at=NOW - timedelta(seconds=301))
    with pytest.raises(FeedbackRefused, match="no secret"):
        WebhookAdapter("http://x.example").verify_feedback({}, b"", NOW)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": "5"}, "timeout='5'"),
        ({"secret": b"0123456789abcdef"}, "is text, not bytes"),
        ({"secret": []}, "holds no secret"),
        ({"secret": 5}, "is text, not int"),
        ({"headers": [("a", "b")]}, "maps names to values"),
        ({"headers": {"authorization": b"PLANTED"}}, "are texts, not str and bytes"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "leave it out"),
        ({"clock": 5}, "has a method now"),
    ],
)
def test_what_a_web_hook_cannot_be_made_with_is_refused_at_once(facts: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        WebhookAdapter("https://hooks.example.com/x", **facts)

    assert "PLANTED" not in str(raised.value)
