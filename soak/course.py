"""The course of a soak: a folder, the quiet phase, the storm, the rest, the verdict, and nothing left behind."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import anyio
from sqlalchemy import Connection, select

import jobs
from aquila.errors import AquilaError
from jobs import rows
from jobs.broker import runtime
from jobs.database import Database
from jobs.migrate import upgrade
from jobs.policy import leaf
from jobs.rows import Job, as_job
from jobs.settings import sync_url
from jobs.tables import jobs as rows_of_jobs
from jobs.tables import steps as steps_of_jobs
from soak import quiet, table
from soak.actors import BASE_URL, FLEET, STARTS, STEP_NAMES, STEPS
from soak.crew import LEASE, Crew, SoakError, processes_left
from soak.ledger import endings, install
from soak.leftovers import leftovers
from soak.model import Model, serving
from soak.patience import patient
from soak.plan import draw
from soak.step_calls import Step, read_calls, wrong_steps
from soak.storm import Book, Storm
from soak.verdict import Found, Verdict, examine, read_starts
from tests.job_postgres import Postgres

#: What would lead the soak to somebody's real servers.
FOREIGN = ("AQUILA_DATABASE_URL", "DATABASE_URL", "AQUILA_REDIS_URL", "REDIS_URL", "OPENAI_API_KEY")
#: Seconds between two lines of progress.
PROGRESS = 5.0


class Course:
    """One soak in one folder."""

    def __init__(self, crew: Crew, *, count: int, seed: int, limit: float) -> None:
        self._crew = crew
        self._count = count
        self._seed = seed
        self._limit = limit
        self._book = Book()
        self._measured = quiet.Measured()
        self._began = time.monotonic()
        self._phase = ""
        #: Requests that the model got, and those that it failed on purpose.
        self._asked = self._failed = 0
        self._storm = Storm(crew, self._book)
        self._left: Counter[str] = Counter()
        self._streams = 0
        self._noted = table.Noted()

    async def run(self) -> Verdict:
        """Run everything, print the table and give the verdict."""
        failure = ""
        with anyio.move_on_after(self._limit) as scope:
            try:
                async with serving() as model, anyio.create_task_group() as group:
                    os.environ[BASE_URL] = model.url
                    group.start_soon(self._report, model)
                    await self._phases(model)
                    group.cancel_scope.cancel()
            except* (AquilaError, SoakError) as errors:
                failure = repr(leaf(errors))
        if scope.cancelled_caught:
            failure = f"stopped after {self._limit:g} s, while: {self._phase}"
        verdict = await self._judge()
        verdict.unfinished += [failure] if failure else []
        seconds = time.monotonic() - self._began
        where = "PostgreSQL" if self._crew.postgres is not None else "SQLite"
        run = table.Run(self._seed, where, self._crew.repeated, self._asked, self._failed, seconds)
        say(table.render(run, self._book, verdict, self._measured, self._noted))
        return verdict

    async def _phases(self, model: Model) -> None:
        await patient(runtime().database().awrite, install)
        self._phase = f"{quiet.STREAMS} open streams in one worker"
        await quiet.hold_streams(self._crew, model, self._book, self._measured)
        storm = self._storm
        await storm.begin()
        self._phase = "quiet"
        await quiet.pick_up(self._measured)
        await quiet.throughput(self._book, self._measured)
        self._phase = "storm"
        await storm.rage(draw(self._count, self._seed, outage=self._crew.postgres is not None))
        self._phase = "waiting for the rest"
        await quiet.until_ended(list(self._book.entries))
        self._phase = "reading again"
        await storm.read_again()
        self._phase = "looking for what is left"
        self._left, self._streams = await leftovers(self._book.last_fault)
        storm.host.close()
        for worker in [*storm.workers, *storm.calm]:
            self._crew.note_if_gone(worker)
        self._asked, self._failed = model.asked, model.failed

    async def _judge(self) -> Verdict:
        database = runtime().database()
        starts = read_starts(Path(os.environ[STARTS]))
        found = Found(
            await patient(database.aread, _all_rows), starts, await patient(database.aread, endings)
        )
        undone = self._storm.host.undone
        verdict = examine(self._book, found, undone)
        calls = read_calls(_lines(Path(os.environ[STEPS])))
        ids = [job_id for job_id, entry in self._book.entries.items() if entry.kind == "steps"]
        recorded = await patient(database.aread, _all_steps)
        verdict.wrong_steps += wrong_steps(calls, recorded, product(ids, STEP_NAMES))
        self._noted = table.Noted(
            undone=len(undone),
            step_calls=sum(len(one.began) for one in calls.values()),
            steps=len(recorded),
            streams_ended=self._streams,
        )
        verdict.doubled += self._storm.host.doubled
        verdict.left += [f"{what}: {number}" for what, number in self._left.items()]
        verdict.tracebacks, verdict.deserters = self._crew.tracebacks(), self._crew.deserters
        return verdict

    async def _report(self, model: Model) -> None:
        while True:
            await anyio.sleep(PROGRESS)
            states = await patient(runtime().database().aread, rows.count_by_state)
            struck = sum(self._book.facts[fault] for fault in table.FAULTS)
            counted = ", ".join(f"{state} {number}" for state, number in sorted(states.items()))
            seconds = time.monotonic() - self._began
            say(f"{seconds:4.0f} s  {self._phase}: {counted}; {model.open} streams open, {struck} faults")


def main(count: int, seed: int, limit: float, *, postgresql: bool) -> int:
    """Run a soak; give the exit code."""
    # A polite end must clean up as well as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with place(postgresql=postgresql) as crew:
            course = Course(crew, count=count, seed=seed, limit=limit)
            verdict = anyio.run(course.run)
    except KeyboardInterrupt:
        say("interrupted; everything is stopped and removed")
        return 130
    broken = table.accuse(verdict)
    say(broken or "every promise was kept")
    return 1 if broken else 0


@contextmanager
def place(*, postgresql: bool, module: str = "soak.actors") -> Iterator[Crew]:
    """Give a crew in a new folder, with this process's jobs in it; neither survives the block.

    Args:
        postgresql: Keep the rows in a PostgreSQL of the soak's own, else in a SQLite file.
        module: What the workers run.

    Yields:
        The crew.

    Raises:
        SoakError: A process is left.
    """
    folder = Path(tempfile.mkdtemp(prefix="aquila-soak-"))
    crew = Crew(folder, folder / "state", module)
    try:
        _settle_in(folder, crew, postgresql=postgresql)
        yield crew
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            # The second Ctrl-C of an impatient user must not stop the cleaning.
            signal.signal(number, signal.SIG_IGN)
        crew.end()
        left = processes_left(folder)
        logging.shutdown()
        shutil.rmtree(folder)
    if left:
        raise SoakError(f"processes are left: {'; '.join(left)}")


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def _settle_in(folder: Path, crew: Crew, *, postgresql: bool) -> None:
    for name in FOREIGN:
        os.environ.pop(name, None)
    os.environ["AQUILA_STATE_DIR"] = str(crew.state_dir)
    if postgresql:
        crew.postgres = Postgres()
        crew.postgres.start()
        os.environ["AQUILA_DATABASE_URL"] = sync_url(crew.postgres.create_database("soak"))
        upgrade(Database(os.environ["AQUILA_DATABASE_URL"]))
    os.environ["AQUILA_CASSETTES"] = "off"
    os.environ[STARTS], os.environ[STEPS] = str(folder / "starts"), str(folder / "steps")
    # That Redis is away now and then is the point here, and no news for the terminal.
    logging.basicConfig(filename=folder / "soak.log", level=logging.WARNING)
    jobs.configure(lease=LEASE, global_limits=FLEET)
    if sys.platform != "win32":
        _allow_files()


def _allow_files() -> None:
    # Five hundred streams are as many sockets, and some systems allow 256 files.
    import resource  # noqa: PLC0415 - not everywhere

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _all_rows(connection: Connection) -> dict[str, Job]:
    return {str(row["id"]): as_job(row) for row in connection.execute(select(rows_of_jobs)).mappings()}


def _all_steps(connection: Connection) -> dict[Step, Any]:
    query = select(steps_of_jobs.c.job_id, steps_of_jobs.c.name, steps_of_jobs.c.value)
    return {(str(job_id), str(name)): value for job_id, name, value in connection.execute(query)}


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
