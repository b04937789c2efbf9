"""The commands `aquila worker`, `aquila jobs`, `aquila queues` and `aquila db`."""

from jobs.cli.db import app as db_app
from jobs.cli.jobs import app as jobs_app
from jobs.cli.queues import app as queues_app
from jobs.cli.worker import app as worker_app

__all__ = ["db_app", "jobs_app", "queues_app", "worker_app"]
