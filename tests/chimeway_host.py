"""A host process that is killed at one point between its commit and the sending: `python chimeway_host.py POINT KEY`."""

from __future__ import annotations

import os
import signal
import sys

import chimeway_worker  # noqa: F401 - declares and configures as workers do
from chimeway_notifiers import Both
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session

import jobs
from chimeway import store
from jobs.wire import Wire


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(point: str, key: str) -> None:
    store.database()
    engine = create_engine(jobs.database_url())
    publish = Wire.publish

    def published(wire: Wire, *args: object) -> None:
        if point == "before_publish":
            die()
        publish(wire, *args)  # type: ignore[arg-type]
        if point == "after_publish":
            die()

    Wire.publish = published  # type: ignore[method-assign, assignment]
    with Session(engine) as session:
        Both.trigger("1", {"what": key}, session=session, idempotency_key=key)
        session.flush()
        if point == "before_commit":
            die()
        if point == "in_commit":
            event.listen(engine, "commit", lambda _connection: die())
        session.commit()
        if point == "after_commit":
            die()
    signal.pause()


main(*sys.argv[1:])
