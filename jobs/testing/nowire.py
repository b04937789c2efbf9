"""A wire to nowhere: what is put on it is dropped, or run on the spot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import dramatiq
from dramatiq.brokers.stub import StubBroker

from jobs.publishing import Announcement
from jobs.wire import Wire

#: Redis as a sandbox has it: a socket that nobody listens on, so that readers of live streams keep to the rows.
NOWHERE = "unix:///aquila/sandbox/has/no/redis"


class NoWire(Wire):
    """Has what a `Wire` has, and reaches nobody."""

    def __init__(
        self,
        *,
        middleware: Iterable[dramatiq.Middleware] = (),
        run: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        """Prepare it; nothing is opened, now or later.

        Args:
            middleware: Dramatiq middleware of the host.
            run: Runs the jobs with these ids at once; None leaves them in their rows.
        """
        self.url = NOWHERE
        self.namespace = "aq:sandbox"
        self.channel = f"{self.namespace}:news"
        self.client: Any = _Nobody()
        self.broker: Any = StubBroker(middleware=list(middleware))
        self._run = run
        #: Told each line that would be published to the workers.
        self.ears: list[Callable[[str], None]] = []

    def publish(self, many: Sequence[Announcement]) -> None:
        """Leave the attempts in their rows, or make them now."""
        if self._run is not None and many:
            self._run([said.job_id for said in many])

    def tell(self, news: str) -> None:
        """Tell those who run jobs in this process."""
        for hear in list(self.ears):
            hear(news)

    def fetch(self, queue_name: str, limit: int) -> list[dramatiq.Message[Any]]:
        """Give nothing."""
        return []

    def ack(self, messages: Sequence[dramatiq.Message[Any]]) -> None:
        """Do nothing."""

    def give_back(self, message: dramatiq.Message[Any]) -> None:
        """Do nothing."""

    def reclaim(self, queues: Iterable[str]) -> None:
        """Do nothing."""

    def missing(self, announced: Iterable[tuple[str, str]]) -> list[str]:
        """Give nothing: no row is to be handed over again."""
        return []

    def was_emptied(self) -> bool:
        """Give False: there is nothing that could be lost."""
        return False

    def maintain(self, queues: Iterable[str]) -> None:
        """Do nothing."""

    def ping(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class _Nobody:
    """A client of Redis whose every command is quietly without effect."""

    def __getattr__(self, command: str) -> Callable[..., int]:
        return lambda *_, **__: 0
