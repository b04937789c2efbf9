"""Links that unsubscribe: tokens for messages, and what happens when one comes back."""

from __future__ import annotations

import os
from typing import Any

from aquila.errors import ConfigError
from chimeway.policy import Preference
from chimeway.recipients.preferences import aset_preference, check_names, set_preference
from chimeway.recipients.signed_token import Unsubscription, sign, verify
from chimeway.recipients.whose import whose
from jobs.host_connection import AsyncHostSession, HostSession

VARIABLE = "CHIMEWAY_SECRET"
#: Characters of a secret that nobody guesses.
SHORTEST = 32


def unsubscribe_token(
    recipient: Any,
    *,
    channel: str | None = None,
    notification_key: str | None = None,
    category: str | None = None,
    tenant_id: str = "default",
    secret: str | None = None,
) -> str:
    """Make a token for a link that unsubscribes, such as the one in an e-mail's `List-Unsubscribe`. It never expires.

    It holds the recipient's id for everyone to read, and is signed. Answer the link's POST with `unsubscribe(token)`; on a GET
    only ask, with `read_unsubscribe_token`, because mail scanners follow links.

    Args:
        recipient: An id, or a `Recipient`.
        channel: What it unsubscribes from, as in `set_preference`.
        notification_key: What it unsubscribes from, as in `set_preference`.
        category: What it unsubscribes from, as in `set_preference`.
        tenant_id: Whose recipient it is.
        secret: Text that only the host knows; None means `CHIMEWAY_SECRET`.

    Raises:
        ConfigError: There is no secret, or a name cannot be one.
    """
    who = whose(recipient, tenant_id)
    check_names(channel=channel, notification_key=notification_key, category=category)
    said = Preference(enabled=False, channel=channel, notification_key=notification_key, category=category)
    return sign(who, said, _keys(secret)[0])


def read_unsubscribe_token(token: str, *, secret: str | None = None) -> Unsubscription:
    """Say what a token unsubscribes from, and change nothing.

    Args:
        token: From `unsubscribe_token`.
        secret: What it was signed with; None means `CHIMEWAY_SECRET`, where the one before may follow behind a comma.

    Raises:
        ChimewayError: It is no token of this secret's.
        ConfigError: There is no secret.
    """
    return verify(token, _keys(secret))


def unsubscribe(
    token: str, *, secret: str | None = None, session: HostSession | None = None
) -> Unsubscription:
    """Store the no that a token says, in the caller's transaction or in one of our own.

    Args:
        token: From `unsubscribe_token`.
        secret: What it was signed with; None means `CHIMEWAY_SECRET`.
        session: A session or connection of SQLAlchemy's. Nothing is committed.

    Raises:
        ChimewayError: It is no token of this secret's.
        ConfigError: There is no secret, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
    """
    said = read_unsubscribe_token(token, secret=secret)
    set_preference(said.recipient_identity, False, **_names(said), session=session)
    return said


async def aunsubscribe(
    token: str, *, secret: str | None = None, session: AsyncHostSession | None = None
) -> Unsubscription:
    """Do as `unsubscribe` does, with an asynchronous session.

    Raises:
        ChimewayError: It is no token of this secret's.
        ConfigError: There is no secret, or the session is none in whose transaction this can be done.
        StorageError: The database failed.
    """
    said = read_unsubscribe_token(token, secret=secret)
    await aset_preference(said.recipient_identity, False, **_names(said), session=session)
    return said


def _names(said: Unsubscription) -> dict[str, Any]:
    names = {name: getattr(said.preference, name) for name in ("channel", "notification_key", "category")}
    return {**names, "tenant_id": said.tenant_id}


def _keys(secret: str | None) -> list[bytes]:
    given = [secret] if secret is not None else (os.environ.get(VARIABLE) or "").split(",")
    if not all(isinstance(one, str) and len(one.strip()) >= SHORTEST for one in given):
        raise ConfigError(
            f"unsubscribe tokens need a secret of at least {SHORTEST} characters, in {VARIABLE} or secret=; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return [one.strip().encode() for one in given]
