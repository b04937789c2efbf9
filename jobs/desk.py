"""`Desk`: what the attempts of one worker process share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from jobs.channel import LiveWriter
from jobs.database import Database
from jobs.group_commit import GroupCommit
from jobs.lease import Health, LeaseKeeper
from jobs.metering import Metering
from jobs.metrics import Metrics
from jobs.slots import GlobalLimits
from jobs.threads import Threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the attempts of one worker process share."""

    database: Database
    writes: GroupCommit
    live: LiveWriter
    keeper: LeaseKeeper
    health: Health
    metering: Metering
    limits: GlobalLimits
    worker_id: str
    #: For plain functions.
    threads: Threads
    #: Told one line for each attempt that has ended.
    announce: Callable[[str], None]
    metrics: Metrics = field(default_factory=Metrics)
