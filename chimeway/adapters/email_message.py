"""An e-mail as it is sent: a pure function of the message, so that every attempt sends the same one."""

from __future__ import annotations

import re
import unicodedata
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

import idna

from chimeway.errors import Bounced, PermanentFailure
from chimeway.message import OutgoingMessage
from jobs.sqltypes import storable

#: What stands on either side of an address's `@`.
_LOCAL = re.compile(r"[^\s@<>(),;:\"\\\[\]]{1,64}")
_MAILBOX = re.compile(r"(?P<name>[^<>]*)<(?P<inner>[^<>]*)>|(?P<bare>[^<>]*)")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
#: 8-bit text would need a server that says it takes it.
_POLICY = SMTP.clone(cte_type="7bit")
#: The key of `Content.data` that becomes the header List-Unsubscribe: a link, or `mailto:`.
UNSUBSCRIBE = "list_unsubscribe"


def email_of(message: OutgoingMessage, sender: Address) -> EmailMessage:
    """Make the e-mail of a message.

    Its Message-ID is the delivery's and its date the delivery's, so a second attempt is the same e-mail, and mailboxes that
    look at the id show it once.

    Args:
        message: With an address.
        sender: Whom it is from.

    Raises:
        PermanentFailure: A header would hold control characters.
        Bounced: The address is none that e-mail can be sent to.
    """
    content = message.content
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = sender
    mail["To"] = read_address(message.address or "")
    mail["Subject"] = storable(one_line("subject", content.subject))
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = message_id(message, sender)
    # Asks that no holiday note is sent back.
    mail["Auto-Submitted"] = "auto-generated"
    unsubscribe = content.data.get(UNSUBSCRIBE)
    if isinstance(unsubscribe, str) and unsubscribe:
        _add_unsubscribe(mail, unsubscribe)
    _add_body(mail, message)
    return mail


def message_id(message: OutgoingMessage, sender: Address) -> str:
    """Give the Message-ID of all attempts of a delivery."""
    return f"<{message.delivery_id}@{sender.domain}>"


def read_address(address: str) -> Address:
    """Read `ada@example.com` or `Ada <ada@example.com>`: one address, no list of them.

    Raises:
        PermanentFailure: It holds control characters, which could add headers or recipients.
        Bounced: It is none. The message does not show it.
    """
    # Not the library's own reading, which mends what it is given: `ada@exa mple.com` would go to another domain.
    parts = _MAILBOX.fullmatch(storable(one_line("address", address)).strip())
    name = (parts["name"] or "").strip().strip('"') if parts else ""
    spec = (parts["inner"] or parts["bare"] or "").strip() if parts else ""
    local, at, domain = spec.rpartition("@")
    ascii_domain = _ascii(domain)
    if not at or not _LOCAL.fullmatch(local) or ascii_domain is None:
        raise Bounced("the recipient's address is no e-mail address; it looks like: ada@example.com")
    return Address(display_name=name, username=local, domain=ascii_domain)


def one_line(what: str, text: str) -> str:
    """Give a header's text back.

    Raises:
        PermanentFailure: It has line breaks or other control characters. The message does not show it.
    """
    if len(text.splitlines()) > 1 or any(unicodedata.category(letter) == "Cc" for letter in text):
        raise PermanentFailure(
            f"the {what} has line breaks or control characters, which no header of an e-mail may hold"
        )
    return text


def _ascii(domain: str) -> str | None:
    try:
        # Not Python's own codec, which takes an older standard: it would write to another domain for some letters.
        name = idna.encode(domain, uts46=True).decode().lower()
    except UnicodeError:
        return None
    return name if _DOMAIN.fullmatch(name) else None


def _add_unsubscribe(mail: EmailMessage, link: str) -> None:
    checked = one_line(UNSUBSCRIBE, link).strip("<>")
    mail["List-Unsubscribe"] = f"<{checked}>"
    if checked.startswith("https://"):
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"


def _add_body(mail: EmailMessage, message: OutgoingMessage) -> None:
    content = message.content
    text, html, url = storable(content.text), content.html, content.url
    if url and url not in text:
        text = f"{text}\n\n{url}" if text else url
    if not html:
        mail.set_content(text)
        return
    html = storable(html)
    if url and url not in html and escape(url) not in html:
        html += f'\n<p><a href="{escape(url)}">{escape(url)}</a></p>'
    if text:
        mail.set_content(text)
        mail.add_alternative(html, subtype="html")
    else:
        mail.set_content(html, subtype="html")
