from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aquila.sync.portal import the_portal
from chimeway.adapters import Unanswered, calling
from chimeway.adapters.failover import Handed, Tried, hand_to, hand_to_sync, verdict
from chimeway.errors import Bounced, DeliveryError, PermanentFailure, TemporaryFailure
from chimeway.message import OutgoingMessage, Receipt
from chimeway.portal import run_in_portal
from chimeway.testing import TestAdapter
from jobs.threads import left_behind
from tests.outgoing import outgoing

MESSAGE = outgoing()


class Doing:
    """A plain adapter that does as a function says."""

    def __init__(self, work: Callable[[], Any], name: str = "doing", *, needs_address: bool = False) -> None:
        self.work, self.name, self.needs_address = work, name, needs_address
        self.calls = 0

    def deliver(self, message: OutgoingMessage) -> Receipt:
        self.calls += 1
        return self.work()  # type: ignore[no-any-return]


class AsyncDoing(Doing):
    async def deliver(self, message: OutgoingMessage) -> Receipt:  # type: ignore[override]
        self.calls += 1
        return await self.work()  # type: ignore[no-any-return]


class Mailbox(Bounced):
    error_class = "a word of a host's own that is longer than the row's column has room for"


def raising(error: BaseException, name: str = "a") -> Doing:
    def work() -> None:
        raise error

    return Doing(work, name)


def taking(name: str = "b") -> Doing:
    return Doing(Receipt, name)


async def becomes_true(holds: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not holds():  # noqa: ASYNC110 - a thread cannot set an event of the loop
            await anyio.sleep(0.005)


async def both(adapters: list[Any], message: OutgoingMessage = MESSAGE, seconds: float = 5) -> Handed:
    """Hand it over in both ways, which must come out alike."""
    handed = await hand_to(adapters, message, seconds)
    again = await anyio.to_thread.run_sync(lambda: hand_to_sync(adapters, message, seconds))
    assert (again.adapter, again.error_class, len(again.tried)) == (
        handed.adapter,
        handed.error_class,
        len(handed.tried),
    )
    return handed


async def test_the_first_adapter_that_takes_it_is_the_last_one_asked() -> None:
    first, second = taking("first"), taking("second")

    handed = await both([first, second])

    assert handed == Handed(adapter="first", receipt=Receipt())
    assert second.calls == 0


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (TemporaryFailure("x"), "temporary"),
        (PermanentFailure("x"), "permanent"),
        (DeliveryError("x"), "unknown"),
        (ZeroDivisionError("x"), "unknown"),
        (StopIteration("x"), "unknown"),
    ],
)
async def test_another_one_stands_in_after_a_failure(error: Exception, error_class: str) -> None:
    handed = await both([raising(error), taking()])

    assert handed.adapter == "b"
    assert handed.receipt == Receipt()
    assert handed.error is None
    assert [(one.adapter, one.error, one.error_class) for one in handed.tried] == [("a", error, error_class)]


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (Bounced("x"), "bounced"),
        (Mailbox("x"), "bounced"),
        (Unanswered("x"), "timeout"),
        (TimeoutError("x"), "timeout"),
    ],
)
async def test_nobody_stands_in_where_the_message_bounced_or_may_have_gone_out(
    error: Exception, error_class: str
) -> None:
    second = taking()

    handed = await both([raising(error), second])

    assert (handed.adapter, handed.error, handed.error_class) == ("a", error, error_class)
    assert second.calls == 0


@pytest.mark.parametrize("kind", [Doing, AsyncDoing])
async def test_an_adapter_that_takes_too_long_may_have_sent_it(kind: type[Doing]) -> None:
    over = threading.Event()
    second = taking()
    slow = kind((lambda: over.wait(10)) if kind is Doing else anyio.sleep_forever, "slow")

    handed = await both([slow, second], seconds=0.05)
    over.set()

    assert (handed.adapter, handed.error_class) == ("slow", "timeout")
    assert type(handed.error) is TemporaryFailure
    assert "slow had not answered after 0.05 s" in str(handed.error)
    assert second.calls == 0


async def test_an_error_that_a_cancelled_call_turns_into_is_a_timeout_too() -> None:
    async def work() -> None:
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            raise ConnectionError("closed") from None

    assert (await both([AsyncDoing(work), taking()], seconds=0.05)).error_class == "timeout"


async def test_the_adapter_that_did_not_answer_is_asked_first_the_next_time() -> None:
    first, second = taking("first"), taking("second")

    assert (await hand_to([first, second], MESSAGE, 5, stay_with="second")).adapter == "second"
    assert hand_to_sync([first, second], MESSAGE, 5, stay_with="second").adapter == "second"
    assert (await hand_to([first, second], MESSAGE, 5, stay_with="gone")).adapter == "first"


@pytest.mark.parametrize("given", [True, {"id": 1}, "sent", 0])
async def test_what_is_no_receipt_is_not_sent_again(given: object) -> None:
    second = taking()

    handed = await both([Doing(lambda: given, "a"), second])

    assert handed.error_class == "bad_receipt"
    assert isinstance(handed.error, PermanentFailure)
    assert second.calls == 0


async def test_an_adapter_may_say_nothing_of_what_it_did() -> None:
    assert (await both([Doing(lambda: None)])).receipt == Receipt()


async def test_a_plain_function_may_give_what_is_awaited() -> None:
    async def later() -> Receipt:
        await anyio.lowlevel.checkpoint()
        return Receipt(provider_message_id="later")

    assert (await both([Doing(later)])).receipt == Receipt(provider_message_id="later")


