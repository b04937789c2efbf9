"""Explanations: why a message was or was not sent, what a workflow waits for, what became of an event."""

from chimeway.explain.explaining import (
    aexplain_delivery,
    aexplain_notification,
    aexplain_run,
    explain_delivery,
    explain_notification,
    explain_run,
)
from chimeway.explain.explanation import Entry, Explanation, StepExplanation, Trace
from chimeway.explain.outcomes import OutcomeCounts, aaggregate_outcomes, aggregate_outcomes
from chimeway.explain.tracing import atrace, atraces, trace, traces

__all__ = [
    "Entry",
    "Explanation",
    "OutcomeCounts",
    "StepExplanation",
    "Trace",
    "aaggregate_outcomes",
    "aexplain_delivery",
    "aexplain_notification",
    "aexplain_run",
    "aggregate_outcomes",
    "atrace",
    "atraces",
    "explain_delivery",
    "explain_notification",
    "explain_run",
    "trace",
    "traces",
]
