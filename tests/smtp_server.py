"""A small SMTP server for tests: it takes mail, or answers as its script says."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

#: Instead of a reply: the connection is closed, or nothing comes.
CLOSE, SILENCE = "close", "silence"


@dataclass(kw_only=True)
class Script:
    """What the server answers in place of the usual, by command; `body` is the end of the data."""

    replies: Mapping[str, str] = field(default_factory=dict)
    features: tuple[str, ...] = ("SMTPUTF8", "8BITMIME")
    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None


@dataclass(kw_only=True)
class Mail:
    sender: str
    recipients: list[str]
    data: bytes
    over_tls: bool
    user: str | None

    @property
    def parsed(self) -> EmailMessage:
        return message_from_bytes(self.data, policy=default)  # type: ignore[return-value]


class SmtpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, script: Script) -> None:
        self.script = script
        self.mails: list[Mail] = []
        self.commands: list[str] = []
        #: Set at the end, so that nothing waits for it.
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), _Talk)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Talk(socketserver.StreamRequestHandler):
    server: SmtpServer

    def setup(self) -> None:
        super().setup()
        self.over_tls, self.user = False, None
        self.sender = ""
        self.recipients: list[str] = []

    def finish(self) -> None:
        super().finish()
        # The one that speaks TLS is not the one that the library knows.
        self.request.close()

    def handle(self) -> None:
        if not self.say("greeting", "220 localhost ready"):
            return
        while line := self.rfile.readline():
            text = line.decode("utf-8", "replace").strip()
            verb = text.partition(" ")[0].upper()
            self.server.commands.append(text)
            act: Callable[[str], bool] | None = getattr(self, f"on_{verb.lower()}", None)
            if act is None:
                self.send("502 unknown")
            elif not act(text):
                return

    def say(self, verb: str, usual: str) -> bool:
        reply = self.server.script.replies.get(verb, usual)
        if reply == CLOSE:
            return False
        if reply == SILENCE:
            self.server.over.wait(30)
            return False
        self.send(reply)
        return True

    def send(self, reply: str) -> None:
        self.wfile.write(reply.encode() + b"\r\n")

    def on_ehlo(self, text: str) -> bool:
        script = self.server.script
        offered = [*script.features]
        if script.tls is not None and not self.over_tls:
            offered.append("STARTTLS")
        if script.login is not None:
            offered.append("AUTH PLAIN")
        lines = ["localhost", *offered]
        return self.say(
            "ehlo", "\r\n".join(f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines)
        )

    def on_starttls(self, text: str) -> bool:
        assert self.server.script.tls is not None
        self.send("220 go ahead")
        self.request = self.server.script.tls.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
        self.over_tls = True
        return True

    def on_auth(self, text: str) -> bool:
        _, user, password = base64.b64decode(text.split()[2]).decode().split("\0")
        if (user, password) != self.server.script.login:
            self.send(f"535 5.7.8 no such login: {text.split()[2]} {password}")
            return True
        self.user = user
        return self.say("auth", "235 welcome")

    def on_mail(self, text: str) -> bool:
        self.sender = text
        return self.say("mail", "250 ok")

    def on_rcpt(self, text: str) -> bool:
        self.recipients.append(text)
        return self.say("rcpt", "250 ok")

    def on_data(self, text: str) -> bool:
        if not self.say("data", "354 go on"):
            return False
        if not self.server.script.replies.get("data", "354").startswith("354"):
            return True
        lines: list[bytes] = []
        while (line := self.rfile.readline()) not in {b".\r\n", b""}:
            lines.append(line[1:] if line.startswith(b"..") else line)
        mail = Mail(
            sender=self.sender,
            recipients=self.recipients,
            data=b"".join(lines),
            over_tls=self.over_tls,
            user=self.user,
        )
        self.sender, self.recipients = "", []
        self.server.mails.append(mail)
        return self.say("body", "250 2.0.0 queued as 1A2B")

    def on_rset(self, text: str) -> bool:
        return self.say("rset", "250 ok")

    def on_noop(self, text: str) -> bool:
        return self.say("noop", "250 ok")

    def on_quit(self, text: str) -> bool:
        self.say("quit", "221 bye")
        return False


@contextmanager
def smtp_server(replies: Mapping[str, str] | None = None, **facts: Any) -> Iterator[SmtpServer]:
    with SmtpServer(Script(replies=replies or {}, **facts)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join(5)
