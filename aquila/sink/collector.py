"""`collector`: a bounded queue between runs and their reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Literal, Self, TypeVar, overload

from aquila.errors import ConfigError
from aquila.events import Done, Event, Failed, Started
from aquila.sink.backlog import Backlog
from aquila.sink.overflow import POLICIES, PolicyName, Queued

Item = TypeVar("Item")


class Collector(Generic[Item]):
    """A sink that is also an async iterator over what it took; made by `collector`.

    A run that finds the queue full waits, unless the policy knows better, so read it in another task than the one that
    awaits the run. Iterating ends with the run, or the last one of several; a run that begins after that is not
    collected, which is logged. When the reader leaves (`leave`, or the end of `async with`), the runs go on
    and further events are dropped; a reader that only stops iterating makes them wait for ever.
    """

    def __init__(self, size: int, *, with_ref: bool, policy: PolicyName, runs: int | None) -> None:
        self._backlog = Backlog(size, POLICIES[policy], runs=runs)
        self._with_ref = with_ref
        self._port = CollectorPort(self._backlog, "")

    @property
    def dropped(self) -> int:
        """Events that were dropped because the queue was full."""
        return self._backlog.dropped

    def for_run(self, ref: str) -> CollectorPort:
        """Give the run named `ref` a way of its own into the queue; when the last one is closed, so is the queue."""
        self._backlog.enter()
        return CollectorPort(self._backlog, ref, leave=self._backlog.exit)

    async def emit(self, event: Event) -> None:
        """Put one event into the queue: of one run, or of one run after the other."""
        await self._port.emit(event)

    async def aclose(self) -> None:
        """End the queue for every run: the reader gets what is in it and then stops. May be called twice."""
        self._backlog.close()

    def leave(self) -> None:
        """Leave: what is in the queue and further events are dropped. May be called twice."""
        self._backlog.abandon()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        queued = await self._backlog.get()
        if queued is None:
            raise StopAsyncIteration
        item: Any = (queued.ref, queued.event()) if self._with_ref else queued.event()
        result: Item = item
        return result

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.leave()


class CollectorPort:
    """One run's way into a collector; made by `Collector.for_run`."""

    def __init__(self, backlog: Backlog, ref: str, *, leave: Callable[[], None] | None = None) -> None:
        self._backlog = backlog
        self._ref = ref
        self._leave = leave
        self._ended = False

    async def emit(self, event: Event) -> None:
        """Put one event into the queue; nothing more behind the run's last one.

        Raises:
            ConfigError: A run begins, but the queue has ended with an earlier one.
        """
        if isinstance(event, Started):
            self._begin(event)
        if self._ended or self._backlog.closed:
            return
        self._ended = isinstance(event, Done | Failed)
        await self._backlog.put(Queued(self._ref, event))

    async def aclose(self) -> None:
        """End this run's part. May be called twice."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def _begin(self, event: Started) -> None:
        if self._backlog.closed and not self._backlog.abandoned:
            raise ConfigError(
                f"the collector has ended, and run {event.ref!r} begins; make one for each run, or say with "
                "collector(runs=...) how many share it"
            )
        self._ref = event.ref
        self._ended = False


@overload
def collector(
    size: int = 64, *, with_ref: Literal[False] = False, policy: PolicyName = "block", runs: int | None = 1
) -> Collector[Event]: ...
@overload
def collector(
    size: int = 64, *, with_ref: Literal[True], policy: PolicyName = "block", runs: int | None = 1
) -> Collector[tuple[str, Event]]: ...
def collector(
    size: int = 64, *, with_ref: bool = False, policy: PolicyName = "block", runs: int | None = 1
) -> Collector[Any]:
    """Make a queue between runs and their reader. It is bounded; every last event, `Done` or `Failed`, needs no room.

    Args:
        size: Events the queue holds, at least 1.
        with_ref: True: the reader gets pairs of the run's name and the event, to tell several runs apart.
        policy: What happens to one more event when the queue is full. `block`: the run waits. `drop_oldest`: the oldest
            event but `Started` and the last one is dropped and counted in `dropped`; the text in `Done` stays whole.
            `coalesce`: a fragment of text, of reasoning or of a tool call is joined to the one before it, so that a
            slow reader gets fewer and longer ones and no text is lost; what cannot be joined waits.
        runs: How many runs share it: reading ends with the last of them. None: it ends with `aclose` alone.

    Raises:
        ConfigError: A size or a number of runs below 1, or an unknown policy.
    """
    if not isinstance(size, int) or size < 1:
        raise ConfigError(f"size={size!r} must be a whole number of events, at least 1")
    if policy not in POLICIES:
        raise ConfigError(f"policy={policy!r} must be one of {', '.join(sorted(POLICIES))}")
    if runs is not None and (not isinstance(runs, int) or runs < 1):
        raise ConfigError(f"runs={runs!r} must be a whole number of runs, at least 1, or None")
    return Collector(size, with_ref=with_ref, policy=policy, runs=runs)
