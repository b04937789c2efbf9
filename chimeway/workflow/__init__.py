"""Workflows as values: how they are declared, and what a run of one does next. Nothing here does I/O or reads a clock."""

from chimeway.workflow.advance import advance
from chimeway.workflow.conditions import when
from chimeway.workflow.definition import Workflow
from chimeway.workflow.rules import On, Stop, Wait
from chimeway.workflow.signal_match import SignalMatch
from chimeway.workflow.steps import Approve, Ask, Deliver, Gate, Summarise

__all__ = [
    "Approve",
    "Ask",
    "Deliver",
    "Gate",
    "On",
    "SignalMatch",
    "Stop",
    "Summarise",
    "Wait",
    "Workflow",
    "advance",
    "when",
]
