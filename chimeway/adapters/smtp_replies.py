"""What an SMTP server's reply means for a delivery. Pure."""

from __future__ import annotations

import re
import smtplib
from typing import Any

from chimeway.errors import Bounced, DeliveryError, PermanentFailure, TemporaryFailure

#: Refusals of a recipient that are about the mailbox: unavailable, not here, no such name.
_NO_MAILBOX = {550, 551, 553}
#: Enhanced codes: `5.1.x` is about the address, `5.2.1` says the mailbox is disabled, `5.7.x` is about who may send what.
_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})\b")
_PERMANENT = 500
#: Characters of a reply that are kept.
_LONGEST_REPLY = 500


def failure_of(error: Exception, server: str) -> DeliveryError:
    """Give the failure that stands for what `smtplib` raised before the server had the e-mail.

    Args:
        error: What it raised.
        server: Host and port, for messages.
    """
    match error:
        case smtplib.SMTPRecipientsRefused(recipients=refused) if refused:
            code, reply = next(iter(refused.values()))
            return reply_failure(code, reply, server, about="recipient")
        case smtplib.SMTPSenderRefused(smtp_code=code, smtp_error=reply):
            return reply_failure(code, reply, server, about="sender")
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=reply):
            return reply_failure(int(code), reply, server)
        case smtplib.SMTPNotSupportedError():
            return PermanentFailure(
                f"{server} lacks what is needed: {error}; look at tls= and at the address"
            )
        case UnicodeError():
            return PermanentFailure(
                f"{server} takes no such characters in a login or an address: {type(error).__name__}"
            )
    return TemporaryFailure(f"{server} cannot be reached, or the connection broke: {type(error).__name__}")


def reply_failure(code: int, reply: bytes | str, server: str, *, about: str = "message") -> DeliveryError:
    """Give the failure that a reply stands for.

    Args:
        code: The reply's code.
        reply: Its text.
        server: Host and port, for messages.
        about: `recipient` or `sender` for the answer to one of these; refused senders say nothing of the recipient.
    """
    text = _text(reply)
    # A server's words may repeat the address, so they are kept in the response alone.
    words = f"{server} said {code} to the {about}"
    response = said(code, reply)
    if code < _PERMANENT:
        return TemporaryFailure(words, response=response)
    enhanced = _ENHANCED.match(text)
    kind = (enhanced[2], enhanced[3]) if enhanced else None
    is_mailbox = about != "sender" and kind is not None and (kind[0] == "1" or kind == ("2", "1"))
    is_policy = kind is not None and kind[0] == "7"
    if is_mailbox or (about == "recipient" and code in _NO_MAILBOX and not is_policy):
        return Bounced(words, response=response)
    return PermanentFailure(words, response=response)


def said(code: int, reply: bytes | str) -> dict[str, Any]:
    """Give a reply as JSON values."""
    return {"code": code, "reply": _text(reply)} if code else {}


def _text(reply: bytes | str) -> str:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else str(reply)
    return text[:_LONGEST_REPLY]
