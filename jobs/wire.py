"""The wire: Dramatiq's queues in Redis, with a wake-up beside them. It can be lost without losing a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from dramatiq.errors import DecodeError

from jobs.errors import BrokerUnavailable
from jobs.publishing import ENQUEUE, Announcement, enqueue_calls, queue_of
from jobs.redis_client import connect, unavailable
from jobs.registry import PRIORITIES, ActorSpec


class Wire:
    """Hands messages to Dramatiq's queues and takes them out again.

    A message carries its job's id and the epoch of the attempt it announces, nothing else. Its id in Redis is made of
    both, so that handing a job over twice leaves one message.
    """

    def __init__(
        self, url: str, *, database_id: str, lease: float, middleware: Iterable[dramatiq.Middleware]
    ) -> None:
        """Prepare the clients; nothing is opened yet.

        Args:
            url: Redis, as redis-py writes it.
            database_id: Keeps processes on one Redis apart that serve different databases.
            lease: Seconds until a silent worker's messages go back to their queues.
            middleware: Dramatiq middleware of the host.
        """
        self.url = url
        self.namespace = f"aq:{database_id[:12]}"
        #: Where wake-ups and cancellations are published.
        self.channel = f"{self.namespace}:news"
        self.client = connect(url)
        self._enqueue = self.client.register_script(ENQUEUE)
        self._lease_ms = int(lease * 1000)
        #: Redis ids of the messages that this process has taken and not settled.
        self._taken: set[str] = set()
        #: Messages that Redis counts as taken by this process, which knows nothing of them, as of the last look.
        self._strays: set[tuple[str, str]] = set()
        self.broker = self._broker(middleware, maintenance_chance=0)
        # Dramatiq does its maintenance by chance, with other commands; this one does it whenever it is asked.
        # One id for both, so that asking is a sign of life as well.
        self._keeper = self._broker((), maintenance_chance=1_000_000)
        self._keeper.broker_id = self.broker.broker_id

    def declare(self, spec: ActorSpec) -> dramatiq.Actor[Any, Any]:
        """Give the Dramatiq actor of a declaration, registering it the first time."""
        known = self.broker.actors.get(spec.actor_name)
        if known is not None:
            return known
        return dramatiq.Actor(
            _only_in_our_worker,
            broker=self.broker,
            actor_name=spec.actor_name,
            queue_name=spec.queue_name,
            priority=spec.priority,
            options={},
        )

    def publish(self, many: Sequence[Announcement]) -> None:
        """Hand attempts over and wake the workers. Handing one over again changes nothing.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        pairs = [(said, said.message()) for said in many]
        with self.translated():
            self._emit("emit_before", pairs)
            pipe = self.client.pipeline(transaction=False)
            for arguments in enqueue_calls(pairs):
                self._enqueue(keys=[self.namespace], args=arguments, client=pipe)
            for queue_name in dict.fromkeys(said.queue_name for said in many):
                pipe.publish(self.channel, f"wake:{queue_name}")
            pipe.execute()
            self._emit("emit_after", pairs)

    def _emit(self, how: str, pairs: Sequence[tuple[Announcement, dramatiq.Message[Any]]]) -> None:
        if self.broker.middleware:
            for _, message in pairs:
                getattr(self.broker, how)("enqueue", message, None)

    def tell(self, news: str) -> None:
        """Publish a line to every worker: see `jobs.news`.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        with self.translated():
            self.client.publish(self.channel, news)

    def fetch(self, queue_name: str, limit: int) -> list[dramatiq.Message[Any]]:
        """Take up to `limit` messages, those of the first priority first.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        found: list[dramatiq.Message[Any]] = []
        try:
            with self.translated():
                for priority in PRIORITIES:
                    if len(found) < limit:
                        name = queue_of(queue_name, priority)
                        found += _decoded(self.broker.do_fetch(name, limit - len(found)))
        except BrokerUnavailable:
            # Those that came are taken all the same; nobody else would ever get them.
            if not found:
                raise
        self._taken.update(message.options["redis_message_id"] for message in found)
        return found

    def ack(self, messages: Sequence[dramatiq.Message[Any]]) -> None:
        """Drop messages that this process has taken.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        self._taken.difference_update(message.options["redis_message_id"] for message in messages)
        with self.translated():
            if len(messages) == 1:
                self.broker.do_ack(messages[0].queue_name, messages[0].options["redis_message_id"])
                return
            pipe = self.client.pipeline(transaction=False)
            for message in messages:
                self._ack_in(pipe, message)
            pipe.execute()

    def _ack_in(self, pipe: Any, message: dramatiq.Message[Any]) -> None:
        # What `do_ack` sends, which knows no pipelines.
        broker, redis_id = self.broker, message.options["redis_message_id"]
        facts = ("ack", current_millis(), message.queue_name, broker.broker_id)
        limits = (broker.heartbeat_timeout, broker.dead_message_ttl, 0, broker._max_unpack_size())  # type: ignore[no-untyped-call]  # noqa: SLF001
        broker.scripts["dispatch"](args=[*facts, *limits, redis_id], keys=[broker.namespace], client=pipe)

    def give_back(self, message: dramatiq.Message[Any]) -> None:
        """Put a message back that this process has taken and not begun.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        redis_id = message.options["redis_message_id"]
        self._taken.discard(redis_id)
        with self.translated():
            self.broker.do_requeue(message.queue_name, redis_id)

    def reclaim(self, queues: Iterable[str]) -> None:
        """Put messages back that Redis counts as taken by this process, which never got them: an answer was lost.

        A message must be a stray in two looks running: between its leaving the queue and its arrival here it is one too.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        names = [queue_of(queue_name, priority) for queue_name in queues for priority in PRIORITIES]
        with self.translated():
            pipe = self.client.pipeline(transaction=False)
            for name in names:
                pipe.smembers(f"{self.namespace}:__acks__.{self.broker.broker_id}.{name}")
            seen = {
                (name, member.decode())
                for name, members in zip(names, pipe.execute(), strict=True)
                for member in members
            }
            strays = {(name, redis_id) for name, redis_id in seen if redis_id not in self._taken}
            for name, redis_id in strays & self._strays:
                self.broker.do_requeue(name, redis_id)
        self._strays = strays - self._strays

    def missing(self, announced: Iterable[tuple[str, str]]) -> list[str]:
        """Give the message ids, out of pairs of queue and id, that Redis does not hold.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        pairs = list(announced)
        with self.translated():
            pipe = self.client.pipeline(transaction=False)
            for name, redis_id in pairs:
                pipe.hexists(f"{self.namespace}:{name}.msgs", redis_id)
            return [redis_id for (_, redis_id), there in zip(pairs, pipe.execute(), strict=True) if not there]

    def was_emptied(self) -> bool:
        """Say, once, that Redis was flushed or replaced since it was asked last.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        with self.translated():
            return bool(self.client.set(f"{self.namespace}:marker", "1", nx=True))

    def maintain(self, queues: Iterable[str]) -> None:
        """Show a sign of life, and put messages back that a dead worker had taken.

        One worker does it for all within a third of a lease: it looks through every key of the server.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        with self.translated():
            for queue_name in queues:
                # Each by itself: Dramatiq keeps in order only the queue that it is asked about, and the worker that looks
                # after one queue may not know the others.
                mark = f"{self.namespace}:maintained:{queue_name}"
                first = self.client.set(mark, "1", nx=True, px=max(1, self._lease_ms // 3))
                broker = self._keeper if first else self.broker
                for priority in PRIORITIES:
                    broker.do_qsize(queue_of(queue_name, priority))

    def ping(self) -> None:
        """Ask Redis for an answer.

        Raises:
            BrokerUnavailable: There is none.
        """
        with self.translated():
            self.client.ping()

    def close(self) -> None:
        """Close the connections."""
        self.client.close()
        self.client.connection_pool.disconnect()

    def _broker(self, middleware: Iterable[dramatiq.Middleware], *, maintenance_chance: int) -> RedisBroker:
        return RedisBroker(  # type: ignore[no-untyped-call]
            client=self.client,
            namespace=self.namespace,
            middleware=list(middleware),
            heartbeat_timeout=self._lease_ms,
            maintenance_chance=maintenance_chance,
        )

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Name cause and remedy when Redis fails inside the block.

        Raises:
            BrokerUnavailable: Redis does not answer.
        """
        try:
            yield
        except redis.RedisError as error:
            raise BrokerUnavailable(unavailable(error, self.url)) from error


def _decoded(payloads: Iterable[bytes | None]) -> Iterator[dramatiq.Message[Any]]:
    for payload in payloads:
        if payload is None:
            # Handed over twice and already done: its body is gone with the first.
            continue
        try:
            yield dramatiq.Message.decode(payload)
        except DecodeError:
            # Nobody of ours wrote it, so no row waits for it.
            continue


def _only_in_our_worker(*_: Any, **__: Any) -> NoReturn:
    raise RuntimeError(
        "this job is kept in a database: run `aquila worker` with the same modules instead of `dramatiq`"
    )
