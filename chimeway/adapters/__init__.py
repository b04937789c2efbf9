"""Ways out: what brings a message to its channel. Any object with a name and `deliver(message)` is one."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chimeway.adapters.apprise_services import AppriseAdapter
    from chimeway.adapters.base import Adapter, FeedbackKind, ProviderFeedback, Unanswered
    from chimeway.adapters.console import ConsoleAdapter
    from chimeway.adapters.inbox import InboxAdapter
    from chimeway.adapters.smtp import SmtpAdapter
    from chimeway.adapters.webhook import WebhookAdapter

__all__ = [
    "Adapter",
    "AppriseAdapter",
    "ConsoleAdapter",
    "FeedbackKind",
    "InboxAdapter",
    "ProviderFeedback",
    "SmtpAdapter",
    "Unanswered",
    "WebhookAdapter",
]


def __getattr__(name: str) -> Any:
    # Lazy: a process that sends no e-mail loads no SMTP.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes = {
        "AppriseAdapter": "apprise_services",
        "ConsoleAdapter": "console",
        "InboxAdapter": "inbox",
        "SmtpAdapter": "smtp",
        "WebhookAdapter": "webhook",
    }
    return getattr(import_module(f"chimeway.adapters.{homes.get(name, 'base')}"), name)


def __dir__() -> list[str]:
    return __all__
