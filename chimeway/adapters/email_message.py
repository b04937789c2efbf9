"""An e-mail as it is sent: a pure function of the message, so that every attempt sends the same one."""

from __future__ import annotations

import re
import unicodedata
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, EmailPolicy, Policy
from email.utils import format_datetime
from html import escape
from typing import Any

import idna

from chimeway.errors import Bounced, PermanentFailure
from chimeway.message import OutgoingMessage
from jobs.sqltypes import storable

#: What stands on either side of an address's `@`.
_LOCAL = re.compile(r"[^\s@<>(),;:\"\\\[\]]{1,64}")
_MAILBOX = re.compile(r"(?P<name>[^<>]*)<(?P<inner>[^<>]*)>|(?P<bare>[^<>]*)")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
#: What has a meaning of its own in a list of addresses, and the beginning of an encoded word, which may hold any of it.
_MEANING = re.compile(r"[\",;:<>@()\[\]\\]|=\?")
#: Characters of a display name: a longer one would be folded.
_LONGEST_NAME = 60
#: The key of `Content.data` that becomes the header List-Unsubscribe: a link, or `mailto:`.
UNSUBSCRIBE = "list_unsubscribe"
#: Characters of that link: a line of an e-mail has at most 998.
_LONGEST_LINK = 900
_UNFIT_FOR_LINK = re.compile(r"[\s<>,]")


class _AsItIs(UnstructuredHeader, BaseHeader):
    """A header on one line, however long: mail programs do not put a link together again that was folded into words."""

    @classmethod
    def parse(cls, value: str, kwds: dict[str, Any]) -> None:
        kwds["parse_tree"] = cls.value_parser(value)
        kwds["decoded"] = value

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


def _policy() -> EmailPolicy[EmailMessage]:
    headers = HeaderRegistry()
    headers.map_to_type("list-unsubscribe", _AsItIs)
    # 8-bit text would need a server that says it takes it.
    return SMTP.clone(cte_type="7bit", header_factory=headers)


_POLICY = _policy()


def email_of(message: OutgoingMessage, sender: Address) -> EmailMessage:
    """Make the e-mail of a message.

    Its Message-ID is the delivery's and its date the delivery's, so a second attempt is the same e-mail, and mailboxes that
    look at the id show it once.

    Args:
        message: With an address.
        sender: Whom it is from.

    Raises:
        PermanentFailure: A header would hold control characters, or the link to unsubscribe is none that a header can hold.
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

    What has a meaning in a list of addresses is left out of the name, which is cut at 60 characters.

    Raises:
        PermanentFailure: It holds control characters, which could add headers or recipients.
        Bounced: It is none. The message does not show it.
    """
    # Not the library's own reading, which mends what it is given: `ada@exa mple.com` would go to another domain.
    parts = _MAILBOX.fullmatch(storable(one_line("address", address)).strip())
    name = " ".join(_MEANING.sub(" ", parts["name"] or "").split()) if parts else ""
    spec = (parts["inner"] or parts["bare"] or "").strip() if parts else ""
    local, at, domain = spec.rpartition("@")
    ascii_domain = _ascii(domain)
    if not at or not _LOCAL.fullmatch(local) or ascii_domain is None:
        raise Bounced("the recipient's address is no e-mail address; it looks like: ada@example.com")
    return Address(display_name=name[:_LONGEST_NAME].strip(), username=local, domain=ascii_domain)


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
    checked = one_line(UNSUBSCRIBE, link).strip()
    if checked.startswith("<") and checked.endswith(">"):
        checked = checked[1:-1]
    if (
        not checked
        or len(checked) > _LONGEST_LINK
        or not checked.isascii()
        or _UNFIT_FOR_LINK.search(checked)
    ):
        # Not quoted: it holds a token.
        raise PermanentFailure(
            f"{UNSUBSCRIBE} is one link, https://... or mailto:..., of at most {_LONGEST_LINK} ASCII characters without "
            "blanks, commas, '<' and '>'; percent-encode them"
        )
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
