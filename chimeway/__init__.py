"""Durable notifications and workflows on top of `jobs`: told in the caller's transaction, delivered, escalated, explained.

Every name is imported on first use. Using one declares the actors that deliver, so that a worker which imports the module
of a notifier has them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from aquila.errors import ConfigError

if TYPE_CHECKING:
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
    from chimeway.policy import Digest, Throttle
    from chimeway.recipient import Recipient
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

#: Where each name lives. No module is called like a name it gives: importing it would put the module in the name's place.
_HOMES = {  # noqa: RUF067 - one table, which `__getattr__` reads
    "content": ("Content",),
    "errors": (
        "Bounced",
        "ChimewayError",
        "DeliveryError",
        "FeedbackRefused",
        "NotificationNotFound",
        "NotifierInvalid",
        "PermanentFailure",
        "TemporaryFailure",
        "WorkflowConflict",
    ),
    "message": ("OutgoingMessage", "Receipt"),
    "models": (
        "Attempt",
        "Delivery",
        "DeliveryStatus",
        "Event",
        "Notification",
        "Outcome",
        "Record",
        "RunState",
        "Signal",
        "WorkflowRun",
    ),
    "notifier": ("Notifier",),
    "policy": ("Digest", "Throttle"),
    "recipient": ("Recipient",),
    "settings": ("configure",),
    "signal": ("atrack", "track"),
    "sweeping": ("Swept", "asweep", "sweep"),
    "tables": ("metadata",),
    "trigger": ("Triggered",),
    "workflow": (
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
        "when",
    ),
}
#: What is plain data, and needs no actors.
_PLAIN = frozenset({"errors", "models"})

__all__ = sorted(name for names in _HOMES.values() for name in names)  # noqa: PLE0605 - from the one table


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _HOMES.items() if name in names), None)
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