async def test_receipts_and_errors_are_made_fit_for_a_row() -> None:
    response = {"token": "t", "said": "ok\x00", "at": object}
    receipt = Receipt(provider_message_id="x" * 400, response={"password": "p", "said": "ok\x00"})
    error = TemporaryFailure("x", provider_message_id=7, retry_after=1e9, response=response)  # type: ignore[arg-type]

    taken = await hand_to([Doing(lambda: receipt)], MESSAGE, 5)
    await hand_to([raising(error)], MESSAGE, 5)

    assert taken.receipt == Receipt(provider_message_id="x" * 255, response={"said": "ok\ufffd"})
    assert error.provider_message_id == "7"
    assert error.retry_after == 3600
    assert error.response == {
        "not_kept": "the answer.at is of type type; use JSON values, times, UUIDs or pydantic models"
    }


async def test_an_adapter_that_needs_an_address_is_passed_over_without_one() -> None:
    mail, board = Doing(Receipt, "mail", needs_address=True), taking("board")

    assert (await both([mail, board], outgoing(address=None))).adapter == "board"
    assert (await both([mail, board])).adapter == "mail"
    nobody = await both([mail], outgoing(address=""))
    assert (nobody.adapter, nobody.error_class) == ("", "no_address")
    assert isinstance(nobody.error, PermanentFailure)


def tried(error: Exception, name: str, error_class: str = "temporary") -> Tried:
    return Tried(adapter=name, error=error, error_class=error_class)


def test_what_can_come_right_decides_and_the_soonest_of_it() -> None:
    wrong = tried(PermanentFailure("wrong"), "wrong", "permanent")
    later = tried(TemporaryFailure("later", retry_after=600), "later")
    sooner = tried(TemporaryFailure("sooner", retry_after=60), "sooner")

    assert verdict(MESSAGE, [wrong, later, sooner, wrong]).adapter == "sooner"
    assert verdict(MESSAGE, [later, tried(KeyError(), "odd", "unknown")]).adapter == "odd"
    assert verdict(MESSAGE, [wrong, tried(PermanentFailure("x"), "last", "permanent")]).adapter == "last"
    assert verdict(MESSAGE, [sooner, tried(Bounced("x"), "final", "bounced")]).adapter == "final"
    assert verdict(MESSAGE, [sooner, tried(Unanswered("x"), "silent", "timeout")]).adapter == "silent"


async def test_cancelling_ends_the_wait_and_counts_the_thread_until_it_ends() -> None:
    over, begun = threading.Event(), threading.Event()

    def work() -> Receipt:
        begun.set()
        over.wait(10)
        return Receipt()

    async with anyio.create_task_group() as group:
        group.start_soon(hand_to, [Doing(work)], MESSAGE, 10)
        await anyio.to_thread.run_sync(begun.wait)
        group.cancel_scope.cancel()

    assert left_behind() == 1
    over.set()
    await becomes_true(lambda: not left_behind())


async def test_no_more_threads_are_begun_where_too_many_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "MOST_LEFT_BEHIND", 1)
    over = threading.Event()
    await hand_to([Doing(lambda: over.wait(10))], MESSAGE, 0.02)
    adapter, other = taking(), AsyncDoing(quick, "async")

    refused = await hand_to([adapter], MESSAGE, 5)
    stood_in = await hand_to([adapter, other], MESSAGE, 5)
    over.set()

    assert refused.error_class == "busy"
    assert isinstance(refused.error, TemporaryFailure)
    assert adapter.calls == 0
    assert stood_in.adapter == "async"
    await becomes_true(lambda: not left_behind())


async def quick() -> Receipt:
    return Receipt()


async def test_a_running_loop_may_wait_for_an_asynchronous_adapter() -> None:
    assert hand_to_sync([AsyncDoing(quick)], MESSAGE, 5).receipt == Receipt()


def test_the_loop_that_synchronous_callers_share_may_hand_over_too() -> None:
    async def inside() -> tuple[bool, Handed]:
        return the_portal().is_here, hand_to_sync([AsyncDoing(quick), taking()], MESSAGE, 5)

    assert run_in_portal(inside) == (True, Handed(adapter="doing", receipt=Receipt()))


WORD: contextvars.ContextVar[str] = contextvars.ContextVar("word", default="none")


@pytest.fixture
def word() -> Iterator[str]:
    token = WORD.set("here")
    yield "here"
    WORD.reset(token)


def test_adapters_see_the_context_of_who_waits(word: str) -> None:
    seen: list[str] = []

    hand_to_sync([Doing(lambda: seen.append(WORD.get()))], MESSAGE, 5)

    assert seen == [word]


async def test_the_fake_adapter_keeps_counts_fails_and_blocks() -> None:
    fake = TestAdapter("fake", keep=2)
    fake.fail_with(TemporaryFailure("down"), times=2)

    outcomes = [(await hand_to([fake], MESSAGE, 5)).error_class for _ in range(3)]

    assert outcomes == ["temporary", "temporary", None]
    assert (fake.calls("d1"), fake.calls("other"), fake.calls()) == (3, 0, 3)
    fake.fail_with(KeyError())
    assert (await hand_to([fake], MESSAGE, 5)).error_class == "unknown"
    fake.succeed()
    for number in range(3):
        await hand_to([fake], outgoing(delivery_id=f"n{number}"), 5)
    assert [message.delivery_id for message in fake.sent] == ["n1", "n2"]
    async with anyio.create_task_group() as group:
        with fake.blocked():
            group.start_soon(hand_to, [fake], MESSAGE, 5)
            group.start_soon(hand_to, [fake], MESSAGE, 5)
            await becomes_true(lambda: fake.peak == 2)
    fake.clear()
    assert (list(fake.sent), fake.calls(), fake.peak) == ([], 0, 0)
