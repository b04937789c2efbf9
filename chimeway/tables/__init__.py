"""The tables. The rows own every state; jobs only carry ids to where the work is done."""

from chimeway.tables.columns import metadata
from chimeway.tables.notifications import attempts, deliveries, events, fanouts, feedback, notifications
from chimeway.tables.recipients import digest_buckets, preferences, recipient_settings
from chimeway.tables.workflows import definitions, run_waits, runs, signals, step_outputs, transitions

__all__ = [
    "attempts",
    "definitions",
    "deliveries",
    "digest_buckets",
    "events",
    "fanouts",
    "feedback",
    "metadata",
    "notifications",
    "preferences",
    "recipient_settings",
    "run_waits",
    "runs",
    "signals",
    "step_outputs",
    "transitions",
]
