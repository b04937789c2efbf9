"""Tokens for links that unsubscribe: what they say, and the signature without which anybody could say it. Pure."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from chimeway.errors import ChimewayError
from chimeway.policy import Preference
from chimeway.recipients.whose import Whose

#: Signed with it, so that no signature made for something else with the same secret fits.
_PURPOSE = b"chimeway.unsubscribe.1."
#: Characters of a token that is worth to be looked at.
_LONGEST = 4000
_PARTS = 5


@dataclass(frozen=True, slots=True)
class Unsubscription:
    """What a token says: this recipient does not want that."""

    recipient_identity: str
    tenant_id: str
    preference: Preference


def sign(who: Whose, said: Preference, key: bytes) -> str:
    """Make the token that says a preference's names. It can be read by everybody, and changed by nobody.

    Args:
        who: Whose word it is.
        said: What is not wanted.
        key: The secret.
    """
    parts = [who.tenant_id, who.identity, said.notification_key, said.category, said.channel]
    body = json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()
    return f"{_encoded(body)}.{_encoded(_signature(body, key))}"


def verify(token: str, keys: Sequence[bytes]) -> Unsubscription:
    """Read a token.

    Args:
        token: From `sign`.
        keys: The secrets it may have been signed with; several while one is being changed.

    Raises:
        ChimewayError: It is no token, or none of these secrets' own.
    """
    body, _, signature = (
        token.partition(".") if isinstance(token, str) and len(token) <= _LONGEST else ("", "", "")
    )
    try:
        said, signed = _decoded(body), _decoded(signature)
    except (ValueError, binascii.Error):
        said = signed = b""
    # Each is compared, in a time that tells nothing.
    fitting = [hmac.compare_digest(_signature(said, key), signed) for key in keys]
    if not any(fitting):
        raise ChimewayError(
            "the unsubscribe token was changed on its way, or signed with another secret; give the whole of the link's"
        )
    parts = json.loads(said)
    if not isinstance(parts, list) or len(parts) != _PARTS:
        raise ChimewayError("the unsubscribe token is of another version of chimeway")
    tenant_id, identity, notification_key, category, channel = parts
    preference = Preference(
        enabled=False, notification_key=notification_key, category=category, channel=channel
    )
    return Unsubscription(identity, tenant_id, preference)


def _signature(body: bytes, key: bytes) -> bytes:
    return hmac.new(key, _PURPOSE + body, sha256).digest()


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    raw = text.encode("ascii")
    return base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
