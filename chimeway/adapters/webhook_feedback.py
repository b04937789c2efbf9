"""What a web hook's server posts about messages it took. Pure."""

from __future__ import annotations

import json
from typing import Any, get_args

from chimeway.adapters.base import FeedbackKind, ProviderFeedback
from chimeway.errors import FeedbackRefused

#: Pieces of news in one request, and characters of their ids and words.
_MOST, _LONGEST_ID, _LONGEST_DETAIL = 1_000, 255, 500


def read_feedback(message_id: str, body: bytes) -> list[ProviderFeedback]:
    """Read the body of a request whose signature fits.

    Args:
        message_id: Its `webhook-id`, which is the same when it is sent again.
        body: `{"delivery_id" or "provider_message_id": ..., "kind": ..., "detail": ...}`, or a list of these.

    Raises:
        FeedbackRefused: It cannot be read. The message shows nothing of it.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise FeedbackRefused("the web hook's body is no JSON") from None
    several = given if isinstance(given, list) else [given]
    if len(several) > _MOST:
        raise FeedbackRefused(
            f"the web hook's body holds {len(several)} pieces of news, and at most {_MOST} are read"
        )
    return [
        _read(one, message_id if len(several) == 1 else f"{message_id}:{at}")
        for at, one in enumerate(several)
    ]


def _read(one: Any, event_id: str) -> ProviderFeedback:
    if not isinstance(one, dict):
        raise FeedbackRefused("the web hook's body is no JSON object, and no list of objects")
    kinds: tuple[FeedbackKind, ...] = get_args(FeedbackKind)
    kind = next((known for known in kinds if known == one.get("kind")), None)
    if kind is None:
        raise FeedbackRefused(f"the web hook's body has a 'kind' that is none of {', '.join(kinds)}")
    delivery_id, provider_id = _id(one, "delivery_id"), _id(one, "provider_message_id")
    if delivery_id is None and provider_id is None:
        raise FeedbackRefused("the web hook's body names neither a 'delivery_id' nor a 'provider_message_id'")
    detail = one.get("detail")
    return ProviderFeedback(
        provider_event_id=(_id(one, "event_id") or event_id)[:_LONGEST_ID],
        kind=kind,
        provider_message_id=provider_id,
        delivery_id=delivery_id,
        detail=detail[:_LONGEST_DETAIL] if isinstance(detail, str) else None,
    )


def _id(one: dict[str, Any], name: str) -> str | None:
    value = one.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID else None
