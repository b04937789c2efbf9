"""What must not be left when every job has ended: attempts, leases, messages, places, streams without an end."""

from __future__ import annotations

import time
from collections import Counter

import anyio
from anyio import to_thread
from sqlalchemy import Connection, func, or_, select

from jobs.broker import runtime
from jobs.live import fence_key
from jobs.sqltypes import db_now
from jobs.tables import ENDED
from jobs.tables import jobs as rows
from soak.actors import FLEET
from soak.crew import LEASE
from soak.patience import patient

#: Seconds for the workers to put the wire in order.
WITHIN = 8 * LEASE
#: Seconds behind the last fault after which a stream must have been told its end.
RECOVERED = 2 * LEASE


async def leftovers(last_fault: float) -> tuple[Counter[str], int]:
    """Wait until nothing is left; give what is left all the same, and how many streams were looked at.

    Args:
        last_fault: When something was struck last, on the monotonic clock.
    """
    give_up = time.monotonic() + WITHIN
    while True:
        in_rows = await patient(runtime().database().aread, _in_rows)
        found = +(in_rows + await to_thread.run_sync(_on_the_wire))
        if not found or time.monotonic() > give_up:
            break
        await anyio.sleep(0.2)
    ended = await patient(runtime().database().aread, _ended_after, time.monotonic() - last_fault - RECOVERED)
    found["streams without an end"] += await to_thread.run_sync(_open_streams, ended)
    return +found, len(ended)


def _in_rows(connection: Connection) -> Counter[str]:
    query = select(func.count()).where(or_(rows.c.state.not_in(ENDED), rows.c.lease_until.is_not(None)))
    return Counter({"rows that run, wait or have a lease": connection.execute(query).scalar_one()})


def _on_the_wire() -> Counter[str]:
    wire = runtime().wire()
    client, found = wire.client, Counter[str]()
    for key in client.scan_iter(f"{wire.namespace}:*", count=1000):
        name = key.decode().removeprefix(f"{wire.namespace}:")
        if name.endswith(".msgs"):
            found["messages"] += client.hlen(key)
        elif name.startswith("__acks__"):
            found["messages that a worker has"] += client.scard(key)
    seconds, micros = client.time()
    for queue_name in FLEET:
        now = 1000 * seconds + micros // 1000
        # The mark of the server is no place.
        found["places"] += client.zcount(f"{wire.namespace}:slots:{queue_name}", now, "(inf")
    return found


def _ended_after(connection: Connection, seconds: float) -> list[str]:
    return list(connection.scalars(select(rows.c.id).where(rows.c.ended_at > db_now(-seconds))))


def _open_streams(job_ids: list[str]) -> int:
    pipe = runtime().wire().client.pipeline(transaction=False)
    for job_id in job_ids:
        pipe.hget(fence_key(job_id), "ended")
    return sum(ended != b"1" for ended in pipe.execute())
