"""The words for how an attempt ended, as spans and metrics say them."""

from __future__ import annotations

from typing import Literal, TypeAlias

Ending: TypeAlias = Literal[
    "completed",
    # It failed, and there will be another.
    "retryable",
    # It has to wait for a provider or a budget, which costs no attempt.
    "waiting",
    "discarded",
    "cancelled",
    # It was put back: its worker stops, or could not renew the lease.
    "released",
    # Another attempt has the job.
    "stale",
    # It ended without a word, and its lease runs out.
    "abandoned",
]

#: Endings that are failures of the job's own.
FAILURES: frozenset[Ending] = frozenset({"retryable", "discarded"})
