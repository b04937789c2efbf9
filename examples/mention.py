"""A mention: it goes to the inbox first, and to e-mail three seconds later unless it was read by then.

Bo mentions Ada, who reads it, and Cy, who does not. From a checkout, offline, with a worker in this process:
python examples/mention.py
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import chimeway
import jobs
from chimeway.adapters import ConsoleAdapter
from jobs.broker import runtime
from jobs.worker import Worker

EMAIL = {"ada": "ada@example.com", "cy": "cy@example.com"}

chimeway.configure(
    dispatcher="dramatiq",  # deliveries are jobs; without it this process would make them itself
    channels={"email": ConsoleAdapter()},  # SmtpAdapter(...) in earnest; "in_app" is there by itself
    addresses=lambda identity, _channel: EMAIL.get(identity),
)


class MentionNotifier(chimeway.Notifier):
    """What it says is filled in when it is triggered; nothing of this class is needed later."""

    notification_key = "mention"
    in_app = chimeway.Content(text="{who} mentioned you in comment {comment_id}")
    email = chimeway.Content(
        subject="{who} mentioned you",
        text="You have not read it yet.",
        url="https://shop.example/comments/{comment_id}",
    )
    workflow = chimeway.Workflow(
        "mention-escalation",
        version=1,
        steps=[
            chimeway.Deliver(
                "inbox",
                channel="in_app",
                # Hours, in earnest. Reading it stops the run, also at the very last moment.
                rules=[chimeway.Wait(seconds=3, to="email", cancel_on=["chimeway.notification.read"])],
            ),
            chimeway.Deliver("email", channel="email"),
        ],
    )


class Base(DeclarativeBase):
    """The tables of the forum."""


class Comment(Base):
    """What somebody has written."""

    __tablename__ = "forum_comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    author: Mapped[str]
    text: Mapped[str]


@cache
def engine() -> Engine:
    """The forum's tables and those of the notifications are in one database, so that one transaction can hold both."""
    return create_engine(jobs.database_url())


def comment(author: str, text: str, mentioned: list[str]) -> chimeway.Triggered:
    with Session(engine()) as session, session.begin():
        written = Comment(author=author, text=text)
        session.add(written)
        session.flush()  # gives the comment its number
        # Commit: there is a comment, and they will be told. Rollback: neither has ever been.
        params = {"who": author, "comment_id": written.id}
        return MentionNotifier.trigger(mentioned, params, session=session)


@contextmanager
def worker() -> Iterator[None]:
    """Work in a thread of this process, as `aquila worker mention` does in one of its own."""
    running = Worker(runtime(), announce=lambda _line: None)
    running.start()
    try:
        yield
    finally:
        running.stop()


def wait_for(run_id: str, state: str) -> chimeway.Explanation:
    for _ in range(300):
        run = chimeway.explain_run(run_id)
        if run.state == state:
            return run
        threading.Event().wait(0.1)
    raise TimeoutError(f"the run is {run.state}: {run.summary}")


def show_inbox(recipient: str) -> None:
    for item in chimeway.inbox(recipient).items:
        print(f"[inbox of {recipient}: {item.content.text}]", flush=True)


def main() -> None:
    jobs.upgrade()
    Base.metadata.create_all(engine())
    triggered = comment("Bo", "Have a look, @ada and @cy", ["ada", "cy"])
    runs = {one.recipient_identity: str(one.run_id) for one in triggered.deliveries}
    with worker():
        for recipient, run_id in runs.items():
            wait_for(run_id, "waiting")
            show_inbox(recipient)
        for item in chimeway.inbox("ada").items:
            chimeway.mark_read("ada", item.notification_id)
        print("[ada reads it, cy does not]", flush=True)
        ended = {"ada": wait_for(runs["ada"], "stopped"), "cy": wait_for(runs["cy"], "completed")}
    for recipient, run in ended.items():
        print(f"\n{recipient}: {run.summary}")
        for entry in run.timeline:
            print(f"  {entry.at:%H:%M:%S} {entry.detail}")
    engine().dispose()
    jobs.close()


if __name__ == "__main__":
    main()
