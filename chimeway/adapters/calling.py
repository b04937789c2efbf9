"""One call of one adapter: in a thread or in the loop, no longer than it may take, and never raising."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio

from chimeway.adapters.base import LONGEST_RETRY_AFTER, Adapter, Unanswered, name_of
from chimeway.adapters.guarded_call import Raised, guarded
from chimeway.errors import Bounced, DeliveryError, PermanentFailure, TemporaryFailure
from chimeway.message import OutgoingMessage, Receipt
from chimeway.privacy import redacted_response
from jobs.sqltypes import storable
from jobs.threads import left_behind

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


async def call(adapter: Adapter, message: OutgoingMessage, timeout: float) -> Called:  # noqa: ASYNC109 - a value of the result
    """Hand a message to an adapter. A plain one that takes too long goes on in its thread, which nobody waits for.

    Args:
        adapter: Whom to call.
        message: What to hand over.
        timeout: Seconds it may take.
    """
    is_async = inspect.iscoroutinefunction(adapter.deliver)
    if not is_async and (words := too_many_left()) is not None:
        return Called(error=TemporaryFailure(words), error_class="busy")
    given: Any = _NOTHING
    with anyio.move_on_after(timeout) as scope:
        given = await guarded(partial(adapter.deliver, message), in_loop=is_async)
    if given is _NOTHING or (scope.cancel_called and isinstance(given, Raised)):
        words = f"{name_of(adapter)} had not answered after {timeout:g} s; the message may have gone out"
        return Called(error=TemporaryFailure(words), error_class="timeout")
    return _failed(adapter, given.error) if isinstance(given, Raised) else _taken(adapter, given)


def too_many_left() -> str | None:
    """Say why no other thread is begun; None if one may be."""
    if left_behind() < MOST_LEFT_BEHIND:
        return None
    return f"{left_behind()} calls have not ended in their time and hold threads, so no other is begun"


_NOTHING = object()


def _failed(adapter: Adapter, error: BaseException) -> Called:
    if isinstance(error, DeliveryError):
        try:
            return Called(error=_fit(error), error_class=_class_of(error))
        except Exception as unreadable:  # noqa: BLE001 - a class of somebody's own may do anything when it is read
            words = f"{name_of(adapter)} raised {type(error).__name__}, which cannot be read: {type(unreadable).__name__}"
            return Called(error=TemporaryFailure(words), error_class="unknown")
    if isinstance(error, TimeoutError):
        return Called(error=error, error_class="timeout")
    if not isinstance(error, Exception):
        # A SystemExit, say: whoever reads the attempt must not raise it again.
        error = RuntimeError(f"{name_of(adapter)} raised {type(error).__name__}")
    return Called(error=error, error_class="unknown")


def _fit(error: DeliveryError) -> DeliveryError:
    """Make what an error says fit for a row."""
    said = (_id(error.provider_message_id), _response(error.response) or None, _pause(error.retry_after))
    error.provider_message_id, error.response, error.retry_after = said
    return error


def _class_of(error: DeliveryError) -> str:
    """Give one of the known words: classes of a host's own may have any other."""
    known = (Bounced, PermanentFailure, Unanswered, TemporaryFailure)
    return next((one.error_class for one in known if isinstance(error, one)), DeliveryError.error_class)


def _taken(adapter: Adapter, given: Any) -> Called:
    if given is None:
        # It did its work and says nothing of it.
        return Called(receipt=Receipt())
    if not isinstance(given, Receipt):
        words = f"{name_of(adapter)}.deliver gave {type(given).__name__}, not a chimeway.Receipt; the message may have gone out"
        return Called(error=PermanentFailure(words), error_class="bad_receipt")
    try:
        kept = Receipt(provider_message_id=_id(given.provider_message_id), response=_response(given.response))
    except Exception:  # noqa: BLE001 - it was taken, whatever its receipt does when it is read
        kept = Receipt()
    return Called(receipt=kept)


def _id(given: Any) -> str | None:
    if given is None:
        return None
    try:
        return storable(str(given))[:LONGEST_ID] or None
    except Exception:  # noqa: BLE001 - one of a provider's library may be unable to say itself
        return None


def _response(given: Any) -> dict[str, Any]:
    return {} if given is None else redacted_response(given)


def _pause(given: Any) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    seconds = float(min(max(given, 0), LONGEST_RETRY_AFTER))
    return None if math.isnan(seconds) else seconds
