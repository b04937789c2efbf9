"""Every error of the jobs, in one tree below the client's.

```
JobsError                 below aquila.AquilaError
├── StorageError          the database cannot be reached, read or written
├── BrokerUnavailable     Redis does not answer
├── NotStorable           a value does not fit into the database
├── JobNotFound           no job has that id
├── Discard               an actor's own word: run this job no more
├── Snooze                an actor's own word: run it again later, at no cost
├── JobTimeout            an attempt took longer than the job's own timeout
├── BudgetExceeded        what the job or its tag may use is used up
├── JobFailed             the job was discarded: its stored error
│   └── JobCancelled      ... or cancelled
└── ResultTimeout         the job had not ended in time
```
"""

from __future__ import annotations

import math
from typing import Any

from aquila.errors import AquilaError, ConfigError


class JobsError(AquilaError):
    """The root of the errors that `jobs` adds."""


class StorageError(JobsError):
    """The database cannot be reached, read or written."""

    retryable = True


class NotStorable(JobsError):
    """A value does not fit into the database. Storing it once more does not help."""


class BrokerUnavailable(JobsError):
    """Redis does not answer. Rows are kept; a worker hands them over later."""

    retryable = True


class JobNotFound(JobsError):
    """No job has that id, or more than one begins with that prefix."""


class Discard(JobsError):
    """Raised by an actor: the job is discarded at once, with these words as the reason."""


class Snooze(JobsError):
    """Raised by an actor: the job runs again later, and this attempt costs none."""

    retryable = True

    def __init__(self, seconds: float, message: str = "", **facts: Any) -> None:
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < math.inf:
            raise ConfigError(f"Snooze({seconds!r}) takes seconds from zero")
        super().__init__(message or f"again in {seconds:g} s", **facts)
        #: Until the job is due again.
        self.seconds = float(seconds)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.seconds, str(self))


class JobTimeout(JobsError):
    """An attempt took longer than the job's `timeout`. Another attempt may be quicker."""

    retryable = True

    def __init__(self, message: str, *, seconds: float, **facts: Any) -> None:
        super().__init__(message, **facts)
        #: The job's timeout, in seconds.
        self.seconds = seconds


class BudgetExceeded(JobsError):
    """What the job, or all jobs with a tag, may use is used up; the text so far is kept."""


class JobFailed(JobsError):
    """The job has ended without a result."""

    def __init__(self, message: str, *, job_id: str, error: str = "", **facts: Any) -> None:
        super().__init__(message, **facts)
        #: The job that failed.
        self.job_id = job_id
        #: The class name of the stored error; empty if none was stored.
        self.error = error


class JobCancelled(JobFailed):
    """The job was cancelled before it ended."""


class ResultTimeout(JobsError):
    """The job had not ended when the time was up; it goes on."""

    retryable = True

    def __init__(self, message: str, *, job_id: str, seconds: float, **facts: Any) -> None:
        super().__init__(message, **facts)
        #: The job waited for.
        self.job_id = job_id
        #: The time that was given, in seconds.
        self.seconds = seconds
