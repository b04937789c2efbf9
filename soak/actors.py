"""What the workers run, and what each job must have for its output: known from its arguments alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import anyio

import aquila
import jobs

#: Chunks of every answer.
CHUNKS = 40
#: Where the model listens, and where each start of an actor and each call of a step is noted.
BASE_URL, STARTS, STEPS = "SOAK_BASE_URL", "SOAK_STARTS", "SOAK_STEPS"
#: Jobs at once over all workers, by queue.
FLEET = {"few": 3}
#: The steps of `advance`, and seconds behind each, in which a worker may die.
STEP_NAMES, BETWEEN_STEPS = ("first", "second"), 0.3
#: No fault of ours may use them up: a job that is discarded is a job that something else went wrong with.
ATTEMPTS = 40
#: What `stumble` says, so that its tracebacks can be told from those nobody ordered.
STUMBLE = "the first attempt fails"


if STARTS in os.environ:
    # A worker's; the soak itself configures more.
    jobs.configure(global_limits=FLEET)


def answer(prompt: str) -> list[str]:
    """Give the chunks of a prompt's answer. No two are alike, so that a gap and a repetition both show."""
    return [f"{prompt}/{number}\N{MIDDLE DOT} " for number in range(CHUNKS)]


def squared(number: int) -> str:
    """Give the output of `square` and `stumble`."""
    return f"{number} squared is {number * number}"


def note_start() -> float:
    """Note which job starts, in which process, and when, which it gives: the row keeps the last start only."""
    now = time.monotonic()
    _note(STARTS, jobs.current().id, os.getpid(), now)
    return now


def _note(where: str, *words: object) -> None:
    with Path(os.environ[where]).open("ab", buffering=0) as file:
        file.write(f"{' '.join(map(str, words))}\n".encode())


@jobs.actor(queue_name="llm", max_attempts=ATTEMPTS, backoff=0.2)
async def tell(prompt: str, model: str = "steady") -> str:
    """Stream an answer."""
    note_start()
    async with aquila.stream(prompt, model=model, base_url=os.environ[BASE_URL], retry=0) as stream:
        return "".join([text async for text in stream.text])


@jobs.actor(max_attempts=ATTEMPTS, backoff=0.2)
def square(number: int, seconds: float = 0.0) -> str:
    """Work in a thread."""
    note_start()
    time.sleep(seconds)
    return squared(number)


@jobs.actor(max_attempts=ATTEMPTS, backoff=0.2)
def stumble(number: int) -> str:
    """Fail at the first attempt.

    Raises:
        ValueError: It is the first attempt.
    """
    note_start()
    if jobs.current().attempt == 1:
        raise ValueError(STUMBLE)
    return squared(number)


@jobs.actor
async def touch() -> float:
    """Say when it began, on the clock that all processes of a machine share."""
    return time.monotonic()


@jobs.actor(queue_name="calm", max_attempts=ATTEMPTS, backoff=0.2)
async def stay(number: int, seconds: float) -> str:
    """Run for longer than several leases."""
    note_start()
    await anyio.sleep(seconds)
    return squared(number)


@jobs.actor(queue_name="few", max_attempts=ATTEMPTS, backoff=0.2)
async def advance(number: int) -> str:
    """Go step by step, and note each call of a step and what the step gave."""
    job, began = jobs.current(), note_start()

    def work(name: str) -> float:
        _note(STEPS, "called", job.id, name, began, time.monotonic())
        return began

    async def work_on_the_loop(name: str) -> float:
        return work(name)

    for name, function in zip(STEP_NAMES, (work, work_on_the_loop), strict=True):
        value = await job.step(name, function, name)
        _note(STEPS, "given", job.id, name, value, time.monotonic())
        await anyio.sleep(BETWEEN_STEPS)
    return squared(number)
