"""A shop: an order and its job are one transaction, the card is charged once, and a thank-you note is streamed live.

The first parcel comes back, so the job runs twice. From a checkout, offline, with a worker that it starts itself:
AQUILA_CASSETTES=none AQUILA_CASSETTE_DIR=cassettes python examples/shop.py
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import anyio
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import aquila
import jobs
from aquila.settings import read_settings


class Base(DeclarativeBase):
    """The shop's tables."""


class Order(Base):
    """What somebody has bought."""

    __tablename__ = "shop_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    state: Mapped[str] = mapped_column(default="new")


class Payment(Base):
    """What the payment provider was asked for."""

    __tablename__ = "shop_payments"
    id: Mapped[int] = mapped_column(primary_key=True)
    idempotency_key: Mapped[str]


@cache
def engine() -> Engine:
    """The shop's tables and those of the jobs are in one database, so that one transaction can hold both."""
    return create_engine(jobs.database_url())


def charge(order_id: int, idempotency_key: str) -> str:
    """Stand for the payment provider, which keeps what it was asked."""
    with Session(engine()) as session, session.begin():
        session.add(Payment(idempotency_key=idempotency_key))
    return f"receipt {order_id}"


def hand_to_courier(attempt: int) -> str:
    if attempt == 1:
        raise ConnectionError("the courier did not answer")
    return "parcel 1Z-77"


@jobs.actor(queue_name="shop", max_attempts=3, backoff=0.1, cassette="examples/shop")
async def fulfil(order_id: int) -> dict[str, str]:
    job = jobs.current()
    item = await anyio.to_thread.run_sync(item_of, order_id)
    receipt = await job.step("charge", charge, order_id, job.step_key("charge"))
    await job.progress(paid=receipt)
    answer = await aquila.ask(
        f"Write one sentence that thanks a customer for buying {item}.",
        model="local",
        temperature=0,
        max_output_tokens=40,
    )
    parcel = await job.step("ship", hand_to_courier, job.attempt)
    return {"receipt": receipt, "parcel": parcel, "note": answer.text}


def item_of(order_id: int) -> str:
    with Session(engine()) as session:
        order = session.get(Order, order_id)
    if order is None or order.state == "cancelled":
        raise jobs.Discard(f"order {order_id} is not wanted any more")
    return order.item


def buy(item: str) -> jobs.JobHandle:
    with Session(engine()) as session, session.begin():
        order = Order(item=item)
        session.add(order)
        session.flush()  # gives the order its number
        # Commit: there is an order, and its job will run. Rollback: neither has ever been.
        return jobs.enqueue(session, fulfil.options(unique=f"order-{order.id}").message(order.id))


@contextmanager
def worker() -> Iterator[None]:
    """Run `aquila worker shop` in this folder, as you would in a second terminal."""
    command = [sys.executable, "-m", "aquila.cli", "worker", "shop", "--queues", "shop=5"]
    # Its log has the traceback of the first attempt.
    with (read_settings().state_dir / "shop.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


async def watch(handle: jobs.JobHandle) -> None:
    with anyio.fail_after(60):
        async with jobs.follow(handle.job_id) as events:
            await tell(events)


async def tell(events: AsyncIterable[jobs.JobEvent]) -> None:
    async for event in events:
        match event.type:
            case "attempt":
                print(f"\n[attempt {event.attempt}]", flush=True)
            case "chunk":
                print(event.text, end="", flush=True)
            case "retry":
                print(f"\n[{event.data['message']}; again in {event.data['delay']:.1f} s]", flush=True)
            case _:
                pass


def main() -> None:
    jobs.upgrade()
    Base.metadata.create_all(engine())
    handle = buy("a brass lantern")
    with worker():
        anyio.run(watch, handle)
        result = handle.result(timeout=30)
    with Session(engine()) as session:
        key = f"{handle.job_id}:charge"
        payments = session.scalar(select(func.count()).where(Payment.idempotency_key == key))
    attempts = handle.job().attempt
    print(f"\n[{result['receipt']}, {result['parcel']}: {attempts} attempts, charged {payments} time]")
    engine().dispose()
    jobs.close()


if __name__ == "__main__":
    main()
