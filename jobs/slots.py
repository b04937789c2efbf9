"""Slots: how many jobs of a queue may run at once over all workers.

One is taken before a message is fetched, bound to the job once its row is claimed, and given back when the attempt is over.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio

from jobs.database import Database
from jobs.errors import BrokerUnavailable, StorageError
from jobs.slot_store import SlotStore
from jobs.threads import on_redis
from jobs.wire import Wire

logger = logging.getLogger("jobs")


@dataclass(slots=True, eq=False)
class Slot:
    """A place for one job."""

    #: What it is called until it is bound; the same each time this place is taken.
    name: str
    #: The job it was taken for, by id and epoch.
    job: str = ""
    bound: bool = False

    @property
    def members(self) -> list[str]:
        """What it may be called in Redis."""
        return [self.name, self.job] if self.job else [self.name]


class Slots:
    """The slots of one queue that this process holds."""

    def __init__(self, store: SlotStore, worker_id: str, most: int, lease: float) -> None:
        """Prepare the slots.

        Args:
            store: Where they are taken.
            worker_id: Whose they are.
            most: How many this process can use at once.
            lease: Seconds that they are held without a sign of life.
        """
        self._store = store
        self._lease = lease
        self._free = [f"?{worker_id}.{number}" for number in range(most)]
        self._held: dict[str, Slot] = {}
        # A slot that is given back while it is being renewed would be there again, and nobody's.
        self._turn = anyio.Lock()

    async def take(self, wanted: int) -> list[Slot]:
        """Take up to `wanted` slots, no more than messages wait.

        Raises:
            BrokerUnavailable: Redis does not answer.
            StorageError: The rows are to be asked, and the database failed.
        """
        names = self._free[:wanted]
        if not names:
            return []
        count = await on_redis(self._store.acquire, names)
        taken = [Slot(name) for name in names[:count]]
        self._free = self._free[count:]
        self._held |= {slot.name: slot for slot in taken}
        return taken

    def find(self, job: str) -> Slot | None:
        """Give the slot that was taken for a job."""
        return next((slot for slot in self._held.values() if slot.job == job), None)

    async def bind(self, slot: Slot) -> bool:
        """Bind a slot to its job, whose row is claimed; False if the job must not run.

        Raises:
            BrokerUnavailable: Redis does not answer.
            StorageError: The rows are to be asked, and the database failed.
        """
        slot.bound = await on_redis(self._store.bind, slot.name, slot.job)
        return slot.bound

    async def give_back(self, slots: Sequence[Slot], *, wake: bool) -> None:
        """Give slots back; if Redis is away, they are free when their lease is up."""
        if not slots:
            return
        try:
            async with self._turn:
                members = [member for slot in slots for member in slot.members]
                await on_redis(lambda: self._store.release(members, wake=wake))
        except BrokerUnavailable as error:
            logger.warning("slots of the fleet are free after a lease: %s", error)
        finally:
            for slot in slots:
                del self._held[slot.name]
                self._free.append(slot.name)

    async def keep(self) -> None:
        """Renew what is held, three times within each lease, until cancelled."""
        while True:
            renewed = await self._renew()
            await anyio.sleep(self._lease / 3 if renewed else min(self._lease / 10, 1.0))

    async def _renew(self) -> bool:
        async with self._turn:
            members = [slot.job if slot.bound else slot.name for slot in self._held.values()]
            if not members:
                return True
            try:
                await on_redis(self._store.renew, members)
            except BrokerUnavailable as error:
                logger.warning("slots of the fleet could not be renewed: %s", error)
                return False
        return True


class GlobalLimits:
    """The slots of every queue of a worker process that has a limit for the fleet."""

    def __init__(
        self,
        wire: Wire,
        database: Database,
        *,
        worker_id: str,
        queues: Mapping[str, int],
        limits: Mapping[str, int],
        lease: float,
    ) -> None:
        """Prepare the slots; nothing is opened.

        Args:
            wire: Whose Redis holds them.
            database: Whose rows say what runs.
            worker_id: Whose they are.
            queues: Jobs at once in this process, by queue.
            limits: Jobs at once over all workers, by queue.
            lease: Seconds that a slot is held without a sign of life.
        """
        self._slots = {
            name: Slots(SlotStore(wire, database, name, limits[name], lease), worker_id, most, lease)
            for name, most in queues.items()
            if name in limits
        }

    def of(self, queue_name: str) -> Slots | None:
        """Give the slots of a queue; None if it has no limit for the fleet."""
        return self._slots.get(queue_name)

    async def admit(self, queue_name: str, job_id: str, epoch: int) -> bool:
        """Say whether an attempt may run whose row is claimed; one that may not is to be put back.

        Its slot may have been lost since: Redis was emptied, or this process was paused for longer than a lease.
        """
        slots = self.of(queue_name)
        slot = slots.find(f"{job_id}.{epoch}") if slots is not None else None
        if slots is None or slot is None:
            return True
        try:
            return await slots.bind(slot)
        except (BrokerUnavailable, StorageError) as error:
            logger.warning("job %s is put back, its slot cannot be asked for: %s", job_id, error)
            return False
