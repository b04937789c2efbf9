"""For tests of explanations: states of deliveries, each produced by what really leads to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chimeway_notifiers import MovedClock, Recorder, told
from sqlalchemy import delete, select, update

import chimeway
from chimeway import carriers, store
from chimeway.adapters.base import ProviderFeedback
from chimeway.dispatch.claiming import claim
from chimeway.dispatch.performing import perform_sync
from chimeway.engine.progress import progress_run
from chimeway.feedback import receive_feedback
from chimeway.feedback_processing import process
from chimeway.planning import delivering_here
from chimeway.recipients.limits import set_quiet_hours
from chimeway.rows import get_delivery, get_run
from chimeway.tables import deliveries, runs
from jobs import census, rows
from jobs.tables import jobs as job_rows

SECRET, ADDRESS = "the-secret-word", "ada@example.com"


class Provider(Recorder):
    """An adapter whose provider posts what became of its messages."""

    def verify_feedback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> list[ProviderFeedback]:
        return [ProviderFeedback(**json.loads(body))]


class Note(chimeway.Notifier):
    notification_key = "explained.note"
    category = "news"
    channels = ("email",)
    email = chimeway.Content(subject="{word}", text="{word}")


class Unread(Note):
    notification_key = "explained.unread"
    channels = ("in_app", "email")
    only_unread = ("email",)
    in_app = chimeway.Content(text="{word}")


class Throttled(Note):
    notification_key = "explained.throttled"
    throttle = chimeway.Throttle(1, 3600)


class Digested(Note):
    notification_key = "explained.digested"
    digest = chimeway.Digest(minutes=30)


class Written(Note):
    notification_key = "explained.written"
    email = chimeway.Content(subject="{word}", prompt="Write about {word}.")


class Once(Note):
    notification_key = "explained.once"
    max_attempts = 1


class Escalating(chimeway.Notifier):
    notification_key = "explained.escalating"
    in_app = chimeway.Content(text="{word}")
    email = chimeway.Content(subject="{word}", text="{word}")
    sms = chimeway.Content(text="{word}")
    workflow = chimeway.Workflow(
        "explained.escalating",
        steps=[
            chimeway.Deliver(
                "inbox",
                channel="in_app",
                rules=[
                    chimeway.Stop("bounced"),
                    chimeway.Wait(
                        hours=2,
                        to="email",
                        cancel_on=["chimeway.notification.read"],
                        on_signal={"answered": "thanks"},
                    ),
                ],
            ),
            chimeway.Deliver("email", channel="email", rules=[chimeway.On("permanent_failure", to="sms")]),
            chimeway.Deliver(
                "sms",
                channel="sms",
                when=chimeway.when("params.urgent"),
                rules=[chimeway.On("skipped", to="thanks")],
            ),
            chimeway.Deliver("thanks", channel="in_app"),
        ],
    )
    thanks = chimeway.Content(text="{word}")


class Drafted(chimeway.Notifier):
    notification_key = "explained.drafted"
    draft = chimeway.Content(prompt="Write about {word}.")
    email = chimeway.Content(subject="news", text_from="draft")
    workflow = chimeway.Workflow(
        "explained.drafted",
        steps=[
            chimeway.Ask("draft", rules=[chimeway.On("written", to="check"), chimeway.Stop("failed")]),
            chimeway.Approve("check", of="draft", rules=[chimeway.On("approved", to="email")]),
            chimeway.Deliver("email", channel="email"),
        ],
    )


@dataclass
class Stand:
    """Where states are produced: the clock, the adapter, and workers that are said to be there."""

    clock: MovedClock = field(default_factory=MovedClock)
    email: Provider = field(default_factory=lambda: Provider("provider"))
    count: int = 0

    def someone(self) -> str:
        self.count += 1
        return f"person-{self.count}"

    def sent(self, notifier: type[chimeway.Notifier] = Note, who: str | None = None, **params: Any) -> str:
        """Trigger, and give the id of the last delivery."""
        planned = notifier.trigger(self.recipient(who), {"word": SECRET, **params}).deliveries
        return planned[-1].delivery_id

    def recipient(self, who: str | None = None) -> chimeway.Recipient:
        return chimeway.Recipient(who or self.someone(), addresses={"email": ADDRESS})

    def tried(self, error: Exception | None = None, *, times: int = 1, **options: Any) -> str:
        """Deliver, with an error at each attempt if one is given."""
        delivery_id = self.sent(**options)
        for _ in range(times):
            self.email.errors = [error] if error else []
            perform_sync(delivery_id)
            self.email.errors = []
            self.clock.advance(hours=1.1)
        return delivery_id

    def left_by_its_process(self) -> str:
        """Do what a process does that delivers itself and dies between its commit and the first delivery."""
        with delivering_here():
            return self.sent()

    def escalated(self, who: str) -> str:
        """Let a workflow go on to its e-mail because nothing happened; give its run."""
        inbox = self.sent(Escalating, who=who)
        perform_sync(inbox)
        self.clock.advance(hours=3)
        run_id = self.now(inbox).run_id
        assert run_id is not None
        self.progress(run_id)
        return run_id

    def progress(self, run_id: str) -> str:
        return store.write(progress_run, run_id, self.clock.now()).reason

    def steps(self, run_id: str) -> dict[str, str]:
        """Give a run's deliveries by their steps."""
        query = select(deliveries.c.step_key, deliveries.c.id).where(deliveries.c.run_id == run_id)
        return dict(store.read(lambda connection: [(str(k), str(v)) for k, v in connection.execute(query)]))

    def run_of(self, notification_id: str) -> str:
        query = select(runs.c.id).where(runs.c.notification_id == notification_id)
        return str(store.read(lambda connection: connection.execute(query).scalar_one()))

    def notification_of(self, run_id: str) -> str:
        return store.read(get_run, run_id).notification_id

    def claimed(self, delivery_id: str) -> str:
        store.write(claim, delivery_id, self.clock.now(), lease=lambda _channel: 60.0)
        return delivery_id

    def says(self, delivery_id: str, kind: str) -> None:
        """Let the provider say something of a delivery."""
        body = json.dumps({"provider_event_id": rows.new_id(), "kind": kind, "delivery_id": delivery_id})
        for one in receive_feedback("provider", {}, body.encode()):
            store.write(process, one, self.clock.now())

    def now(self, delivery_id: str) -> chimeway.Delivery:
        return store.read(get_delivery, delivery_id)

    @contextmanager
    def worker(self, *queues: str) -> Iterator[None]:
        """Say for a block that a worker is there that serves queues; nobody works."""
        store.write(census.enrol, "worker", dict.fromkeys(queues, 1), 600.0)
        try:
            yield
        finally:
            store.write(census.strike, "worker")

    def all_queues(self) -> Any:
        return self.worker(*carriers.QUEUES, carriers.LLM)


@contextmanager
def a_stand(**options: Any) -> Iterator[Stand]:
    stand = Stand()
    with told(
        **{"dispatcher": "dramatiq", "channels": {"email": stand.email}, "clock": stand.clock, **options}
    ):
        yield stand


def lose_job(job_id: str | None) -> None:
    """Remove a job's row, as a pruner does."""
    store.write(lambda connection: connection.execute(delete(job_rows).where(job_rows.c.id == job_id)))


def end_job(job_id: str | None) -> None:
    """Let a job be discarded, as it is when its worker is lost."""
    failed = [{"attempt": 1, "at": "", "error": "WorkerLost", "message": SECRET}]
    changed = update(job_rows).where(job_rows.c.id == job_id).values(state="discarded", errors=failed)
    store.write(lambda connection: connection.execute(changed))


def quiet(stand: Stand, who: str) -> None:
    """Let it be a recipient's quiet hours now."""
    now = stand.clock.now()
    hours = (now - timedelta(hours=1), now + timedelta(hours=1))
    start, end = (f"{moment:%H:%M}" for moment in hours)
    set_quiet_hours(who, start, end, "UTC")
