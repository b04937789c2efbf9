"""`AdapterContract`: what every adapter keeps to, as tests that an adapter of your own inherits."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import anyio

from chimeway.adapters.base import ADAPTER_NAME, Adapter
from chimeway.adapters.failover import Handed, hand_to, hand_to_sync
from chimeway.content import Content
from chimeway.errors import DeliveryError
from chimeway.message import OutgoingMessage, Receipt

_AT_ONCE = 20
_LARGE = 1_000_000
#: Seconds for one call, and for threads to end.
_PATIENCE = 20.0


class AdapterContract:
    """Inherit from it in a class whose name begins with `Test`, and pytest runs what it says.

    ```python
    class TestPager(AdapterContract):
        secrets = ("sk-pager-1",)

        def adapter(self):
            return PagerAdapter(key="sk-pager-1", url=fake_pager.url)

        def failing(self):
            yield PagerAdapter(key="sk-pager-1", url=fake_pager.refusing), PermanentFailure

        def keys(self):
            return [request.headers["idempotency-key"] for request in fake_pager.requests]
    ```
    """

    #: Where the channel reaches a recipient.
    address: ClassVar[str | None] = "ada@example.com"
    #: What the adapter is configured with and must not say.
    secrets: ClassVar[Sequence[str]] = ()

    def adapter(self) -> Adapter:
        """Give an adapter whose channel takes everything.

        Raises:
            NotImplementedError: The class does not say which.
        """
        raise NotImplementedError(f"{type(self).__name__} must define adapter()")

    def failing(self) -> Iterable[tuple[Adapter, type[DeliveryError]]]:
        """Give adapters whose channels take nothing, and the error that each is to raise."""
        return ()

    def keys(self) -> Sequence[str] | None:
        """Give the idempotency keys that the channel saw, one for each message; None if the channel knows none."""
        return None

    def message(self, delivery_id: str = "d" * 32, **changes: Any) -> OutgoingMessage:
        """Make a message.

        Args:
            delivery_id: Its delivery.
            changes: Fields that differ.
        """
        return replace(
            OutgoingMessage(
                delivery_id=delivery_id,
                attempt=1,
                channel="contract",
                tenant_id="default",
                notification_id="n" * 32,
                notification_key="contract",
                recipient_identity="ada",
                recipient_type="user",
                address=self.address,
                content=Content(subject="Hello", text="Hello, Ada."),
                created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            ),
            **changes,
        )

    def test_it_is_an_adapter_with_a_name_that_a_row_can_keep(self) -> None:
        """The name is stored with each attempt."""
        adapter = self.adapter()
        _check(isinstance(adapter, Adapter), f"{adapter!r} needs a name and deliver(message)")
        _check(bool(ADAPTER_NAME.fullmatch(adapter.name)), f"{adapter.name!r} is no name that can be kept")

    def test_it_gives_a_receipt(self) -> None:
        """Through the loop and to a thread that waits."""
        _arrived(self._hand(self.adapter(), self.message()))
        _arrived(hand_to_sync([self.adapter()], self.message("e" * 32), _PATIENCE))

    def test_every_attempt_of_a_delivery_has_the_same_key(self) -> None:
        """Providers that know idempotency keys send the second attempt not at all."""
        adapter = self.adapter()
        before = len(self.keys() or ())
        for attempt in (1, 2):
            _arrived(self._hand(adapter, self.message(attempt=attempt)))
        _arrived(self._hand(adapter, self.message("f" * 32)))
        keys = self.keys()
        if keys is not None:
            first, second, other = keys[before:]
            _check(first == second, f"two attempts of one delivery have the keys {first!r} and {second!r}")
            _check(other != first, f"two deliveries have the same key {first!r}")

    def test_it_takes_any_script(self) -> None:
        """Names and texts are not English."""
        said = "Grüße 你好 שלום 🎉 ﷽ \u200dA\u0301"
        _arrived(
            self._hand(
                self.adapter(), self.message(content=Content(subject=said, text=said, html=f"<p>{said}</p>"))
            )
        )

    def test_it_takes_a_content_with_few_parts(self) -> None:
        """Not every notifier writes a subject, or HTML."""
        for at, content in enumerate(
            (Content(text="only text"), Content(subject="only a subject"), Content(html="<p>h</p>"))
        ):
            _arrived(self._hand(self.adapter(), self.message(f"{at:032}", content=content)))

    def test_it_takes_a_text_of_a_megabyte(self) -> None:
        """That much a content may hold."""
        text = "All work and no play. " * (_LARGE // 22)
        _arrived(self._hand(self.adapter(), self.message(content=Content(subject="Long", text=text))))

    def test_it_sends_twenty_messages_at_once(self) -> None:
        """A worker process calls it from as many threads or tasks."""
        adapter = self.adapter()
        handed: list[Handed] = []

        async def one(number: int) -> None:
            handed.append(await hand_to([adapter], self.message(f"{number:032}"), _PATIENCE))

        async def run() -> None:
            async with anyio.create_task_group() as group:
                for number in range(_AT_ONCE):
                    group.start_soon(one, number)

        anyio.run(run)
        _check(len(handed) == _AT_ONCE, f"{len(handed)} of {_AT_ONCE} calls ended")
        for each in handed:
            _arrived(each)

    def test_its_failures_say_whether_to_try_again(self) -> None:
        """Each by its class; and how they came about is nobody's secret."""
        for adapter, wanted in self.failing():
            handed = self._hand(adapter, self.message())
            _check(
                type(handed.error) is wanted,
                f"{adapter.name} ended with {type(handed.error).__name__}: {handed.error}, not with {wanted.__name__}",
            )
            self._check_secrecy(handed)

    def test_it_shows_no_secret(self) -> None:
        """A representation is logged sooner or later."""
        adapter = self.adapter()
        handed = self._hand(adapter, self.message())
        self._check_secrecy(handed)
        for secret in self.secrets:
            _check(secret not in repr(adapter), f"repr() of {adapter.name} shows a secret")

    def test_a_call_that_is_cancelled_leaves_no_thread_behind(self) -> None:
        """Workers stop and start again."""
        adapter = self.adapter()
        before = threading.active_count()

        async def run() -> None:
            with anyio.move_on_after(0.001):
                await hand_to([adapter], self.message(), _PATIENCE)

        anyio.run(run)
        until = time.monotonic() + _PATIENCE
        while threading.active_count() > before and time.monotonic() < until:
            time.sleep(0.01)
        _check(
            threading.active_count() <= before,
            f"{adapter.name} left {threading.active_count() - before} threads",
        )

    def _hand(self, adapter: Adapter, message: OutgoingMessage) -> Handed:
        return _run(lambda: hand_to([adapter], message, _PATIENCE))

    def _check_secrecy(self, handed: Handed) -> None:
        said = [repr(handed)]
        if handed.error is not None:
            said += traceback.format_exception(handed.error)
            said.append(repr(getattr(handed.error, "response", None)))
        for secret in [*self.secrets, *([self.address] if self.address else [])]:
            where = next((text for text in said if secret in text), None)
            _check(where is None, "an error or a receipt shows a secret or the recipient's address")


def _run(work: Callable[[], Coroutine[Any, Any, Handed]]) -> Handed:
    return anyio.run(work)


def _arrived(handed: Handed) -> None:
    said = f"{handed.error_class}: {handed.error}"
    _check(isinstance(handed.receipt, Receipt), f"{handed.adapter} took no message ({said})")


def _check(holds: bool, words: str) -> None:  # noqa: FBT001 - an assertion is about a truth
    if not holds:
        raise AssertionError(words)
