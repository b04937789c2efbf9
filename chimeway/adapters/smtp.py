"""`SmtpAdapter`: e-mail through an SMTP server."""

from __future__ import annotations

import base64
import re
import smtplib
import socket
import ssl
from collections.abc import Iterable
from email.headerregistry import Address
from email.message import EmailMessage
from functools import cache
from typing import Any, Literal, TypeAlias

from aquila.errors import ConfigError
from chimeway.adapters.base import Unanswered, check_name
from chimeway.adapters.checked_values import check_host, check_port, check_seconds
from chimeway.adapters.email_message import email_of, message_id, read_address
from chimeway.adapters.smtp_replies import failure_of, said
from chimeway.errors import DeliveryError
from chimeway.message import OutgoingMessage, Receipt

Tls: TypeAlias = Literal["starttls", "tls", "none"]
#: Ports that are usual.
_PORTS: dict[str, int] = {"starttls": 587, "tls": 465, "none": 25}


class SmtpAdapter:
    """Sends e-mail through an SMTP server, one connection for each message.

    Attempts of one delivery send the same e-mail: its Message-ID and its date are the delivery's. `Content.data` may hold
    `list_unsubscribe`, a link or a `mailto:`, which becomes the header that mail programs show as a button.

    Args:
        host: The server.
        port: None: 587 with `starttls`, 465 with `tls`, 25 with `none`.
        username: For servers that ask for one.
        password: Goes with it. It is in no error and no representation.
        sender: Whom e-mails are from: `"Example <hello@example.com>"`.
        tls: `"starttls"` begins in the clear and refuses to go on so, `"tls"` speaks TLS from the first byte, `"none"` sends
            all in the clear.
        timeout: Seconds that the server may be silent.
        context: For certificates of your own; None trusts what the system trusts.
        name: What attempts call it.

    Raises:
        ConfigError: A value cannot be used.
    """

    needs_address = True

    def __init__(
        self,
        host: str,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        *,
        sender: str,
        tls: Tls = "starttls",
        timeout: float = 20.0,
        context: ssl.SSLContext | None = None,
        name: str = "smtp",
    ) -> None:
        if not isinstance(tls, str) or tls not in _PORTS:
            raise ConfigError(f"tls={tls!r} must be 'starttls', 'tls' or 'none'")
        if context is not None and not isinstance(context, ssl.SSLContext):
            raise ConfigError(f"context is an ssl.SSLContext or None, not {type(context).__name__}")
        self.name = check_name(name)
        self._host, self._port = check_host(host), _PORTS[tls] if port is None else check_port(port)
        self._where = f"{self._host}:{self._port}"
        self._login = _read_login(username, password, tls)
        self._sender = _read_sender(sender)
        self._tls = tls
        self._timeout = check_seconds("timeout", timeout)
        self._context = context

    def deliver(self, message: OutgoingMessage) -> Receipt:
        """Send it.

        Raises:
            TemporaryFailure: The server cannot be reached, or said 4xx.
            Unanswered: The server took the e-mail and did not say so.
            PermanentFailure: The server said 5xx, or the message makes no e-mail.
            Bounced: The server does not know the recipient.
        """
        return self._sent(email_of(message, self._sender), message_id(message, self._sender))

    def _sent(self, mail: EmailMessage, known_as: str) -> Receipt:
        try:
            return self._send(mail, known_as)
        except DeliveryError as error:
            error.provider_message_id = known_as
            error.response = self._masked(error.response, mail)
            raise

    def _send(self, mail: EmailMessage, known_as: str) -> Receipt:
        phase = _Phase()
        try:
            server = self._connect(phase)
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            raise failure_of(error, self._where) from None
        try:
            self._greet(server)
            server.send_message(mail)
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            server.close()
            if phase.handing_over and not isinstance(error, smtplib.SMTPResponseException):
                words = f"{self._where} was sent the e-mail and did not say that it took it: {type(error).__name__}"
                raise Unanswered(words) from None
            # Not chained: what a server says may hold the address, or the login.
            raise failure_of(error, self._where) from None
        except BaseException:
            server.close()
            raise
        _leave(server)
        response = self._masked(said(*phase.reply), mail) or {}
        return Receipt(provider_message_id=known_as, response=response)

    def _connect(self, phase: _Phase) -> smtplib.SMTP:
        if self._tls == "tls":
            context = self._context_of()
            return _NotingTls(phase, self._host, self._port, _own_name(), self._timeout, context=context)
        return _Noting(phase, self._host, self._port, _own_name(), self._timeout)

    def _greet(self, server: smtplib.SMTP) -> None:
        server.ehlo_or_helo_if_needed()
        if self._tls == "starttls":
            server.starttls(context=self._context_of())
            server.ehlo()
        if self._login is not None:
            server.login(*self._login)

    def _context_of(self) -> ssl.SSLContext:
        if self._context is None:
            # Making one reads the system's certificates.
            self._context = ssl.create_default_context()
        return self._context

    def _masked(self, response: dict[str, Any] | None, mail: EmailMessage) -> dict[str, Any] | None:
        """Take the login and the address out of what a server said: some repeat what they were told."""
        if response is None:
            return None
        hidden = [*self._secrets(), mail["To"].addresses[0].addr_spec]
        return {key: _without(hidden, value) for key, value in response.items()}

    def _secrets(self) -> list[str]:
        if self._login is None:
            return []
        username, password = self._login
        # Also as the protocol sends it.
        plain = base64.b64encode(f"\0{username}\0{password}".encode()).decode()
        return [password, plain, base64.b64encode(password.encode()).decode()]


