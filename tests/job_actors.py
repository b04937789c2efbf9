"""Actors that the tests of the jobs send; a worker imports this module as it would a user's."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
from pydantic import BaseModel

import aquila
import jobs
from aquila.errors import BadRequestError, RateLimitError


class Invoice(BaseModel):
    number: str
    total: float


@jobs.actor
async def add(a: int, b: int) -> int:
    return a + b


@jobs.actor
def shout(word: str) -> str:
    time.sleep(0.02)
    return word.upper()


@jobs.actor(queue_name="llm", backoff=0.05)
async def tell(prompt: str) -> str:
    return (await aquila.ask(prompt, model="m", retry=0)).text


@jobs.actor(queue_name="llm")
async def tell_without_a_word() -> None:
    await aquila.ask("hello", model="m", retry=0)


@jobs.actor
async def pay(invoice: Invoice, *, others: list[Invoice] | None = None) -> Invoice:
    assert isinstance(invoice, Invoice)
    assert others is None or all(isinstance(other, Invoice) for other in others)
    return invoice.model_copy(update={"total": invoice.total + sum(other.total for other in others or [])})


@jobs.actor(backoff=0.05, max_attempts=3)
async def fail_times(path: str, times: int) -> str:
    with Path(path).open("a") as file:  # noqa: ASYNC230 - one line
        file.write("x")
    tried = len(Path(path).read_text())  # noqa: ASYNC240 - one line
    if tried <= times:
        raise ValueError(f"no luck at try {tried}")
    return f"done at try {tried}"


@jobs.actor
async def refuse() -> None:
    raise BadRequestError("the prompt is wrong", status_code=400)


@jobs.actor
async def wait_a_moment() -> None:
    raise RateLimitError("slow down", status_code=429, retry_after=30.0)


@jobs.actor(max_attempts=3)
async def hold(path: str) -> str:
    """Note the attempt, then wait until the file is removed."""
    job = jobs.current()
    await job.progress(**{f"attempt {job.attempt}": "began"})
    mark = anyio.Path(path)
    while await mark.exists():  # noqa: ASYNC110 - it belongs to another process
        await anyio.sleep(0.01)
    return f"attempt {job.attempt}"


@jobs.actor(max_attempts=2)
def hold_a_thread(path: str) -> str:
    while Path(path).exists():
        time.sleep(0.01)
    return "let go"


@jobs.actor
async def leave() -> None:
    raise SystemExit(3)
