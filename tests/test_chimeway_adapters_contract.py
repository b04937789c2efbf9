from __future__ import annotations

import io
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pytest

from chimeway.adapters import (
    Adapter,
    AppriseAdapter,
    ConsoleAdapter,
    InboxAdapter,
    SmtpAdapter,
    Unanswered,
    WebhookAdapter,
)
from chimeway.errors import Bounced, DeliveryError, PermanentFailure, TemporaryFailure
from chimeway.message import OutgoingMessage, Receipt
from chimeway.testing import AdapterContract, TestAdapter
from tests.hook_server import hook_server
from tests.smtp_server import CLOSE, SmtpServer, smtp_server


class TestInbox(AdapterContract):
    def adapter(self) -> Adapter:
        return InboxAdapter()


class TestConsole(AdapterContract):
    def adapter(self) -> Adapter:
        return ConsoleAdapter(io.StringIO())


class TestFake(AdapterContract):
    fake: TestAdapter

    @pytest.fixture(autouse=True)
    def one(self) -> None:
        self.fake = TestAdapter()

    def adapter(self) -> Adapter:
        return self.fake

    def failing(self) -> Iterator[tuple[Adapter, type[DeliveryError]]]:
        for error in (TemporaryFailure("t"), PermanentFailure("p"), Bounced("b")):
            adapter = TestAdapter()
            adapter.fail_with(error)
            yield adapter, type(error)

    def keys(self) -> Sequence[str]:
        return [message.idempotency_key for message in self.fake.sent]


class TestSmtp(AdapterContract):
    server: SmtpServer

    @pytest.fixture(autouse=True)
    def running(self) -> Iterator[None]:
        with smtp_server() as self.server:
            yield

    def to(self, server: SmtpServer) -> Adapter:
        return SmtpAdapter("127.0.0.1", server.port, sender="x@example.org", tls="none")

    def adapter(self) -> Adapter:
        return self.to(self.server)

    def failing(self) -> Iterator[tuple[Adapter, type[DeliveryError]]]:
        for replies, error in (
            ({"rcpt": "450 later: ada@example.com"}, TemporaryFailure),
            ({"body": "554 no: ada@example.com"}, PermanentFailure),
            ({"rcpt": "550 no such user: ada@example.com"}, Bounced),
            ({"body": CLOSE}, Unanswered),
        ):
            with smtp_server(replies) as server:
                yield self.to(server), error

    def keys(self) -> Sequence[str]:
        return [mail.parsed["message-id"] for mail in self.server.mails]


class TestWebhook(AdapterContract):
    secrets: ClassVar[Sequence[str]] = ("correct horse battery staple", "Bearer sk-1", "sk-in-the-address")

    @pytest.fixture(autouse=True)
    def running(self) -> Iterator[None]:
        with hook_server() as self.server:
            yield

    def to(self, url: str) -> Adapter:
        return WebhookAdapter(url, self.secrets[0], headers={"authorization": self.secrets[1]})

    def adapter(self) -> Adapter:
        return self.to(self.server.url)

    def failing(self) -> Iterator[tuple[Adapter, type[DeliveryError]]]:
        for status, error in ((503, TemporaryFailure), (404, PermanentFailure), (None, Unanswered)):
            with hook_server(status=status) as server:
                yield self.to(server.url), error

    def keys(self) -> Sequence[str]:
        return [posted.headers["idempotency-key"] for posted in self.server.posted]


class FakeApprise:
    """What the adapter uses of Apprise."""

    works = True
    sent: ClassVar[list[dict[str, Any]]] = []

    def __init__(self) -> None:
        self.urls: list[str] = []

    def add(self, url: str) -> bool:
        self.urls.append(url)
        return url.startswith("slack://")

    def notify(self, **facts: Any) -> bool:
        self.sent.append({**facts, "urls": self.urls})
        return self.works


@pytest.fixture
def apprise(monkeypatch: pytest.MonkeyPatch) -> type[FakeApprise]:
    module = types.ModuleType("apprise")
    module.Apprise = FakeApprise  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "apprise", module)
    monkeypatch.setattr(FakeApprise, "works", True)
    monkeypatch.setattr(FakeApprise, "sent", [])
    return FakeApprise


@pytest.mark.usefixtures("apprise")
class TestApprise(AdapterContract):
    secrets: ClassVar[Sequence[str]] = ("sk-slack-1",)

    def adapter(self) -> Adapter:
        return AppriseAdapter("slack://sk-slack-1")

    def failing(self) -> Iterator[tuple[Adapter, type[DeliveryError]]]:
        adapter = self.adapter()
        FakeApprise.works = False
        yield adapter, TemporaryFailure


class TestPages(AdapterContract):
    """An asynchronous adapter, as a host may write it."""

    class Pager:
        name = "pager"

        async def deliver(self, message: OutgoingMessage) -> Receipt:
            return Receipt(provider_message_id=message.idempotency_key)

    def adapter(self) -> Adapter:
        return self.Pager()


class _Broken:
    """Breaks the contract in every way that it speaks of."""

    name = "Broken Name"

    def __init__(self) -> None:
        self.keys: list[str] = []

    def deliver(self, message: OutgoingMessage) -> Receipt:
        self.keys.append(f"{message.delivery_id}-{message.attempt}")
        if len(message.content.text) > 1000:
            raise TemporaryFailure("sk-broken cannot send so much")
        return Receipt()


class _BrokenContract(AdapterContract):
    secrets: ClassVar[Sequence[str]] = ("sk-broken",)

    def __init__(self) -> None:
        self.broken = _Broken()

    def adapter(self) -> Adapter:
        return self.broken

    def keys(self) -> Sequence[str]:
        return self.broken.keys

    def failing(self) -> Iterator[tuple[Adapter, type[DeliveryError]]]:
        yield self.broken, Bounced


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("test_it_is_an_adapter_with_a_name_that_a_row_can_keep", "'Broken Name' is no name"),
        ("test_every_attempt_of_a_delivery_has_the_same_key", "two attempts of one delivery have the keys"),
        ("test_it_takes_a_text_of_a_megabyte", "took no message"),
        ("test_its_failures_say_whether_to_try_again", "not with Bounced"),
    ],
)
def test_the_contract_finds_what_breaks_it(test: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        getattr(_BrokenContract(), test)()


def test_the_contract_finds_secrets_in_errors() -> None:
    class Talking(_BrokenContract):
        def failing(self) -> Iterator[tuple[Adapter, type[DeliveryError]]]:
            adapter = TestAdapter()
            adapter.fail_with(Bounced("sk-broken"))
            yield adapter, Bounced

    with pytest.raises(AssertionError, match="shows a secret"):
        Talking().test_its_failures_say_whether_to_try_again()


def test_a_contract_without_an_adapter_says_what_it_lacks() -> None:
    with pytest.raises(NotImplementedError, match="AdapterContract must define adapter"):
        AdapterContract().test_it_gives_a_receipt()
