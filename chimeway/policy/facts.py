"""What the policy is decided by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chimeway.policy.preference import Preference
from chimeway.policy.quiet_hours import QuietHours
from chimeway.policy.throttle import DeliveryCap, Throttle

#: Channels on which nothing rings: they are read when somebody looks. Quiet hours and caps are not for them.
SILENT_CHANNELS = frozenset({"in_app"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CancellingSignal:
    """A signal for which a delivery is taken back."""

    signal_id: str
    event_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """What is known of a delivery that is about to be planned, or sent."""

    channel: str
    #: The recipient's word that decides about notification key and channel, and the one about the category; None: a yes.
    channel_preference: Preference | None = None
    category_preference: Preference | None = None
    #: Whether it goes out whatever the recipient prefers: a password to be reset.
    critical: bool = False
    #: Whether it is held for a digest, which is asked about when it goes out.
    held: bool = False
    throttle: Throttle | None = None
    #: Others that the throttle counts.
    throttle_count: int = 0
    cap: DeliveryCap | None = None
    #: Others that the cap counts.
    cap_count: int = 0
    quiet_hours: QuietHours | None = None
    #: Whether it is wanted only as long as the notification is unread, and when that was read.
    only_unread: bool = False
    read_at: datetime | None = None
    #: The signal that takes it back, if there is one.
    cancelled_by: CancellingSignal | None = None

    @property
    def disturbs(self) -> bool:
        """Whether it is one that caps and quiet hours are for."""
        return not self.critical and not self.held and self.channel not in SILENT_CHANNELS
