"""Channels whose messages stay in the test: the named ones, or every one that is asked for."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping

from chimeway.adapters.base import Adapter
from chimeway.dispatch.outcome import IN_APP
from chimeway.message import OutgoingMessage, Receipt
from chimeway.testing.fake_adapter import TestAdapter


class FakeChannels(Mapping[str, tuple[Adapter, ...]]):
    """A `TestAdapter` for each channel, called like it.

    Args:
        named: The channels; None makes one for each that is asked for.
    """

    def __init__(self, named: Collection[str] | None = None) -> None:
        self._is_open = named is None
        self._adapters: dict[str, TestAdapter] = {}
        self._lock = threading.Lock()
        self._log: list[OutgoingMessage] = []
        for channel in (*(named or ()), IN_APP):
            self._adapters[channel] = _Logging(channel, self._log)

    def adapter(self, channel: str) -> TestAdapter:
        """Give the adapter of a channel.

        Raises:
            KeyError: The channel is none of those that were named.
        """
        with self._lock:
            known = self._adapters.get(channel)
            if known is None and not self._is_open:
                raise KeyError(
                    f"{channel!r} is no channel of this capture, which has {', '.join(self._adapters)}"
                )
            if known is None:
                known = self._adapters[channel] = _Logging(channel, self._log)
            return known

    @property
    def sent(self) -> list[OutgoingMessage]:
        """The messages of all channels, oldest first."""
        return list(self._log)

    def forget(self) -> None:
        """Forget what was sent."""
        self._log.clear()
        for adapter in list(self._adapters.values()):
            adapter.clear()

    def __getitem__(self, channel: str) -> tuple[Adapter, ...]:
        return (self.adapter(channel),)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._adapters))

    def __len__(self) -> int:
        return len(self._adapters)


class _Logging(TestAdapter):
    """Keeps what it takes in the common list as well, where the order over all channels is."""

    def __init__(self, channel: str, log: list[OutgoingMessage]) -> None:
        super().__init__(channel)
        self._log = log

    def deliver(self, message: OutgoingMessage) -> Receipt:
        receipt = super().deliver(message)
        self._log.append(message)
        return receipt
