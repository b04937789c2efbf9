from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from chimeway_notifiers import told

import chimeway
from aquila.errors import ConfigError
from chimeway.adapters.calling import Called, call
from chimeway.adapters.failover import hand_to, hand_to_sync
from chimeway.errors import Bounced, DeliveryError, PermanentFailure, TemporaryFailure
from chimeway.message import Receipt
from jobs.policy import words
from tests.outgoing import outgoing


class Giving:
    """An adapter that gives a value, or raises it."""

    name: Any = "giving"

    def __init__(self, given: Any) -> None:
        self.given = given

    def deliver(self, message: Any) -> Any:
        if isinstance(self.given, BaseException):
            raise self.given
        return self.given


class AsyncGiving(Giving):
    async def deliver(self, message: Any) -> Any:
        return super().deliver(message)


async def called(given: Any, kind: type[Giving] = Giving) -> Called:
    return await call(kind(given), outgoing(), 10)


class Unsayable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Bare(PermanentFailure):
    def __init__(self) -> None:
        """Leave what is above it alone."""


class Fixed(TemporaryFailure):
    @property
    def response(self) -> Any:
        return {"fixed": True}

    @response.setter
    def response(self, value: Any) -> None:
        if value is not None:
            raise AttributeError("fixed")


class Unreadable(Bounced):
    @property
    def retry_after(self) -> Any:
        raise RuntimeError("no answer")

    @retry_after.setter
    def retry_after(self, value: Any) -> None:
        pass


class Mute(TemporaryFailure):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Odd(Receipt):
    @property
    def response(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no answer")

    def __init__(self) -> None:
        """Set nothing."""


@pytest.mark.parametrize("kind", [Giving, AsyncGiving])
@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
async def test_an_adapter_that_wants_to_end_more_than_itself_has_failed(
    kind: type[Giving], error: type[BaseException]
) -> None:
    found = await called(error("secret"), kind)

    assert found.error_class == "unknown"
    assert str(found.error) == f"giving raised {error.__name__}"


def test_a_thread_that_waits_is_not_ended_either() -> None:
    handed = hand_to_sync([Giving(SystemExit()), AsyncGiving(SystemExit()), Giving(None)], outgoing(), 10)

    assert handed.receipt == Receipt()
    assert [one.error_class for one in handed.tried] == ["unknown", "unknown"]


async def test_an_error_class_may_leave_out_what_its_base_sets() -> None:
    found = await called(Bare())

    assert found.error_class == "permanent"
    assert isinstance(found.error, Bare)
    assert (found.error.provider_message_id, found.error.response, found.error.retry_after) == (
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("30", None),
        (math.nan, None),
        (True, None),
        (object(), None),
        (math.inf, 3600.0),
        pytest.param(10**400, 3600.0, id="huge"),
        (-5, 0.0),
        (30, 30.0),
        (None, None),
    ],
)
async def test_a_pause_is_granted_where_it_is_a_number(asked: Any, granted: float | None) -> None:
    error = (await called(TemporaryFailure("x", retry_after=asked))).error

    assert isinstance(error, DeliveryError)
    assert error.retry_after == granted


@pytest.mark.parametrize("error", [Fixed("x"), Unreadable("x")])
async def test_an_error_that_cannot_be_read_is_an_unknown_one(error: DeliveryError) -> None:
    found = await called(error)

    assert found.error_class == "unknown"
    assert type(found.error) is TemporaryFailure
    assert f"giving raised {type(error).__name__}, which cannot be read" in str(found.error)


async def test_an_error_without_words_keeps_its_class() -> None:
    found = await called(Mute("x", provider_message_id=Unsayable()))  # type: ignore[arg-type]

    assert found.error_class == "temporary"
    assert found.error is not None
    assert words(found.error) == "<a Mute whose words cannot be read>"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (Receipt(provider_message_id=Unsayable(), response={"a": 1}), Receipt(response={"a": 1})),  # type: ignore[arg-type]
        (Receipt(provider_message_id=7), Receipt(provider_message_id="7")),  # type: ignore[arg-type]
        (Receipt(provider_message_id=""), Receipt()),
        (Receipt(response=["a"]), Receipt(response={"answer": ["a"]})),  # type: ignore[arg-type]
        (Receipt(response=None), Receipt()),  # type: ignore[arg-type]
        (Odd(), Receipt()),
    ],
)
async def test_a_receipt_is_one_whatever_it_holds(given: Receipt, kept: Receipt) -> None:
    assert (await called(given)).receipt == kept


@pytest.mark.parametrize("name", [None, 7, "x" * 120, "a\x00b", "Mail"])
async def test_a_name_that_no_row_can_keep_is_refused_and_never_recorded(name: Any) -> None:
    adapter = Giving(None)
    adapter.name = name

    with told(), pytest.raises(ConfigError, match="the adapter's name"):
        chimeway.configure(channels={"email": adapter})
    # One whose name has changed since.
    assert (await hand_to([adapter], outgoing(), 10)).adapter == "unnamed"
    adapter.given = PermanentFailure("x")
    assert (await hand_to([adapter], outgoing(), 10)).adapter == "unnamed"