@cache
def _own_name() -> str:
    """Give this machine's name as servers are told it. The library would look it up for each message."""
    name = socket.getfqdn()
    return name if "." in name else "[127.0.0.1]"


class _Phase:
    """How far a connection is."""

    def __init__(self) -> None:
        #: True from the moment the server may have the e-mail until it says whether it took it.
        self.handing_over = False
        self.reply: tuple[int, bytes] = (0, b"")


class _Noting(smtplib.SMTP):
    """A connection that knows whether the e-mail is being handed over."""

    def __init__(
        self, phase: _Phase, host: str, port: int, name: str, timeout: float, **options: Any
    ) -> None:
        self._phase = phase
        super().__init__(host, port, name, timeout=timeout, **options)

    def data(self, msg: bytes | str) -> tuple[int, bytes]:  # type: ignore[override]
        self._phase.handing_over = True
        self._phase.reply = super().data(msg)
        self._phase.handing_over = False
        return self._phase.reply


class _NotingTls(_Noting, smtplib.SMTP_SSL):
    """The same, with TLS from the first byte."""


def _without(hidden: Iterable[str], value: Any) -> Any:
    if not isinstance(value, str):
        return value
    for one in hidden:
        # Servers write addresses as they like, large or small.
        value = re.sub(re.escape(one), "[redacted]", value, flags=re.IGNORECASE)
    return value


def _leave(server: smtplib.SMTP) -> None:
    """Part from the server. It has the e-mail, so nothing that goes wrong here matters."""
    try:
        server.quit()
    except (smtplib.SMTPException, OSError):
        server.close()


def _read_login(username: str | None, password: str | None, tls: Tls) -> tuple[str, str] | None:
    if username is None and password is None:
        return None
    if username is None or password is None:
        raise ConfigError("SmtpAdapter needs both username= and password=, or neither")
    if tls == "none":
        raise ConfigError(
            "SmtpAdapter does not send a password in the clear; use tls='starttls' or tls='tls'"
        )
    for what, value in (("username", username), ("password", password)):
        # Neither is shown.
        if not isinstance(value, str) or not value:
            raise ConfigError(
                f"SmtpAdapter's {what}= is a text that is not empty; look at where it is read from"
            )
    return username, password


def _read_sender(sender: str) -> Address:
    if not isinstance(sender, str):
        raise ConfigError(
            f"sender is a text such as 'Example <hello@example.com>', not {type(sender).__name__}"
        )
    try:
        return read_address(sender)
    except DeliveryError as error:
        raise ConfigError(
            f"sender={sender!r} is no e-mail address; write: Example <hello@example.com>"
        ) from error
