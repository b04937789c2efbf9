"""The postman: hands jobs over as soon as the transaction of a host's that added them is over.

The host's commit only drops its transaction, which wakes a thread of this process. The thread looks the jobs up in their
database: those that are there were committed, the others were rolled back. What it misses, because the process was killed
or Redis is away, the workers' relay hands over.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from sqlalchemy import Transaction

from aquila.errors import AquilaError
from jobs.commit_watch import CommitWatch
from jobs.database import Database
from jobs.relay import relay_added
from jobs.wire import Wire

logger = logging.getLogger("jobs")


class Postman:
    """Watches the transactions that added jobs, with a thread that is there while one is open."""

    def __init__(self, database: Callable[[], Database], wire: Callable[[], Wire]) -> None:
        """Prepare the postman; no thread is started yet.

        Args:
            database: Gives where the jobs are.
            wire: Gives where they go; may take long the first time.
        """
        self._database = database
        self._wire = wire
        self._commits: CommitWatch[str] = CommitWatch(self._hand_over, name="aquila-postman")

    def watch(self, transaction: Transaction, job_ids: Sequence[str]) -> None:
        """Hand jobs over when a transaction is over, if it has added them by then.

        Args:
            transaction: The outermost one of the host's connection.
            job_ids: The jobs, which are due now.
        """
        self._commits.watch(transaction, job_ids)

    def close(self) -> None:
        """Hand over what was committed, and end the thread. Jobs of open transactions are left to the workers."""
        self._commits.close()

    def _hand_over(self, job_ids: Sequence[str]) -> None:
        try:
            relay_added(self._database(), self._wire, job_ids)
        except AquilaError as error:
            logger.warning("%d jobs: kept, and will be handed over by a worker: %s", len(job_ids), error)
