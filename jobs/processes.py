"""Several worker processes under one: it starts them, passes signals on, and replaces those that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio

#: Seconds between two looks at the processes.
LOOK_EVERY = 0.1
#: Seconds until a process that died is replaced, at first and at most; doubled each time it dies young.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: A process that lives this many seconds has not died young.
OLD_ENOUGH = 30.0
#: A process that ends in an error within so many seconds never got ready.
NEVER_READY = 10.0
#: The number of a worker process, from 0, and the end of a pipe that is closed when the parent is gone.
INDEX, PARENT = "AQUILA_WORKER_INDEX", "AQUILA_WORKER_PARENT"


@dataclass(slots=True)
class _Slot:
    """One place for a process."""

    index: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = FIRST_PAUSE
    due: float = 0.0


@dataclass(slots=True)
class Processes:
    """The processes of one `aquila worker --processes N`."""

    #: The arguments of `aquila worker` for each.
    arguments: Sequence[str]
    count: int
    announce: Callable[[str], None] = print
    clock: Callable[[], float] = time.monotonic
    _slots: list[_Slot] = field(default_factory=list)
    _stopping: bool = False
    #: Whether one of them has lived long enough to show that the configuration is good.
    _proved: bool = False
    _began: float = 0.0

    async def run(self) -> int:
        """Run until a signal says to stop, or until one cannot start; give the exit code.

        The first signal asks each process to stop, the second takes its grace period away. When this process dies, its
        children stop as at the first signal.
        """
        reading, writing = os.pipe()
        try:
            return await self._supervise(reading)
        finally:
            os.close(writing)
            os.close(reading)

    async def _supervise(self, reading: int) -> int:
        self._slots = [_Slot(index) for index in range(self.count)]
        code = 0
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with anyio.create_task_group() as group:

                async def pass_on() -> None:
                    async for number in signals:
                        self._stopping = True
                        self._tell(number)

                group.start_soon(pass_on)
                while not (self._stopping and not self._living()):
                    code = self._look(reading) or code
                    await anyio.sleep(LOOK_EVERY)
                group.cancel_scope.cancel()
        return code

    def _look(self, reading: int) -> int:
        """Replace who has died; give the exit code of one that never got ready, after which all are stopped."""
        now = self.clock()
        for slot in self._slots:
            process = slot.process
            if process is not None and (code := process.poll()) is not None:
                slot.process = None
                if self._stopping:
                    continue
                if code == 1 and not self._proved and now - slot.started < NEVER_READY:
                    # It has said why: a configuration that one cannot use is of no use to the others.
                    self._stopping = True
                    self._tell(signal.SIGTERM)
                    return code
                young = now - slot.started < OLD_ENOUGH
                slot.pause = min(slot.pause * 2, LONGEST_PAUSE) if young else FIRST_PAUSE
                slot.due = now + slot.pause
                self.announce(f"worker {slot.index} ended with {code}; another starts in {slot.pause:g} s")
            elif process is not None and now - slot.started >= NEVER_READY:
                self._proved = True
            elif process is None and not self._stopping and now >= slot.due:
                slot.process, slot.started = self._spawn(slot.index, reading), now
        return 0

    def _spawn(self, index: int, reading: int) -> subprocess.Popen[bytes]:
        environment: Mapping[str, str] = {**os.environ, INDEX: str(index), PARENT: str(reading)}
        # A session of its own: Ctrl-C reaches the parent alone, which passes it on once.
        return subprocess.Popen(
            [sys.executable, "-m", "aquila.cli", "worker", *self.arguments],
            env=environment,
            pass_fds=[reading],
            start_new_session=True,
        )

    def _living(self) -> bool:
        return any(slot.process is not None and slot.process.poll() is None for slot in self._slots)

    def _tell(self, number: int) -> None:
        for slot in self._slots:
            if slot.process is not None and slot.process.poll() is None:
                slot.process.send_signal(number)


async def parent_is_gone(environ: Mapping[str, str] = os.environ) -> None:
    """Return when the process that started this worker has ended; never, if nobody supervises it."""
    if PARENT not in environ:
        await anyio.sleep_forever()
    await anyio.wait_readable(int(environ[PARENT]))
