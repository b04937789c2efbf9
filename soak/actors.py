"""What the workers run, and what each job must have for its output: known from its arguments alone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import aquila
import jobs

#: Chunks of every answer.
CHUNKS = 40
#: Where the model listens, and where each start of an actor is noted.
BASE_URL, STARTS = "SOAK_BASE_URL", "SOAK_STARTS"
#: No fault of ours may use them up: a job that is discarded is a job that something else went wrong with.
ATTEMPTS = 40
#: What `stumble` says, so that its tracebacks can be told from those nobody ordered.
STUMBLE = "the first attempt fails"


def answer(prompt: str) -> list[str]:
    """Give the chunks of a prompt's answer. No two are alike, so that a gap and a repetition both show."""
    return [f"{prompt}/{number}\N{MIDDLE DOT} " for number in range(CHUNKS)]


def squared(number: int) -> str:
    """Give the output of `square` and `stumble`."""
    return f"{number} squared is {number * number}"


def note_start() -> None:
    """Note which job starts, in which process, and when: the row keeps the last start only."""
    line = f"{jobs.current().id} {os.getpid()} {time.monotonic()}\n"
    with Path(os.environ[STARTS]).open("ab", buffering=0) as file:
        file.write(line.encode())


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
