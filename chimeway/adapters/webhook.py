"""`WebhookAdapter`: posts each message as JSON to a server of the host's, signed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from aquila.errors import ConfigError
from aquila.rate_limits import read_retry_after
from chimeway.adapters.base import LONGEST_RETRY_AFTER, ProviderFeedback, check_name
from chimeway.adapters.posting import Answer, Poster
from chimeway.adapters.webhook_feedback import read_feedback
from chimeway.clock import Clock, SystemClock
from chimeway.errors import DeliveryError, FeedbackRefused, PermanentFailure, TemporaryFailure
from chimeway.feedback_signature import read_secret, sign, verify
from chimeway.message import OutgoingMessage, Receipt

#: Statuses that a later attempt may cure, beside all from 500 on: too slow, too early, too many.
_LATER = {408, 425, 429}
_OK, _REDIRECT, _REFUSED, _SERVER = 200, 300, 400, 500
#: Where an answer may say what it calls the message.
_IDS = ("message_id", "id")
#: Headers that are ours to write.
_OWN = {
    "content-type",
    "content-length",
    "host",
    "idempotency-key",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "connection",
    "transfer-encoding",
}


class WebhookAdapter:
    """Posts each message to one address, signed as the Standard Webhooks specification has it.

    The body is `{"type": notification_key, "timestamp": ..., "data": {...}}`. `webhook-id` and `Idempotency-Key` are the
    delivery's id, the same in every attempt. Redirects are not followed.

    Args:
        url: Where to; `http` or `https`. It is not shown in errors, since many addresses of this kind are secrets.
        secret: What messages are signed with, `whsec_...` or any other text of 16 bytes or more. Several while it is being
            changed: the first one signs, `verify_feedback` takes them all. None sends unsigned.
        headers: More headers, such as `authorization`.
        timeout: Seconds for connecting, and for which the server may be silent.
        clock: Gives the time that is signed.
        name: What attempts call it.

    Raises:
        ConfigError: A value cannot be used.
    """

    needs_address = False

    def __init__(
        self,
        url: str,
        secret: str | Sequence[str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20.0,
        clock: Clock | None = None,
        name: str = "webhook",
    ) -> None:
        self.name = check_name(name)
        self._keys = _keys(secret)
        self._headers = _checked_headers({} if headers is None else headers)
        self._poster = Poster(url, timeout)
        if clock is not None and not callable(getattr(clock, "now", None)):
            raise ConfigError(
                f"clock has a method now() that gives an aware datetime; {type(clock).__name__} has not"
            )
        self._clock = clock or SystemClock()

    def deliver(self, message: OutgoingMessage) -> Receipt:
        """Post it.

        Raises:
            TemporaryFailure: The server cannot be reached, or said 408, 425, 429 or 5xx.
            Unanswered: The server was sent the message and said nothing.
            PermanentFailure: The server said anything else but 2xx.
        """
        body = json.dumps(webhook_body(message), ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            **self._headers,
            "content-type": "application/json",
            "idempotency-key": message.delivery_id,
        }
        headers |= self._signature(message.delivery_id, body)
        answer = self._poster.post(body, headers)
        return self._receipt(answer)

    def verify_feedback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> list[ProviderFeedback]:
        """Read what the server posts about messages it took: `{"delivery_id": ..., "kind": "delivered"}`, or a list of these.

        Args:
            headers: Of its request: a signature as ours.
            body: As it came.
            now: The time.

        Raises:
            FeedbackRefused: There is no secret to check it with, its signature does not fit, or it cannot be read.
        """
        if not self._keys:
            raise FeedbackRefused(
                f"the adapter {self.name!r} has no secret to check feedback with; give it secret="
            )
        return read_feedback(verify(self._keys, headers, body, now), body)

    def _receipt(self, answer: Answer) -> Receipt:
        if _OK <= answer.status < _REDIRECT:
            return Receipt(provider_message_id=_id_in(answer), response=answer.to_dict())
        raise failure_for(answer, self._poster.where)

    def _signature(self, delivery_id: str, body: bytes) -> dict[str, str]:
        if not self._keys:
            return {"webhook-id": delivery_id}
        return sign(self._keys[0], delivery_id, self._clock.now(), body)


def webhook_body(message: OutgoingMessage) -> dict[str, Any]:
    """Give what is posted, as JSON values: the same in every attempt."""
    content = message.content
    data = {
        "delivery_id": message.delivery_id,
        "notification_id": message.notification_id,
        "tenant_id": message.tenant_id,
        "channel": message.channel,
        "recipient": {"identity": message.recipient_identity, "type": message.recipient_type},
        "address": message.address,
        "subject": content.subject,
        "text": content.text,
        "html": content.html,
        "url": content.url,
        "data": dict(content.data),
        "category": message.category,
        "correlation_id": message.correlation_id,
    }
    return {"type": message.notification_key, "timestamp": message.created_at.isoformat(), "data": data}


def failure_for(answer: Answer, where: str) -> DeliveryError:
    """Give the failure that an answer other than 2xx stands for.

    Args:
        answer: The server's.
        where: The server, for the message.
    """
    response = answer.to_dict()
    if answer.status in _LATER or answer.status >= _SERVER:
        asked = read_retry_after(answer.headers)
        pause = None if asked is None else min(asked, LONGEST_RETRY_AFTER)
        return TemporaryFailure(f"{where} answered {answer.status}", retry_after=pause, response=response)
    if _REDIRECT <= answer.status < _REFUSED:
        words = f"{where} answered {answer.status}, and redirects are not followed; configure the address it leads to"
        return PermanentFailure(words, response=response)
    return PermanentFailure(f"{where} answered {answer.status}", response=response)


def _id_in(answer: Answer) -> str | None:
    given = answer.json()
    found = (given.get(name) for name in _IDS) if isinstance(given, dict) else iter(())
    return next((str(one) for one in found if isinstance(one, str | int) and not isinstance(one, bool)), None)


def _keys(secret: str | Sequence[str] | None) -> list[bytes]:
    if secret is None:
        return []
    # Of bytes each one would be a number.
    several = secret if isinstance(secret, Sequence) and not isinstance(secret, str | bytes) else [secret]
    if not several:
        raise ConfigError("secret= holds no secret; give it one, or None to send unsigned")
    return [read_secret(one) for one in several]


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(headers, Mapping):
        raise ConfigError(f"headers maps names to values; it is no {type(headers).__name__}")
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            # Not quoted: values are secrets.
            kinds = f"{type(name).__name__} and {type(value).__name__}"
            raise ConfigError(f"a header's name and value are texts, not {kinds}")
        if name.lower() in _OWN:
            raise ConfigError(f"the header {name!r} is written by the adapter itself; leave it out")
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"{name!r} is no name of a header")
        if not value.isascii() or not value.isprintable():
            raise ConfigError(f"the header {name!r} holds characters that no header can carry")
    return dict(headers)
