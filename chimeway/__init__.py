"""Durable notifications and workflows on top of `jobs`: told in the caller's transaction, delivered, escalated, explained.

Every name is imported on first use. Using one declares the actors that deliver, so that a worker which imports the module
of a notifier has them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aquila.errors import ConfigError

if TYPE_CHECKING:
    from chimeway.approvals.deciding import Approval
    from chimeway.approvals.giving import aapprove, approve, areject, reject
    from chimeway.approvals.waiting import PendingApproval, apending_approvals, pending_approvals
    from chimeway.cancelling import Cancelled, acancel, cancel
    from chimeway.content import Content
    from chimeway.errors import (
        Bounced,
        ChimewayError,
        DeliveryError,
        FeedbackRefused,
        NotificationNotFound,
        NotifierInvalid,
        PermanentFailure,
        TemporaryFailure,
        WorkflowConflict,
    )
    from chimeway.explain import (
        Entry,
        Explanation,
        OutcomeCounts,
        StepExplanation,
        Trace,
        aaggregate_outcomes,
        aexplain_delivery,
        aexplain_notification,
        aexplain_run,
        aggregate_outcomes,
        atrace,
        atraces,
        explain_delivery,
        explain_notification,
        explain_run,
        trace,
        traces,
    )
    from chimeway.feedback import areceive_feedback, receive_feedback
    from chimeway.in_app.marks import (
        aarchive,
        amark_all_read,
        amark_read,
        amark_seen,
        archive,
        mark_all_read,
        mark_read,
        mark_seen,
    )
    from chimeway.in_app.pages import InboxItem, InboxPage, ainbox, aunread_count, inbox, unread_count
    from chimeway.message import OutgoingMessage, Receipt
    from chimeway.models import (
        Attempt,
        Delivery,
        DeliveryStatus,
        Event,
        Notification,
        Outcome,
        Record,
        RunState,
        Signal,
        WorkflowRun,
    )
    from chimeway.notifier import Notifier
    from chimeway.policy import DeliveryCap, Digest, Preference, QuietHours, Throttle
    from chimeway.pruning import Pruned, aprune, prune
    from chimeway.recipient import Recipient
    from chimeway.recipients.limits import (
        aclear_quiet_hours,
        aset_delivery_cap,
        aset_quiet_hours,
        clear_quiet_hours,
        set_delivery_cap,
        set_quiet_hours,
    )
    from chimeway.recipients.preferences import (
        Preferences,
        apreferences,
        aset_preference,
        preferences,
        set_preference,
    )
    from chimeway.recipients.signed_token import Unsubscription
    from chimeway.recipients.unsubscribing import (
        aunsubscribe,
        read_unsubscribe_token,
        unsubscribe,
        unsubscribe_token,
    )
    from chimeway.retrying import aretry, retry
    from chimeway.settings import configure
    from chimeway.signal import atrack, track
    from chimeway.sweeping import Swept, asweep, sweep
    from chimeway.tables import metadata
    from chimeway.trigger import Triggered
    from chimeway.workflow import (
        Approve,
        Ask,
        Deliver,
        Gate,
        On,
        SignalMatch,
        Stop,
        Summarise,
        Wait,
        Workflow,
        when,
    )

__all__ = [
    "Approval", "Approve", "Ask", "Attempt", "Bounced", "Cancelled", "ChimewayError", "Content", "Deliver",
    "Delivery", "DeliveryCap", "DeliveryError", "DeliveryStatus", "Digest", "Entry", "Event", "Explanation",
    "FeedbackRefused", "Gate", "InboxItem", "InboxPage", "Notification", "NotificationNotFound", "Notifier",
    "NotifierInvalid", "On", "Outcome", "OutcomeCounts", "OutgoingMessage", "PendingApproval",
    "PermanentFailure", "Preference", "Preferences", "Pruned", "QuietHours", "Receipt", "Recipient",
    "Record", "RunState", "Signal", "SignalMatch", "StepExplanation", "Stop", "Summarise", "Swept",
    "TemporaryFailure", "Throttle", "Trace", "Triggered", "Unsubscription", "Wait", "Workflow",
    "WorkflowConflict", "WorkflowRun", "aaggregate_outcomes", "aapprove", "aarchive", "acancel",
    "aclear_quiet_hours", "aexplain_delivery", "aexplain_notification", "aexplain_run", "aggregate_outcomes",
    "ainbox", "amark_all_read", "amark_read", "amark_seen", "apending_approvals", "approve", "apreferences",
    "aprune", "archive", "areceive_feedback", "areject", "aretry", "aset_delivery_cap", "aset_preference",
    "aset_quiet_hours", "asweep", "atrace", "atraces", "atrack", "aunread_count", "aunsubscribe", "cancel",
    "clear_quiet_hours", "configure", "explain_delivery", "explain_notification", "explain_run", "inbox",
    "mark_all_read", "mark_read", "mark_seen", "metadata", "pending_approvals", "preferences", "prune",
    "read_unsubscribe_token", "receive_feedback", "reject", "retry", "set_delivery_cap", "set_preference",
    "set_quiet_hours", "sweep", "trace", "traces", "track", "unread_count", "unsubscribe",
    "unsubscribe_token", "when",
]  # fmt: skip

#: Where the names live, parted by blanks. No module is called like a name it gives: importing it would put the module in the name's place.
_HOMES = {  # noqa: RUF067 - one table, which `__getattr__` reads
    "approvals.deciding": "Approval",
    "approvals.giving": "aapprove approve areject reject",
    "approvals.waiting": "PendingApproval apending_approvals pending_approvals",
    "cancelling": "Cancelled acancel cancel",
    "content": "Content",
    "errors": (
        "Bounced ChimewayError DeliveryError FeedbackRefused NotificationNotFound NotifierInvalid "
        "PermanentFailure TemporaryFailure WorkflowConflict "
    ),
    "explain": (
        "Entry Explanation OutcomeCounts StepExplanation Trace aaggregate_outcomes "
        "aexplain_delivery aexplain_notification aexplain_run aggregate_outcomes atrace atraces "
        "explain_delivery explain_notification explain_run trace traces "
    ),
    "feedback": "areceive_feedback receive_feedback",
    "in_app.marks": (
        "aarchive amark_all_read amark_read amark_seen archive mark_all_read mark_read mark_seen "
    ),
    "in_app.pages": "InboxItem InboxPage ainbox aunread_count inbox unread_count",
    "message": "OutgoingMessage Receipt",
    "models": (
        "Attempt Delivery DeliveryStatus Event Notification Outcome Record RunState Signal WorkflowRun "
    ),
    "notifier": "Notifier",
    "policy": "DeliveryCap Digest Preference QuietHours Throttle",
    "pruning": "Pruned aprune prune",
    "recipient": "Recipient",
    "recipients.limits": (
        "aclear_quiet_hours aset_delivery_cap aset_quiet_hours clear_quiet_hours set_delivery_cap "
        "set_quiet_hours "
    ),
    "recipients.preferences": "Preferences apreferences aset_preference preferences set_preference",
    "recipients.signed_token": "Unsubscription",
    "recipients.unsubscribing": "aunsubscribe read_unsubscribe_token unsubscribe unsubscribe_token",
    "retrying": "aretry retry",
    "settings": "configure",
    "signal": "atrack track",
    "sweeping": "Swept asweep sweep",
    "tables": "metadata",
    "trigger": "Triggered",
    "workflow": "Approve Ask Deliver Gate On SignalMatch Stop Summarise Wait Workflow when",
}
#: What is plain data, and needs no actors.
_PLAIN = frozenset({"errors", "models"})  # noqa: RUF067 - read by `__getattr__`


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _HOMES.items() if name in names.split()), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        if home not in _PLAIN:
            import_module("chimeway.actors")
        return getattr(import_module(f"chimeway.{home}"), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in {"aquila", "jobs", "chimeway"}:
            raise
        raise ConfigError(
            f"notifications need {missing}, which is not installed: pip install 'aquila-llm[notify]'"
        ) from error


def __dir__() -> list[str]:
    return __all__
