"""The policy: whether a delivery may go out, as decisions over facts. Nothing here reads a clock or a database."""

from chimeway.policy.deciding import Checkpoint, Decision, Defer, Proceed, Reason, Suppress, decide
from chimeway.policy.digest_window import Digest, group_of, window_of
from chimeway.policy.facts import SILENT_CHANNELS, CancellingSignal, PolicyFacts
from chimeway.policy.preference import Preference, category_preference, channel_preference
from chimeway.policy.quiet_hours import QuietHours, defer_until
from chimeway.policy.throttle import DeliveryCap, Throttle

__all__ = [
    "CancellingSignal",
    "Checkpoint",
    "Decision",
    "Defer",
    "DeliveryCap",
    "Digest",
    "PolicyFacts",
    "Preference",
    "Proceed",
    "QuietHours",
    "Reason",
    "SILENT_CHANNELS",
    "Suppress",
    "Throttle",
    "category_preference",
    "channel_preference",
    "decide",
    "defer_until",
    "group_of",
    "window_of",
]
