"""The policy's word on deliveries: on many that are planned, with few statements, and on one that is about to be sent."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Connection, select

from aquila.errors import ConfigError
from chimeway.cancelling_signals import cancelling_signal
from chimeway.delivery_counts import Counting, count_for_caps, count_for_throttle, lock_counts
from chimeway.models import Delivery
from chimeway.policy import (
    SILENT_CHANNELS,
    Decision,
    PolicyFacts,
    Preference,
    QuietHours,
    Suppress,
    Throttle,
    category_preference,
    channel_preference,
    decide,
)
from chimeway.policy.wall_clock import zone_of
from chimeway.recipients.rows import RecipientSettings, read_preferences, read_settings
from chimeway.tables import events, notifications

logger = logging.getLogger("chimeway")

#: What a throttle counts together: recipient, notification key, channel, throttle, the value of its key.
_Group: TypeAlias = tuple[str, str, str, Throttle, str]
_NO_SETTINGS = RecipientSettings()
#: Time zones of which it was said that this machine does not know them.
_UNKNOWN_ZONES: set[str] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A delivery that is about to be planned."""

    delivery: Delivery
    #: The trigger's parameters.
    payload: Mapping[str, Any]
    #: What `Digest.to_dict` gave, if the notifier has a digest.
    digest: Mapping[str, Any] | None = None

    @property
    def held(self) -> bool:
        """Whether it goes into a digest."""
        one = self.delivery
        return self.digest is not None and not one.critical and one.channel in self.digest["channels"]

    @property
    def throttle(self) -> Throttle | None:
        """How often it may come."""
        return (
            Throttle.from_dict(self.delivery.throttle) if self.delivery.throttle and not self.held else None
        )

    def group(self, throttle: Throttle) -> _Group:
        """Give what its throttle counts it with."""
        one = self.delivery
        value = throttle.value_of(self.payload)
        return (one.recipient_identity, one.notification_key, one.channel, throttle, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What is known of the recipients of one tenant, and what has been let through since it was read."""

    preferences: Mapping[str, Sequence[Preference]]
    settings: Mapping[str, RecipientSettings]
    #: Deliveries by recipient, and notifications by what a throttle counts together.
    for_cap: dict[str, int]
    for_throttle: Mapping[_Group, int]
    told: dict[_Group, set[str]] = field(default_factory=dict)

    def facts(self, one: Planned) -> PolicyFacts:
        """Give what is known of a delivery."""
        about, throttle = one.delivery, one.throttle
        identity = about.recipient_identity
        said = self.preferences.get(identity, ())
        settings = self.settings.get(identity, _NO_SETTINGS)
        group = one.group(throttle) if throttle else None
        return PolicyFacts(
            channel=about.channel,
            channel_preference=channel_preference(said, about.notification_key, about.channel),
            category_preference=category_preference(said, about.category, about.channel),
            critical=about.critical,
            held=one.held,
            throttle=throttle,
            throttle_count=self._others(group, about.notification_id) if group else 0,
            cap=settings.delivery_cap,
            cap_count=self.for_cap.get(identity, 0),
            quiet_hours=_observed(settings.quiet_hours),
        )

    def _others(self, group: _Group, notification_id: str) -> int:
        return self.for_throttle.get(group, 0) + len(self.told.get(group, set()) - {notification_id})

    def note(self, one: Planned) -> None:
        """Count a delivery that may go out for those that come after it."""
        about, throttle = one.delivery, one.throttle
        if throttle is not None:
            self.told.setdefault(one.group(throttle), set()).add(about.notification_id)
        if not one.held and about.channel not in SILENT_CHANNELS:
            identity = about.recipient_identity
            self.for_cap[identity] = self.for_cap.get(identity, 0) + 1


def decide_all(connection: Connection, many: Sequence[Planned], now: datetime) -> list[Decision]:
    """Say what becomes of deliveries that are about to be planned, in their order; those before count for those after.

    Args:
        connection: A transaction.
        many: What is to be planned, and is not there yet.
        now: The time.
    """
    tenants = dict.fromkeys(one.delivery.tenant_id for one in many)
    known = {
        tenant: _known(connection, tenant, [one for one in many if one.delivery.tenant_id == tenant], now)
        for tenant in tenants
    }
    decided: list[Decision] = []
    for one in many:
        about = known[one.delivery.tenant_id]
        decision = decide("planning", about.facts(one), now)
        if not isinstance(decision, Suppress):
            about.note(one)
        decided.append(decision)
    return decided


def decide_one(connection: Connection, delivery: Delivery, now: datetime) -> Decision:
    """Say whether a delivery that was planned may be sent now.

    No two deliveries of a recipient's are decided at once where it has a cap or they have a throttle, until the transaction
    is over, in which the one that may go is marked as being sent.

    Args:
        connection: A transaction that writes.
        delivery: As its row has it.
        now: The time.
    """
    identity, tenant = delivery.recipient_identity, delivery.tenant_id
    said, settings = ([], _NO_SETTINGS) if delivery.critical else _said(connection, delivery)
    throttle = Throttle.from_dict(delivery.throttle) if delivery.throttle else None
    cap = settings.delivery_cap if delivery.channel not in SILENT_CHANNELS else None
    if cap or throttle:
        lock_counts(connection, tenant, identity)
    counting = Counting(checkpoint="perform", tenant_id=tenant, now=now)
    caps = (
        count_for_caps(connection, counting, {identity: cap}, apart_from=delivery.delivery_id) if cap else {}
    )
    about = _notification(connection, delivery)
    facts = PolicyFacts(
        channel=delivery.channel,
        channel_preference=channel_preference(said, delivery.notification_key, delivery.channel),
        category_preference=category_preference(said, delivery.category, delivery.channel),
        critical=delivery.critical,
        throttle=throttle,
        throttle_count=_throttled(connection, counting, delivery, throttle) if throttle else 0,
        cap=cap,
        cap_count=caps.get(identity, 0),
        quiet_hours=_observed(settings.quiet_hours),
        only_unread=delivery.only_unread,
        read_at=about.read_at if about else None,
        cancelled_by=cancelling_signal(connection, delivery, about.created_at) if about else None,
    )
    return decide("perform", facts, now)


def _known(connection: Connection, tenant_id: str, many: Sequence[Planned], now: datetime) -> _Known:
    asked = [one.delivery for one in many if not one.delivery.critical]
    identities = list(dict.fromkeys(one.recipient_identity for one in asked))
    subjects = {one.notification_key for one in asked} | {one.category for one in asked if one.category}
    settings = read_settings(connection, tenant_id, identities)
    counting = Counting(checkpoint="planning", tenant_id=tenant_id, now=now)
    caps = {identity: one.delivery_cap for identity, one in settings.items() if one.delivery_cap}
    return _Known(
        preferences=read_preferences(connection, tenant_id, identities, subjects=subjects),
        settings=settings,
        for_cap=count_for_caps(connection, counting, caps),
        for_throttle=_all_throttled(connection, counting, many),
    )


def _observed(quiet: QuietHours | None) -> QuietHours | None:
    """Give quiet hours if this machine can tell when they are; what it cannot tell must keep nobody from being told."""
    if quiet is None:
        return None
    try:
        zone_of(quiet.time_zone)
    except ConfigError as error:
        if quiet.time_zone not in _UNKNOWN_ZONES:
            _UNKNOWN_ZONES.add(quiet.time_zone)
            logger.warning("quiet hours in this time zone are not observed here: %s", error)
        return None
    return quiet


def _all_throttled(connection: Connection, counting: Counting, many: Iterable[Planned]) -> dict[_Group, int]:
    alike: dict[tuple[str, str, Throttle], list[Delivery]] = {}
    for one in many:
        if (throttle := one.throttle) is not None:
            about = one.delivery
            alike.setdefault((about.notification_key, about.channel, throttle), []).append(about)
    found: dict[_Group, int] = {}
    for (key, channel, throttle), asked in alike.items():
        counted = count_for_throttle(
            connection,
            counting,
            throttle,
            list(dict.fromkeys(one.recipient_identity for one in asked)),
            notification_key=key,
            channel=channel,
            apart_from={one.notification_id for one in asked},
        )
        for (identity, value), number in counted.items():
            found[identity, key, channel, throttle, value] = number
    return found


def _said(connection: Connection, delivery: Delivery) -> tuple[Sequence[Preference], RecipientSettings]:
    identity, tenant = delivery.recipient_identity, delivery.tenant_id
    subjects = [name for name in (delivery.notification_key, delivery.category) if name]
    said = read_preferences(connection, tenant, [identity], subjects=subjects)
    return said.get(identity, ()), read_settings(connection, tenant, [identity]).get(identity, _NO_SETTINGS)


def _throttled(connection: Connection, counting: Counting, delivery: Delivery, throttle: Throttle) -> int:
    payload: Mapping[str, Any] = {}
    if throttle.key is not None:
        found = connection.execute(select(events.c.payload).where(events.c.id == delivery.event_id))
        payload = found.scalar() or {}
    counted = count_for_throttle(
        connection,
        counting,
        throttle,
        [delivery.recipient_identity],
        notification_key=delivery.notification_key,
        channel=delivery.channel,
        apart_from=[delivery.notification_id],
    )
    return counted.get((delivery.recipient_identity, throttle.value_of(payload)), 0)


def _notification(connection: Connection, delivery: Delivery) -> Any:
    """Read when it was added and read, if either matters."""
    if not delivery.only_unread and not delivery.cancel_on:
        return None
    query = select(notifications.c.read_at, notifications.c.created_at)
    return connection.execute(query.where(notifications.c.id == delivery.notification_id)).first()
