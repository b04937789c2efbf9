"""`capture`: what is sent stays in the test, and time passes when the test says so."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Self

from aquila.errors import ConfigError
from chimeway.message import OutgoingMessage
from chimeway.settings import ChimewaySettings, Dispatcher, install_settings, settings
from chimeway.testing.draining import settle_until
from chimeway.testing.fake_adapter import TestAdapter
from chimeway.testing.fake_channels import FakeChannels
from chimeway.testing.fake_clock import FakeClock
from chimeway.testing.telling import not_delivered, said_of
from jobs.testing.blocking import run_blocking


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
            settings(), chosen_dispatcher=self._dispatcher, channels=self._channels, clock=self.clock
        )
        self._before = install_settings(chosen)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._before is not None:
            install_settings(self._before)
        self._before = None

    @property
    def sent(self) -> list[OutgoingMessage]:
        """The messages that all channels took, oldest first."""
        return self._channels.sent

    def adapter(self, channel: str) -> TestAdapter:
        """Give the adapter of a channel, to let it fail: `captured.adapter("email").fail_with(...)`."""
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
            recipient: Those to one recipient: an id.
            channel: Those of one channel.
        """
        name = getattr(key, "notification_key", key)
        return [
            one
            for one in self.sent
            if (name is None or one.notification_key == name)
            and (recipient is None or one.recipient_identity == str(recipient))
            and (channel is None or one.channel == channel)
        ]

    def assert_delivered(
        self, key: Any, recipient: Any, *, channel: str | None = None, count: int | None = None
    ) -> OutgoingMessage:
        """Check that a recipient was told, and give the last message.

        Args:
            key: The notifier: its class, or its `notification_key`.
            recipient: An id.
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
                not_delivered(name, str(recipient), channel, found=len(found), sent=self.sent)
            )
        return found[-1]

    def assert_nothing_sent(
        self, key: Any = None, recipient: Any = None, *, channel: str | None = None
    ) -> None:
        """Check that nothing was sent, or nothing of what is named.

        Args:
            key: A notifier: its class, or its `notification_key`.
            recipient: An id.
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
    What was configured is back after the block; addresses and time-outs hold inside, too.

    Args:
        channels: The channels there are, beside `in_app`; a delivery to another one finds no adapter. None named: each
            channel that is used has one.
        now: When the clock begins; None means the machine's time. It is moved by `drain(until=...)` and `clock.advance(...)`.
        dispatcher: `"sync"` sends where it is triggered, `"dramatiq"` when `drain` runs the jobs.
    """
    return Captured(channels or None, now, dispatcher)
