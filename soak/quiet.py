"""What is measured while nothing is broken: pick-up, throughput, and a worker with five hundred open streams."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from sqlalchemy import Connection, func, select

from jobs.broker import runtime
from jobs.tables import ENDED
from jobs.tables import jobs as rows_of_jobs
from soak.actors import STARTS, answer, square, squared, tell, touch
from soak.crew import Crew, SoakError
from soak.model import Model
from soak.patience import patient
from soak.storm import Book, Entry
from soak.verdict import read_starts

#: Streams open at once in one worker, and the lease it has unless it is told otherwise.
STREAMS, LEASE_OF_STREAMS = 500, 15.0
OPEN_WITHIN = 60.0
#: Jobs of the two other measurements.
TOUCHES, PLAIN = 100, 400
#: Seconds that suffice to send the plain ones.
DUE_AFTER = 5.0
#: Jobs that are being sent at a time.
SENDERS = 6


@dataclass(slots=True)
class Measured:
    """The figures of the quiet phase; None for what was not reached."""

    rss_mib: float | None = None
    threads: int | None = None
    #: Seconds from `send` to the actor's first line on an idle worker.
    pick_ups: list[float] = field(default_factory=list)
    plain_per_second: float | None = None


async def hold_streams(crew: Crew, model: Model, book: Book, measured: Measured) -> None:
    """Open the streams in one worker, look at it, and let them end.

    Raises:
        SoakError: They do not open.
    """
    limiter = anyio.CapacityLimiter(SENDERS)

    async def send(number: int) -> None:
        async with limiter:
            prompt = f"held-{number}"
            handle = await tell.asend(prompt, "held")
            book.entries[handle.job_id] = Entry("".join(answer(prompt)), "held")

    async with anyio.create_task_group() as group:
        for number in range(STREAMS):
            group.start_soon(send, number)
    worker = await crew.start(queues=f"llm={STREAMS}", lease=LEASE_OF_STREAMS)
    book.facts["starts"] += 1
    deadline = time.monotonic() + OPEN_WITHIN
    while model.held < STREAMS:
        if time.monotonic() > deadline:
            raise SoakError(f"only {model.held} of {STREAMS} streams are open after {OPEN_WITHIN:g} s")
        await anyio.sleep(0.1)
    measured.rss_mib, measured.threads = footprint(worker.process.pid)
    model.release()
    await until_ended(list(book.entries))
    await worker.terminate()


async def pick_up(measured: Measured) -> None:
    """Send jobs one at a time to idle workers."""
    for _ in range(TOUCHES):
        asked = time.monotonic()
        handle = await touch.asend()
        began = await handle.aresult()
        measured.pick_ups.append(began - asked)


async def throughput(book: Book, measured: Measured) -> None:
    """Make jobs due all at once, and take the time from the first start to the last end."""
    limiter = anyio.CapacityLimiter(SENDERS)
    due = time.monotonic() + DUE_AFTER
    sent: list[str] = []

    async def send(number: int) -> None:
        async with limiter:
            # A worker that was paused until all are sent could be paused while it holds the database.
            delay = max(0.0, due - time.monotonic())
            handle = await square.options(delay=delay).asend(number)
        sent.append(handle.job_id)
        book.entries[handle.job_id] = Entry(squared(number), "quiet")

    async with anyio.create_task_group() as group:
        for number in range(PLAIN):
            group.start_soon(send, number)
    await until_ended(sent)
    ended = time.monotonic()
    starts = read_starts(Path(os.environ[STARTS]))
    measured.plain_per_second = PLAIN / (ended - min(starts[job_id][0][0] for job_id in sent))


def footprint(pid: int) -> tuple[float | None, int | None]:
    """Give a process's resident memory in MiB and its number of threads, as far as the system says."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        facts = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(facts["VmRSS"].split()[0]) / 1024, int(facts["Threads"])
    said = subprocess.run(
        ["/bin/ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return (int(said.stdout) / 1024 if said.stdout.strip() else None), None


async def until_ended(job_ids: Sequence[str]) -> None:
    """Wait until the jobs have ended."""
    while await patient(runtime().database().aread, _waiting, job_ids):  # noqa: ASYNC110 - other processes end them
        await anyio.sleep(0.05)


def _waiting(connection: Connection, job_ids: Sequence[str]) -> int:
    query = select(func.count()).where(rows_of_jobs.c.id.in_(job_ids), rows_of_jobs.c.state.not_in(ENDED))
    return int(connection.execute(query).scalar_one())
