"""`InboxAdapter`: the in-app channel. The notification's row is the message."""

from __future__ import annotations

from chimeway.adapters.base import check_name
from chimeway.message import OutgoingMessage, Receipt


class InboxAdapter:
    """Has nothing to bring anywhere: once it is delivered, the notification stands in its recipient's inbox.

    Args:
        name: What attempts call it.

    Raises:
        ConfigError: The name cannot be kept.
    """

    needs_address = False

    def __init__(self, name: str = "inbox") -> None:
        self.name = check_name(name)

    def deliver(self, message: OutgoingMessage) -> Receipt:
        """Say that it arrived."""
        return Receipt()
