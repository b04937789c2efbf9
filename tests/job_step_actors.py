"""Actors that do things which must not be done twice; a worker imports this module as it would a user's."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import anyio
from pydantic import BaseModel

import aquila
import jobs
from aquila.retry import Retry

QUICK = Retry(min_backoff=0.001, max_backoff=0.001)


class Receipt(BaseModel):
    order: str
    cents: int


def note(path: str, word: str) -> int:
    """Leave a trace of something done; give how many there are."""
    with Path(path).open("a") as file:
        file.write(f"{word}\n")
    return len(Path(path).read_text().splitlines())


async def charge(path: str, order: str) -> Receipt:
    return Receipt(order=order, cents=await anyio.to_thread.run_sync(note, path, f"charge {order}"))


@jobs.actor(backoff=0.02, max_attempts=3)
async def sell(path: str, order: str) -> list[Any]:
    """Charge, then fail until the third attempt."""
    job = jobs.current()
    receipt = await job.step("charge", charge, path, order)
    sent = await job.step("send", note, path, f"send {order}")
    if job.attempt < 3:
        raise ValueError("the printer is off")
    return [receipt, sent, job.attempt]


@jobs.actor(backoff=0.02, max_attempts=3)
async def sell_and_hold(path: str, order: str) -> Any:
    """Charge, and hold until the file `path.go` is there."""
    job = jobs.current()
    receipt = await job.step("charge", charge, path, order)
    while not await anyio.Path(f"{path}.go").exists():  # noqa: ASYNC110 - it belongs to another process
        await anyio.sleep(0.01)
    return receipt


@jobs.actor(backoff=0.02, max_attempts=3)
async def sell_in_a_thread(path: str, order: str) -> Any:
    """Charge in a thread that goes on for a while when the attempt is over."""
    held = threading.Event()

    def slow() -> int:
        count = note(path, f"charge {order}")
        held.wait(0.3)
        return count

    job = jobs.current()
    return await job.step("charge", slow)


@jobs.actor(backoff=0.02, max_attempts=3)
async def assist(url: str, path: str) -> str:
    """Let a model charge; fail once it has answered, until the second attempt."""

    async def pay(order: str) -> str:
        receipt = await charge(path, order)
        return f"paid {receipt.order}"

    @aquila.tool(repeatable=True)
    def look() -> str:
        return f"look number {note(path, 'look')}"

    job = jobs.current()
    answer = await aquila.ask("sell it", tools=[pay, look], model="m", base_url=url, endpoint="chat")
    if job.attempt < 2:
        raise ValueError("the printer is off")
    return answer.text


@jobs.actor(backoff=0.02, max_attempts=3)
async def research(url: str, fail_until: int = 0) -> str:
    """Ask in the background; fail once the answer is there, until an attempt."""
    job = jobs.current()
    answer = await aquila.ask(
        "find out", model="m", base_url=url, endpoint="responses", background=True, retry=QUICK
    )
    if job.attempt < fail_until:
        raise ValueError("the printer is off")
    return answer.text
