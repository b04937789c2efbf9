"""Why a delivery was suppressed, in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

from chimeway.explain.explanation import Words
from chimeway.explain.situation import DeliverySituation, Surroundings
from chimeway.models import Delivery
from jobs.local_time import span

_Said: TypeAlias = tuple[str, "str | None"]
_Facts: TypeAlias = Mapping[str, Any]


def suppressed(about: DeliverySituation, where: Surroundings) -> Words:
    """Say why a delivery was suppressed, and what would let the next one go out."""
    delivery = about.delivery
    reason = delivery.reason or "suppressed"
    why, remedy = _WHY.get(reason, _other)(delivery, delivery.reason_context or {}, where)
    when = "when it was planned" if _at_planning(delivery) else "as it was about to be sent"
    moment = where.time(delivery.terminal_at or delivery.updated_at)
    return Words(reason=reason, sentence=f"not sent: {why} ({when}, {moment})", remedy=remedy)


def _at_planning(delivery: Delivery) -> bool:
    return delivery.terminal_at == delivery.created_at


def _channel_disabled(delivery: Delivery, facts: _Facts, _where: Surroundings) -> _Said:
    about = facts.get("preference") or {}
    names = [f"{name}={about[name]!r}" for name in ("channel", "notification_key") if about.get(name)]
    what = repr(delivery.notification_key) if about.get("notification_key") else "anything"
    on = f" by {delivery.channel}" if about.get("channel") else " on any channel"
    allow = ", ".join([repr(delivery.recipient_identity), "True", *names, *_tenant(delivery)])
    return f"the recipient does not want {what}{on}", f"chimeway.set_preference({allow}), if that has changed"


def _category_disabled(delivery: Delivery, facts: _Facts, _where: Surroundings) -> _Said:
    about = facts.get("preference") or {}
    on = f" by {about['channel']}" if about.get("channel") else ""
    names = [f"category={delivery.category!r}", *([f"channel={about['channel']!r}"] if on else [])]
    allow = ", ".join([repr(delivery.recipient_identity), "True", *names, *_tenant(delivery)])
    said = f"the recipient does not want the category {delivery.category!r}{on}"
    return said, f"chimeway.set_preference({allow}), if that has changed"


def _tenant(delivery: Delivery) -> list[str]:
    return [] if delivery.tenant_id == "default" else [f"tenant_id={delivery.tenant_id!r}"]


def _throttled(_delivery: Delivery, facts: _Facts, _where: Surroundings) -> _Said:
    limit, seconds, others = facts.get("limit"), facts.get("seconds"), facts.get("others")
    per = f" for each {facts['key']}" if facts.get("key") else ""
    said = (
        f"the notifier's throttle lets {limit} through in {_span(seconds)}{per}, and {others} came before it"
    )
    return said, "raise the notifier's throttle if more should come through"


def _capped(delivery: Delivery, facts: _Facts, _where: Surroundings) -> _Said:
    count, seconds, others = facts.get("count"), facts.get("seconds"), facts.get("others")
    noun = "delivery" if count == 1 else "deliveries"
    said = f"the recipient takes {count} {noun} in {_span(seconds)}, and {others} came before it"
    who = ", ".join([repr(delivery.recipient_identity), "COUNT", "SECONDS", *_tenant(delivery)])
    return said, f"chimeway.set_delivery_cap({who}), if the recipient wants more"


def _already_read(_delivery: Delivery, facts: _Facts, where: Surroundings) -> _Said:
    read_at = facts.get("read_at")
    since = f" at {where.time(datetime.fromisoformat(read_at))}" if read_at else ""
    return f"the notification had been read{since}", None


def _by_signal(_delivery: Delivery, facts: _Facts, _where: Surroundings) -> _Said:
    return f"the signal {facts.get('signal')!r} came first and took it back", None


def _no_address(delivery: Delivery, _facts: _Facts, _where: Surroundings) -> _Said:
    said = f"nobody knows the recipient's address for {delivery.channel}"
    remedy = (
        f"trigger with a Recipient that has addresses={{{delivery.channel!r}: ...}}, or give "
        "chimeway.configure(addresses=...) a function that finds it"
    )
    return said, remedy


def _other(delivery: Delivery, _facts: _Facts, _where: Surroundings) -> _Said:
    return f"suppressed as {delivery.reason or 'unwanted'}", None


def _span(seconds: Any) -> str:
    return span(float(seconds)) if isinstance(seconds, int | float) else "its time"


_WHY: Mapping[str, Callable[[Delivery, _Facts, Surroundings], _Said]] = {
    "channel_disabled": _channel_disabled,
    "category_disabled": _category_disabled,
    "throttled": _throttled,
    "delivery_cap_reached": _capped,
    "already_read": _already_read,
    "cancelled_by_signal": _by_signal,
    "no_address": _no_address,
}
