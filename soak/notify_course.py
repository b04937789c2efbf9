"""The course of a soak of notifications: a folder, the storm, the rest, the verdict, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import anyio

from aquila.errors import AquilaError
from chimeway import store
from chimeway.explain.explaining import aexplain_delivery
from jobs.broker import runtime
from jobs.policy import leaf
from soak import notify_table as table
from soak.calls import read_calls
from soak.course import place, say
from soak.crew import Crew, SoakError
from soak.notifiers import FOLDER, SECRET, SEED
from soak.notify_rows import Stored, count_done, count_open, read_stored
from soak.notify_storm import Storm
from soak.notify_verdict import Books, Verdict, examine
from soak.patience import patient

#: Seconds between two lines of progress.
PROGRESS = 5.0
#: Open runs, as a part of all, at which the workers are left alone.
NEARLY = 0.05
#: Seconds for the last jobs to end when every row is.
SETTLES = 3.0
#: Deliveries that are explained at the end.
EXPLAINED = 100


class Course:
    """One soak in one folder."""

    def __init__(self, crew: Crew, *, count: int, seed: int, limit: float) -> None:
        self._crew, self._count, self._seed, self._limit = crew, count, seed, limit
        self._storm = Storm(crew, count, seed)
        self._began = time.monotonic()

    async def run(self) -> Verdict:
        """Run everything, print the table and give the verdict."""
        failure = ""
        with anyio.move_on_after(self._limit) as scope:
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._report)
                    await self._phases()
                    group.cancel_scope.cancel()
            except* (AquilaError, SoakError) as errors:
                failure = repr(leaf(errors))
        if scope.cancelled_caught:
            failure = f"stopped after {self._limit:g} s"
        self._storm.end()
        verdict = await self._judge()
        verdict.accuse("soak", [failure] if failure else [])
        return verdict

    async def _phases(self) -> None:
        storm = self._storm
        # The tables are made before several processes would make them at once.
        await patient(runtime().database().aread, lambda _: None)
        await store.aread(count_open)
        await storm.begin()
        async with anyio.create_task_group() as group:
            group.start_soon(storm.rage)
            group.start_soon(storm.move_clock)
            await self._until(NEARLY * self._count)
            storm.calm_down()
            await self._until(0)
            group.cancel_scope.cancel()
        await anyio.sleep(SETTLES)
        for worker in storm.workers:
            self._crew.note_if_gone(worker)

    async def _until(self, few: float) -> None:
        while True:
            # First the hosts: what they add last is counted then.
            done = self._storm.hosts_done() or (few > 0 and self._given())
            found = await patient(store.aread, count_open)
            if done and found["runs"] <= few and (few > 0 or not +found):
                return
            await anyio.sleep(0.5)

    def _given(self) -> bool:
        books = [self._crew.folder / f"host-{number}" for number in range(len(self._storm.hosts))]
        return all(book.exists() and '"given"' in book.read_text()[-100_000:] for book in books)

    async def _report(self) -> None:
        while True:
            await anyio.sleep(PROGRESS)
            self._storm.look()
            done = await patient(store.aread, count_done)
            left = await patient(store.aread, count_open)
            said = ", ".join(f"{status} {number}" for status, number in sorted(done.items()))
            rest = ", ".join(f"{number} {what}" for what, number in sorted(left.items()) if number)
            say(f"{time.monotonic() - self._began:4.0f} s  {said}; open: {rest}")

    async def _judge(self) -> Verdict:
        stored = await patient(store.aread, read_stored)
        calls = read_calls(_lines(self._crew.folder / "calls"))
        storm, books = self._storm, self._books()
        verdict = examine(stored, calls, books, storm.clock.moves, storm.facts.kills)
        logs = [*(worker.log for worker in self._crew.workers), *(host.log for host in storm.hosts)]
        texts = {log.name: log.read_text(errors="replace") for log in logs}
        verdict.accuse("not sent and not explained", await _unexplained(stored))
        verdict.accuse("content in a log", [name for name, said in texts.items() if SECRET in said])
        verdict.accuse("traceback", self._crew.tracebacks())
        failed = [host for host in storm.hosts if host.process.returncode]
        verdict.accuse("traceback", [f"{host.log.name}: {texts[host.log.name][-300:]}" for host in failed])
        verdict.accuse("process ended by itself", self._crew.deserters)
        begun = [at for one in calls.values() for begins in one.begun.values() for at, _ in begins]
        run = table.Run(
            self._seed,
            "PostgreSQL" if self._crew.postgres is not None else "SQLite",
            len(stored.notifications),
            sum(said.count("once more:") for said in texts.values()),
            time.monotonic() - self._began,
            max(begun, default=0.0) - min(begun, default=0.0),
        )
        say(table.render(run, storm.facts, verdict))
        return verdict

    def _books(self) -> Books:
        books = Books()
        for number in range(len(self._storm.hosts)):
            for line in _lines(self._crew.folder / f"host-{number}"):
                books.take(json.loads(line))
        return books


def main(count: int, seed: int, limit: float, *, postgresql: bool) -> int:
    """Run a soak; give the exit code."""
    # A polite end must clean up as well as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ[SEED] = str(seed)
    try:
        with place(postgresql=postgresql, module="soak.notifiers") as crew:
            os.environ[FOLDER] = str(crew.folder)
            course = Course(crew, count=count, seed=seed, limit=limit)
            verdict = anyio.run(course.run)
    except KeyboardInterrupt:
        say("interrupted; everything is stopped and removed")
        return 130
    broken = table.accuse(verdict)
    say(broken or "every promise was kept")
    return 1 if broken else 0


async def _unexplained(stored: Stored) -> list[str]:
    """Give deliveries that did not go out and of which nothing is said, or something that should not be."""
    found = []
    for one in [row for row in stored.deliveries.values() if row.status != "succeeded"][:EXPLAINED]:
        said = await patient(aexplain_delivery, one.id)
        if not (said.summary and said.reason) or SECRET in str(said.to_dict()):
            found.append(f"{one.step_key} {one.id} ({one.status}, {one.reason}): {said.summary!r}")
    return found


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
