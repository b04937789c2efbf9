"""`TestAdapter`: keeps what it is handed, and fails when it is told to."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from aquila.errors import ConfigError
from chimeway.adapters.base import check_name
from chimeway.message import OutgoingMessage, Receipt

#: Seconds that a blocked call waits before it gives up, so that a test that forgets it ends.
_LONGEST_BLOCK = 30.0


class TestAdapter:
    """An adapter for tests: nothing leaves the process.

    ```python
    email = TestAdapter()
    chimeway.configure(channels={"email": email})
    email.fail_with(chimeway.TemporaryFailure("down"))
    WelcomeNotifier.trigger("ada", {"name": "Ada"})
    assert email.sent == []
    ```

    Args:
        name: What attempts call it.
        needs_address: Whether recipients without an address are not sent to.
        keep: Messages that are kept, and deliveries whose calls are counted; older ones are forgotten.

    Raises:
        ConfigError: The name cannot be kept, or `keep` is no whole number above zero.
    """

    # Not a class of tests, whatever its name says.
    __test__ = False

    def __init__(self, name: str = "test", *, needs_address: bool = False, keep: int = 10_000) -> None:
        self.name = check_name(name)
        self._keep = _whole("keep", keep, at_least=1)
        self.needs_address = needs_address
        self._sent: deque[OutgoingMessage] = deque(maxlen=keep)
        self._calls: dict[str, int] = {}
        self._every_call = 0
        self._failures: deque[Exception] = deque()
        self._always: Exception | None = None
        self._open = threading.Event()
        self._open.set()
        self._lock = threading.Lock()
        self._running = 0
        #: How many calls ran at once, at most.
        self.peak = 0

    @property
    def sent(self) -> Sequence[OutgoingMessage]:
        """The messages that were taken, oldest first."""
        with self._lock:
            return list(self._sent)

    def calls(self, delivery_id: str | None = None) -> int:
        """Say how often a delivery was handed over, failures included; without an id, how often anything was."""
        with self._lock:
            return self._every_call if delivery_id is None else self._calls.get(delivery_id, 0)

    def fail_with(self, error: Exception, *, times: int | None = None) -> None:
        """Raise an error instead of taking messages.

        Args:
            error: What to raise.
            times: How often; None until `succeed`.

        Raises:
            ConfigError: It is no error that can be raised, or `times` is no whole number.
        """
        if not isinstance(error, Exception):
            what = f"the class {error.__name__}" if isinstance(error, type) else f"a {type(error).__name__}"
            raise ConfigError(
                f"fail_with raises an exception, such as chimeway.TemporaryFailure('down'), not {what}"
            )
        if times is not None:
            _whole("times", times, at_least=0)
        with self._lock:
            if times is None:
                self._always = error
            else:
                self._failures.extend([error] * times)

    def succeed(self) -> None:
        """Take messages again."""
        with self._lock:
            self._always = None
            self._failures.clear()

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Let calls wait until the block is over."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def clear(self) -> None:
        """Forget what was sent and how often it was called."""
        with self._lock:
            self._sent.clear()
            self._calls.clear()
            self._every_call = 0
            self.peak = 0

    def deliver(self, message: OutgoingMessage) -> Receipt:
        """Keep the message.

        Raises:
            Exception: What `fail_with` was given.
            TimeoutError: The adapter stayed blocked.
        """
        with self._lock:
            self._count(message.delivery_id)
            self._running += 1
            self.peak = max(self.peak, self._running)
        try:
            if not self._open.wait(_LONGEST_BLOCK):
                raise TimeoutError(f"the adapter {self.name!r} was blocked for {_LONGEST_BLOCK:g} s")
            return self._take(message)
        finally:
            with self._lock:
                self._running -= 1

    def _count(self, delivery_id: str) -> None:
        self._every_call += 1
        # Put last, so that the first one is what has not been called for the longest.
        self._calls[delivery_id] = self._calls.pop(delivery_id, 0) + 1
        if len(self._calls) > self._keep:
            del self._calls[next(iter(self._calls))]

    def _take(self, message: OutgoingMessage) -> Receipt:
        with self._lock:
            failure = self._failures.popleft() if self._failures else self._always
            if failure is not None:
                # The same object is raised again and again, and would gather the frames of every call.
                raise failure.with_traceback(None)
            self._sent.append(message)
            return Receipt(provider_message_id=f"{self.name}-{message.delivery_id}-{message.attempt}")


def _whole(name: str, value: int, *, at_least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise ConfigError(f"{name}={value!r} must be a whole number from {at_least}")
    return value
