"""Signatures of web hooks, ours and those that come in, as the Standard Webhooks specification has them. Pure.

What is signed is `{id}.{timestamp}.{body}` with HMAC-SHA256. The header holds one or more signatures, `v1,` and base64 each.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from aquila.errors import ConfigError
from chimeway.errors import FeedbackRefused

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
#: How far the clocks of the two ends may be apart; an older message may be a replay.
TOLERANCE = timedelta(minutes=5)
#: What a secret begins with whose rest is base64.
_PREFIX = "whsec_"
#: Bytes of a secret that can be guessed.
_SHORTEST = 16


def read_secret(secret: str) -> bytes:
    """Give the key of a secret: base64 behind `whsec_`, or any other text as it is.

    Raises:
        ConfigError: It is no such text, or so short that it can be guessed. The message does not show it.
    """
    if not isinstance(secret, str):
        raise ConfigError(f"a web hook's secret is text, not {type(secret).__name__}; decode() bytes")
    try:
        key = (
            base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
            if secret.startswith(_PREFIX)
            else secret.encode()
        )
    except (binascii.Error, ValueError):
        raise ConfigError(f"a web hook's secret is no base64 behind {_PREFIX!r}; copy it again") from None
    if len(key) < _SHORTEST:
        raise ConfigError(
            f"a web hook's secret has {len(key)} bytes, and needs {_SHORTEST}; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return key


def sign(key: bytes, message_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """Give the three headers of a message.

    Args:
        key: From `read_secret`.
        message_id: The same in every attempt.
        sent_at: The time of this attempt.
        body: The bytes that are sent.
    """
    timestamp = str(int(sent_at.timestamp()))
    return {ID: message_id, TIMESTAMP: timestamp, SIGNATURE: _signature(key, message_id, timestamp, body)}


def verify(
    keys: Sequence[bytes],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    *,
    tolerance: timedelta = TOLERANCE,
) -> str:
    """Check a message that came in, and give its id.

    Args:
        keys: From `read_secret`; several while a secret is being changed.
        headers: Of the request, in any case.
        body: As it came.
        now: The time.
        tolerance: How old it may be, or ahead.

    Raises:
        FeedbackRefused: A header is missing or no text, the time is too far off, or no signature fits.
    """
    pairs = (
        (name, value) for name, value in headers.items() if isinstance(name, str) and isinstance(value, str)
    )
    given = {name.lower(): value for name, value in pairs}
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not given.get(name)]
    if missing:
        raise FeedbackRefused(f"the web hook has no header {missing[0]!r}")
    if any(unicodedata.category(letter) == "Cs" for name in (ID, SIGNATURE) for letter in given[name]):
        raise FeedbackRefused(f"the web hook's {ID} or {SIGNATURE} holds halves of characters")
    timestamp = given[TIMESTAMP]
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > len("9999999999999"):
        raise FeedbackRefused(f"the web hook's {TIMESTAMP} is no number of seconds")
    apart = abs(now.timestamp() - int(timestamp))
    if apart > tolerance.total_seconds():
        raise FeedbackRefused(
            f"the web hook is {apart:.0f} s away from this machine's time, and may be {tolerance.total_seconds():.0f}; "
            "it is a replay, or one of the clocks is wrong"
        )
    offered = [one.encode() for one in given[SIGNATURE].split()]
    wanted = [_signature(key, given[ID], timestamp, body).encode() for key in keys]
    # Every pair is compared, so that the time it takes says nothing.
    fits = [hmac.compare_digest(one, other) for one in offered for other in wanted]
    if not any(fits):
        raise FeedbackRefused("the web hook's signature does not fit; check the secret on both sides")
    return given[ID]


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
