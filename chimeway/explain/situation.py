"""What is known of a delivery or a run when it is explained. Values: `reading` fills them, `*_words` put them in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chimeway.carriers import DELIVERY, LLM, PREFIX, WORKFLOWS
from chimeway.models import Attempt, Delivery, Event, Notification, Signal, WorkflowRun
from chimeway.workflow import Workflow
from jobs import census
from jobs.local_time import clock_time
from jobs.rows import Job
from jobs.tables import ENDED
from jobs.waiting import own_reason


@dataclass(frozen=True, slots=True)
class Hold:
    """Why nobody takes jobs from a queue."""

    #: `queue_paused`, `no_worker` or `queue_not_served`.
    reason: str
    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Who is there to do the work."""

    #: By chimeway's clock, which rows go by.
    now: datetime
    #: By the database's clock, which jobs go by.
    jobs_now: datetime
    workers: Sequence[census.Worker]
    #: Queues that are paused, and since when.
    paused: Mapping[str, datetime]

    def hold(self, queue_name: str, actor: str) -> Hold | None:
        """Say why nobody takes an actor's jobs from a queue; None if somebody does."""
        since = self.paused.get(queue_name)
        if since is not None:
            said = f"the queue {queue_name!r} is paused since {clock_time(since, self.jobs_now)}"
            return Hold("queue_paused", said, f"run `aquila queues resume {queue_name}`")
        why = census.serves(list(self.workers), queue_name, PREFIX + actor)
        if why is None:
            return None
        sentence, _, remedy = why.partition("; ")
        return Hold("queue_not_served" if self.workers else "no_worker", sentence, remedy)

    @property
    def delivering(self) -> Hold | None:
        """Why nobody delivers."""
        return self.hold(DELIVERY, "deliver")

    @property
    def sweeping(self) -> Hold | None:
        """Why nobody sweeps."""
        return self.hold(WORKFLOWS, "sweep")

    @property
    def sweeping_itself(self) -> Hold | None:
        """Why nobody sweeps for a process that delivers itself; it may do so itself."""
        hold = self.sweeping
        if hold is None:
            return None
        remedy = f"{hold.remedy}, or call chimeway.sweep() each minute in the process that delivers"
        return Hold(hold.reason, hold.sentence, remedy)

    @property
    def writing(self) -> Hold | None:
        """Why nobody asks a model."""
        return self.hold(LLM, "write")

    def time(self, moment: datetime) -> str:
        """Give a time as people read it, in this machine's zone."""
        return clock_time(moment, self.now)


@dataclass(frozen=True, slots=True)
class Carrier:
    """The job that brings a row to where its work is done."""

    job: Job

    @property
    def ended(self) -> bool:
        """Whether it does nothing more."""
        return self.job.state in ENDED

    @property
    def runs(self) -> bool:
        """Whether a worker has it at this moment."""
        return self.job.state == "executing"

    @property
    def failure(self) -> str | None:
        """The kind of error with which it ended; its words may be about anything, and stay with the job."""
        return str(self.job.errors[-1]["error"]) if self.job.errors else None

    def own_reason(self, where: Surroundings) -> str | None:
        """Say what of the job itself keeps it from running now."""
        return own_reason(self.job, where.jobs_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A row of a run's history."""

    run_id: str
    seq: int
    from_state: str | None
    to_state: str
    step_key: str
    reason: str
    delivery_id: str | None
    signal_id: str | None
    context: Mapping[str, Any] | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What a provider said later."""

    feedback_id: str
    adapter: str
    kind: str
    state: str
    reason: str | None
    received_at: datetime
    processed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """The digest that holds a delivery."""

    bucket_id: str
    due_at: datetime
    flushed_at: datetime | None
    delivery_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutput:
    """What an LLM step of a run came to, without its text."""

    run_id: str
    step_key: str
    state: str
    created_at: datetime
    ended_at: datetime | None
    carrier: Carrier | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySituation:
    """What is known of a delivery."""

    delivery: Delivery
    event: Event
    notification: Notification
    attempts: Sequence[Attempt]
    feedback: Sequence[Feedback]
    #: The job that is to deliver it, if it has one that is there.
    carrier: Carrier | None
    bucket: Bucket | None
    #: Its workflow's run and that run's history; None and nothing outside a workflow.
    run: WorkflowRun | None
    transitions: Sequence[Transition]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSituation:
    """What is known of a run."""

    run: WorkflowRun
    event: Event
    notification: Notification
    #: None if this version cannot read it.
    definition: Workflow | None
    transitions: Sequence[Transition]
    deliveries: Sequence[DeliverySituation]
    outputs: Sequence[StepOutput]
    #: Those that moved the run, or came too late to.
    signals: Sequence[Signal]
    #: The job that moves it on when its wait is over, if it has one that is there.
    carrier: Carrier | None

    def delivery_of(self, step_key: str) -> DeliverySituation | None:
        """Give the delivery of a step."""
        return next((one for one in self.deliveries if one.delivery.step_key == step_key), None)

    def output_of(self, step_key: str) -> StepOutput | None:
        """Give what an LLM step came to."""
        return next((one for one in self.outputs if one.step_key == step_key), None)
