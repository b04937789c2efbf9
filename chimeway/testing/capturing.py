"""`capture`: what is sent stays in the test, and time passes when the test says so."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self, get_args

from aquila.errors import ConfigError
from chimeway.message import OutgoingMessage
from chimeway.recipient import as_recipients
from chimeway.settings import CHANNEL_NAME, ChimewaySettings, Dispatcher, install_settings, settings
from chimeway.testing.draining import settle_until
from chimeway.testing.fake_adapter import TestAdapter
from chimeway.testing.fake_channels import FakeChannels
from chimeway.testing.fake_clock import FakeClock
from chimeway.testing.telling import not_delivered, said_of
from jobs.testing.blocking import run_blocking

#: What `chimeway.configure` does not change inside the block: an application that configures itself would send for real.
_PINNED = frozenset({"channels", "chosen_dispatcher", "clock"})


class Captured:
    """What is sent inside its block, by any thread and task of the process; made by `capture`."""

    def __init__(
        self, channels: Collection[str] | None, now: datetime | None, dispatcher: Dispatcher
    ) -> None:
        #: The time inside the block.
        self.clock = FakeClock(now)
        self._channels = FakeChannels(channels)
        self._dispatcher = dispatcher
        self._before: ChimewaySettings | None = None

    def __enter__(self) -> Self:
        if self._before is not None:
            raise ConfigError(
                "this capture is open already; make another one with chimeway.testing.capture()"
            )
        chosen = replace(
            settings(),
            chosen_dispatcher=self._dispatcher,
            channels=self._channels,
            clock=self.clock,
            pinned=_PINNED,
        )
        self._before = install_settings(chosen)
        _OPEN.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        before, self._before = self._before, None
        if before is None:
            return
        _OPEN.remove(self)
        # Not by identity: inside the block they may have been configured further.
        if settings().clock is self.clock:
            install_settings(before)
        for other in _OPEN:
            # It was opened inside this one and outlives it.
            if other._before is not None and other._before.clock is self.clock:  # noqa: SLF001 - its own class
                other._before = before  # noqa: SLF001 - as above

    @property
    def sent(self) -> list[OutgoingMessage]:
        """The messages that all channels took, oldest first."""
        return self._channels.sent

    def adapter(self, channel: str) -> TestAdapter:
        """Give the adapter of a channel, to let it fail: `captured.adapter("email").fail_with(...)`.

        Raises:
            KeyError: The channel is none of those that were named.
        """
        return self._channels.adapter(channel)

    def clear(self) -> None:
        """Forget what was sent so far."""
        self._channels.forget()

    def delivered(
        self, key: Any = None, recipient: Any = None, *, channel: str | None = None
    ) -> list[OutgoingMessage]:
        """Give the messages that were sent, oldest first.

        Args:
            key: Those of one notifier: its class, or its `notification_key`.
            recipient: Those to one recipient: an id, or a `Recipient`.
            channel: Those of one channel.

        Raises:
            ConfigError: Several recipients are named, or none.
            NotifierInvalid: The recipient is none.
        """
        name = getattr(key, "notification_key", key)
        identity = None if recipient is None else _identity(recipient)
        return [
            one
            for one in self.sent
            if (name is None or one.notification_key == name)
            and (identity is None or one.recipient_identity == identity)
            and (channel is None or one.channel == channel)
        ]

    def assert_delivered(
        self, key: Any, recipient: Any, *, channel: str | None = None, count: int | None = None
    ) -> OutgoingMessage:
        """Check that a recipient was told, and give the last message.

        Args:
            key: The notifier: its class, or its `notification_key`.
            recipient: An id, or a `Recipient`.
            channel: Where; None means on any channel.
            count: How often exactly; None means at least once.

        Raises:
            AssertionError: There is no such message, or another number of them. It says what became of the deliveries.
        """
        __tracebackhide__ = True
        found = self.delivered(key, recipient, channel=channel)
        if not found or (count is not None and len(found) != count):
            name = getattr(key, "notification_key", key)
            raise AssertionError(
                not_delivered(name, _identity(recipient), channel, found=len(found), sent=self.sent)
            )
        return found[-1]

    def assert_nothing_sent(
        self, key: Any = None, recipient: Any = None, *, channel: str | None = None
    ) -> None:
        """Check that nothing was sent, or nothing of what is named.

        Args:
            key: A notifier: its class, or its `notification_key`.
            recipient: An id, or a `Recipient`.
            channel: A channel.

        Raises:
            AssertionError: Something was.
        """
        __tracebackhide__ = True
        found = self.delivered(key, recipient, channel=channel)
        if found:
            raise AssertionError(f"{len(found)} were sent: {said_of(found)}")

    def drain(self, *, until: datetime | timedelta | None = None) -> None:
        """Let pass what workers would do: jobs of chimeway that are due, and the ProgressionWorker's rounds, until all rests.

        Called where an event loop runs, it works in a thread, and the loop stands still; `adrain` does not.

        Args:
            until: The clock is moved up to then, a timedelta counts from now, and stops where something is due on the way.
                None does not move it.

        Raises:
            ConfigError: No sandbox of the jobs is open, or a value cannot be used.
            StorageError: The database failed.
            AssertionError: It does not come to rest.
        """
        run_blocking(lambda: self.adrain(until=until))

    async def adrain(self, *, until: datetime | timedelta | None = None) -> None:
        """Do as `drain` does, on the running loop.

        Args:
            until: The clock is moved up to then; a timedelta counts from now.

        Raises:
            ConfigError: No sandbox of the jobs is open, or a value cannot be used.
            StorageError: The database failed.
            AssertionError: It does not come to rest.
        """
        if self._before is None:
            raise ConfigError("this capture is not open; enter it with `with chimeway.testing.capture():`")
        if until is not None and not isinstance(until, datetime | timedelta):
            raise ConfigError(
                f"until is an aware datetime or a timedelta, such as timedelta(hours=2), not {type(until).__name__}"
            )
        now = self.clock.now()
        end = now + until if isinstance(until, timedelta) else until or now
        if end.tzinfo is None or end < now:
            raise ConfigError(
                f"until={until!r} is an aware datetime from {now.isoformat()}, or a timedelta from zero"
            )
        await settle_until(self.clock, end)


def capture(*channels: str, now: datetime | None = None, dispatcher: Dispatcher = "sync") -> Captured:
    """Keep in the test what would be sent, in a `with` block: each channel has a `TestAdapter`, the clock stands still.

    Rows go where the jobs are: use it inside `jobs.testing.sandbox()`, or take the fixture `chimeway_sandbox`, which is both.
    What was configured is back after the block; addresses and time-outs hold inside, too. Inside of it
    `chimeway.configure` changes neither the channels nor the dispatcher nor the clock, so that nothing is sent.

    Args:
        channels: The channels there are, beside `in_app`; a delivery to another one finds no adapter. None named: each
            channel that is used has one.
        now: When the clock begins; None means the machine's time. It is moved by `drain(until=...)` and `clock.advance(...)`.
        dispatcher: `"sync"` sends where it is triggered, `"dramatiq"` when `drain` runs the jobs.

    Raises:
        ConfigError: A value cannot be used.
    """
    for channel in channels:
        if not isinstance(channel, str) or not CHANNEL_NAME.fullmatch(channel):
            raise ConfigError(
                f"the channel {channel!r} must be up to 100 small letters, digits and '_'; write capture('email', 'sms')"
            )
    if dispatcher not in get_args(Dispatcher):
        raise ConfigError(f"dispatcher={dispatcher!r} must be 'sync' or 'dramatiq'")
    return Captured(channels or None, now, dispatcher)


#: The captures whose block is not over, in the order in which they were opened.
_OPEN: list[Captured] = []


def _identity(recipient: Any) -> str:
    """Give the identity of one recipient, as `trigger` reads it.

    Raises:
        ConfigError: There are several, or none.
        NotifierInvalid: It is none.
    """
    found = as_recipients(recipient)
    if len(found) != 1:
        raise ConfigError(f"recipient= names {len(found)} recipients; ask for one at a time")
    return found[0].identity
