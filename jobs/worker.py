"""The worker: one event loop on which every attempt of the process runs."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
import dramatiq

from jobs import census, claims
from jobs.channel import LiveWriter
from jobs.deliver import Delivery
from jobs.desk import Desk
from jobs.errors import StorageError
from jobs.fetch import Fetcher
from jobs.group_commit import GroupCommit
from jobs.lease import Health, LeaseKeeper
from jobs.metering import Metering
from jobs.metrics import Metrics
from jobs.news import listen
from jobs.pruner import Pruner
from jobs.queues import PauseWatch
from jobs.redis_client import connect_async, without_password
from jobs.registry import actors, declared_limits
from jobs.runtime import Runtime
from jobs.scheduler import Scheduler
from jobs.settings import DEFAULT_LIMIT
from jobs.slots import GlobalLimits
from jobs.threads import Threads, in_thread
from jobs.upkeep import Upkeep

logger = logging.getLogger("jobs")

#: Seconds that cancelled attempts get for their clean-up.
CLEAN_UP_SECONDS = 10.0


class Worker(dramatiq.Worker):
    """Fetches, runs and stores until it is stopped. One for each process.

    It keeps Dramatiq's messages, middleware and interface, and replaces its threads by tasks on one event loop. `run` works
    on the caller's loop; `start`, `stop` and `join` do the same from a thread, inside a web server for example.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        queues: Mapping[str, int] | None = None,
        announce: Callable[[str], None] = print,
        metrics: Metrics | None = None,
    ) -> None:
        """Prepare the worker.

        Args:
            runtime: Where the jobs live.
            queues: Jobs at once, by queue, and no other queue; None serves the configured queues and those of every
                actor that is declared.
            announce: Told one line when the worker is ready and one for each attempt that has ended.
            metrics: Told of every attempt; None counts nothing.

        Raises:
            ConfigError: The jobs cannot be used as configured.
            StorageError: The database cannot be reached.
        """
        self._queues = dict(queues) if queues is not None else default_queues(runtime)
        limit = sum(self._queues.values())
        super().__init__(runtime.wire().broker, queues=set(self._queues), worker_threads=limit)
        self._runtime = runtime
        self._announce = announce
        self._metrics = metrics if metrics is not None else Metrics()
        self._id = uuid4().hex
        self._threads = Threads(limit)
        self._stop = anyio.Event()
        self._hurry = anyio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        #: Whether the process is this worker's, so that it may end it when an actor will not be cancelled.
        self.owns_process = False

    def start(self) -> None:
        """Work in a thread of its own until `stop`.

        Raises:
            RuntimeError: It was started before; make another Worker.
        """
        if self._thread is not None or self._loop is not None:
            raise RuntimeError("a worker works once; make another Worker to start again")
        # A daemon: an actor that will not be cancelled must not keep the host from ending.
        self._thread = threading.Thread(target=anyio.run, args=(self.run,), name="aquila-worker", daemon=True)
        self._thread.start()

    def stop(self, timeout: int = 600_000) -> None:
        """Stop: fetch nothing more, give running attempts the grace period; the second call gives them none.

        Args:
            timeout: Milliseconds to wait for the thread of `start`; without one nothing is waited for.
        """
        if self._loop is not None and threading.current_thread() is not self._loop_thread:
            self._loop.call_soon_threadsafe(self._ask_to_stop)
        else:
            self._ask_to_stop()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout / 1000)

    def join(self) -> None:
        """Wait until the worker has stopped."""
        if self._thread is not None:
            self._thread.join()

    def pause(self) -> None:
        """Refuse: a worker that pauses by itself would only hand its jobs to others.

        Raises:
            NotImplementedError: Always; `jobs.pause_queue` pauses a queue for every worker.
        """
        raise NotImplementedError("pause a queue for every worker with jobs.pause_queue(NAME)")

    def resume(self) -> None:
        """Refuse, as `pause` does.

        Raises:
            NotImplementedError: Always; `jobs.resume_queue` lets a queue go on.
        """
        raise NotImplementedError("let a queue go on with jobs.resume_queue(NAME)")

    def _ask_to_stop(self) -> None:
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self) -> None:
        """Work until `stop`. Attempts that are not done by then are put back, and it costs them no attempt.

        Raises:
            StorageError: The database cannot be reached at the start.
            BrokerUnavailable: Redis does not answer at the start.
        """
        self._loop, self._loop_thread = asyncio.get_running_loop(), threading.current_thread()
        wire = await in_thread(self._runtime.wire)
        await in_thread(wire.ping)
        database, lease = self._runtime.database(), self._runtime.settings.lease
        await database.awrite(census.enrol, self._id, self._queues, lease)
        try:
            await in_thread(self._tell_middleware, "emit_before", "worker_boot")
            # An append that is sent twice would say its text twice; what gets no answer is said again from the start.
            client = connect_async(wire.url, retries=0)
            try:
                await self._work(client)
            finally:
                with anyio.CancelScope(shield=True):
                    await client.aclose()
        finally:
            with anyio.CancelScope(shield=True):
                await in_thread(self._tell_middleware, "emit_after", "worker_shutdown")
                await self._strike()

    def _tell_middleware(self, how: str, signal_: str) -> None:
        getattr(self.broker, how)(signal_, self)

    @property
    def threads_left(self) -> int:
        """Threads of plain functions that go on although their attempts were given up; they end with the process."""
        return self._threads.busy

    async def _work(self, client: Any) -> None:
        database, wire = self._runtime.database(), self._runtime.wire()
        desk = self._desk(client)
        delivery = Delivery(desk, wire)
        fetchers = {
            name: Fetcher(wire, name, limit, delivery.deliver, desk.limits.of(name))
            for name, limit in self._queues.items()
        }
        pauses = PauseWatch(database, fetchers, self._announce)
        async with anyio.create_task_group() as services:
            for service in self._services(desk):
                services.start_soon(service)
            services.start_soon(listen, client, wire.channel, partial(_hear, fetchers, desk.keeper, pauses))
            await in_thread(self._tell_middleware, "emit_after", "worker_boot")
            self._announce(self._ready_line(database.name, wire.url))
            await pauses.look()
            services.start_soon(pauses.run)
            await self._serve(fetchers, delivery, desk.keeper)
            await desk.live.flush()
            await desk.metering.flush()
            services.cancel_scope.cancel()

    def _desk(self, client: Any) -> Desk:
        settings, database, wire = self._runtime.settings, self._runtime.database(), self._runtime.wire()
        lease, health = settings.lease, Health(settings.lease)
        return Desk(
            database=database,
            writes=GroupCommit(database),
            live=LiveWriter(
                client, is_held=lambda claim: database.aread(claims.is_held, claim), ttl=settings.live_ttl
            ),
            keeper=LeaseKeeper(database, self._id, lease=lease, health=health),
            health=health,
            metering=Metering(
                database, wire.client, provider_limits=settings.provider_limits, budgets=settings.budgets
            ),
            limits=GlobalLimits(
                wire,
                database,
                worker_id=self._id,
                queues=self._queues,
                limits=settings.global_limits,
                lease=lease,
            ),
            worker_id=self._id,
            threads=self._threads,
            announce=self._announce,
            metrics=self._metrics,
        )

    def _services(self, desk: Desk) -> Iterator[Callable[[], Coroutine[Any, Any, None]]]:
        upkeep = Upkeep(self._runtime, desk.health, self._queues, self._announce, self._metrics)
        self._metrics.watch_live(lambda: desk.live.waiting)
        yield from (desk.keeper.run, desk.live.run, desk.metering.run, self._metrics.run)
        yield from (upkeep.sweep, upkeep.maintain)
        yield from (Scheduler(self._runtime, self._id).run, Pruner(self._runtime, self._id).run)

    async def _serve(self, fetchers: Mapping[str, Fetcher], delivery: Delivery, keeper: LeaseKeeper) -> None:
        async with anyio.create_task_group() as ending:
            async with anyio.create_task_group() as attempts:
                for fetcher in fetchers.values():
                    attempts.start_soon(fetcher.run)
                await self._stop.wait()
                await in_thread(self._tell_middleware, "emit_before", "worker_shutdown")
                delivery.stop()
                for fetcher in fetchers.values():
                    fetcher.stop()
                ending.start_soon(self._end, keeper, attempts.cancel_scope)
            ending.cancel_scope.cancel()

    async def _end(self, keeper: LeaseKeeper, attempts: anyio.CancelScope) -> None:
        if keeper.count:
            self._announce(f"stopping: {keeper.count} running, {self._runtime.settings.grace:g} s to end")
        with anyio.move_on_after(self._runtime.settings.grace):
            await self._hurry.wait()
        keeper.interrupt_all("shutdown")
        await anyio.sleep(CLEAN_UP_SECONDS)
        # Their leases run out, and another worker takes them then.
        self._announce(f"{keeper.count} attempts did not end and are left behind")
        attempts.cancel()
        await anyio.sleep(CLEAN_UP_SECONDS / 2)
        if self.owns_process:
            # An actor that will not be cancelled would keep the process for ever.
            os._exit(1)
        logger.error("an actor will not be cancelled; this worker's thread is left behind with it")

    async def _strike(self) -> None:
        try:
            await self._runtime.database().awrite(census.strike, self._id)
        except StorageError as error:
            logger.warning("this worker's row stays until it counts as dead: %s", error)

    def _ready_line(self, database: str, redis_url: str) -> str:
        queues = " ".join(f"{name}={limit}" for name, limit in self._queues.items())
        embedded = " (embedded)" if self._runtime.settings.redis_url is None else ""
        where = f"{database}, {without_password(redis_url)}{embedded}"
        return f"worker ready: {queues}; {len(actors())} actors ({', '.join(sorted(actors()))}); {where}"


def default_queues(runtime: Runtime) -> dict[str, int]:
    """Give the configured queues and those of every actor that is declared."""
    limits = declared_limits()
    declared = {spec.queue_name: limits.get(spec.queue_name, DEFAULT_LIMIT) for spec in actors().values()}
    return {**declared, **runtime.settings.queues}


def _hear(fetchers: Mapping[str, Fetcher], keeper: LeaseKeeper, pauses: PauseWatch, line: str) -> None:
    kind, _, name = line.partition(":")
    if kind == "wake" and name in fetchers:
        fetchers[name].wake()
    elif kind == "cancel":
        job_id, _, epoch = name.partition(".")
        if epoch.isdecimal():
            keeper.interrupt(job_id, int(epoch), "lost")
    elif kind in {"pause", "resume"}:
        pauses.wake()
