"""One call of one adapter: in a thread or in the loop, no longer than it may take, and never raising."""

from __future__ import annotations

import inspect
import threading
from dataclasses import dataclass, replace
from typing import Any

import anyio
from anyio import to_thread

from chimeway.adapters.base import LONGEST_RETRY_AFTER, Adapter, Unanswered
from chimeway.errors import Bounced, DeliveryError, PermanentFailure, TemporaryFailure
from chimeway.message import OutgoingMessage, Receipt
from chimeway.privacy import redacted_response
from jobs.sqltypes import storable

#: Threads of this process that an adapter may hold beyond its time before no plain adapter is called any more.
MOST_LEFT_BEHIND = 100
#: Characters of a provider's id that a row keeps.
LONGEST_ID = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """How one call came out."""

    receipt: Receipt | None = None
    error: Exception | None = None
    #: `temporary`, `permanent`, `bounced`, `timeout`, `unknown`, `bad_receipt`, `busy`; None if it arrived.
    error_class: str | None = None

    @property
    def may_have_arrived(self) -> bool:
        """True for a failure after which the message may be on its way all the same."""
        return self.error_class in {"timeout", "bad_receipt"}


def left_behind() -> int:
    """Say how many calls of this process go on in threads that nobody waits for any more."""
    return _LEFT.count


async def call(adapter: Adapter, message: OutgoingMessage, timeout: float) -> Called:  # noqa: ASYNC109 - a value of the result
    """Hand a message to an adapter. A plain one that takes too long goes on in its thread, which nobody waits for.

    Args:
        adapter: Whom to call.
        message: What to hand over.
        timeout: Seconds it may take.
    """
    is_async = inspect.iscoroutinefunction(adapter.deliver)
    if not is_async and left_behind() >= MOST_LEFT_BEHIND:
        words = f"{left_behind()} calls of adapters have not ended in their time, so no other is begun"
        return Called(error=TemporaryFailure(words), error_class="busy")
    given: Any = _NOTHING
    with anyio.move_on_after(timeout) as scope:
        try:
            first = adapter.deliver(message) if is_async else await _in_thread(adapter, message)
            given = await first if inspect.isawaitable(first) else first
        except Exception as error:  # noqa: BLE001 - whatever an adapter raises is how the attempt came out
            given = _Raised(error)
    if given is _NOTHING or (scope.cancel_called and isinstance(given, _Raised)):
        words = f"{adapter.name} had not answered after {timeout:g} s; the message may have gone out"
        return Called(error=TemporaryFailure(words), error_class="timeout")
    return _failed(given.error) if isinstance(given, _Raised) else _taken(adapter, given)


_NOTHING = object()


class _LeftBehind:
    """Counts the calls that go on in threads after nobody waits for them any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def add(self, change: int) -> None:
        with self._lock:
            self.count += change


_LEFT = _LeftBehind()


@dataclass(frozen=True, slots=True)
class _Raised:
    error: Exception


async def _in_thread(adapter: Adapter, message: OutgoingMessage) -> Any:
    # One of the two ends it: the thread, or who leaves it behind. Both look under the lock.
    ended, lock = [False, False], threading.Lock()

    def deliver() -> Any:
        try:
            return adapter.deliver(message)
        except Exception as error:  # noqa: BLE001 - a StopIteration, say, cannot be raised through a future
            return _Raised(error)
        finally:
            with lock:
                ended[0] = True
                if ended[1]:
                    _LEFT.add(-1)

    try:
        # How many run at once is decided by who calls, so the limiter is one of its own.
        return await to_thread.run_sync(deliver, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
    except anyio.get_cancelled_exc_class():
        with lock:
            if not ended[0]:
                ended[1] = True
                _LEFT.add(1)
        raise


def _failed(error: Exception) -> Called:
    if isinstance(error, DeliveryError):
        error.provider_message_id = _id(error.provider_message_id)
        error.response = redacted_response(error.response) if error.response else None
        if error.retry_after is not None:
            error.retry_after = min(max(error.retry_after, 0.0), LONGEST_RETRY_AFTER)
        return Called(error=error, error_class=_class_of(error))
    if isinstance(error, TimeoutError):
        return Called(error=error, error_class="timeout")
    return Called(error=error, error_class="unknown")


def _class_of(error: DeliveryError) -> str:
    """Give one of the known words: classes of a host's own may have any other."""
    known = (Bounced, PermanentFailure, Unanswered, TemporaryFailure)
    return next((one.error_class for one in known if isinstance(error, one)), DeliveryError.error_class)


def _taken(adapter: Adapter, given: Any) -> Called:
    if given is None:
        # It did its work and says nothing of it.
        return Called(receipt=Receipt())
    if not isinstance(given, Receipt):
        words = f"{adapter.name}.deliver gave {type(given).__name__}, not a chimeway.Receipt; the message may have gone out"
        return Called(error=PermanentFailure(words), error_class="bad_receipt")
    kept = replace(
        given,
        provider_message_id=_id(given.provider_message_id),
        response=redacted_response(given.response) if given.response else {},
    )
    return Called(receipt=kept)


def _id(given: Any) -> str | None:
    return None if given is None or given == "" else storable(str(given))[:LONGEST_ID]
