"""For tests of chimeway: notifiers, an adapter that remembers, a clock that is moved, and workers of their own process."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import chimeway
from chimeway.clock import SystemClock
from chimeway.dispatch.here import finish
from chimeway.message import OutgoingMessage, Receipt
from chimeway.settings import ChimewaySettings, install_settings, settings


class Recorder:
    """An adapter that keeps what it was handed, and does what it is told."""

    name = "recorder"

    def __init__(self, name: str = "recorder") -> None:
        self.name = name
        self.sent: list[OutgoingMessage] = []
        self.calls: Counter[str] = Counter()
        #: Raised by the next calls, one each.
        self.errors: list[Exception] = []
        #: Called with each message before it is taken.
        self.hook: Any = None
        self._lock = threading.Lock()

    def deliver(self, message: OutgoingMessage) -> Receipt:
        with self._lock:
            self.calls[message.delivery_id] += 1
            error = self.errors.pop(0) if self.errors else None
        if self.hook is not None:
            self.hook(message)
        if error is not None:
            raise error
        with self._lock:
            self.sent.append(message)
        return Receipt(provider_message_id=f"{self.name}-{message.delivery_id}")

    @property
    def texts(self) -> list[str]:
        return [message.content.text for message in self.sent]


class MovedClock:
    """The machine's time, moved."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self.offset

    def advance(self, **by: float) -> None:
        self.offset += timedelta(**by)


class FileClock:
    """The machine's time, moved by what a file says, for several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        said = self._path.read_text() if self._path.exists() else ""
        return SystemClock().now() + timedelta(seconds=float(said or 0))


class FileAdapter:
    """Adds a line to a file for each call: before it, and after it; takes its time if told to."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, message: OutgoingMessage) -> Receipt:
        self._add(f"begin {message.delivery_id} {message.attempt}")
        pause = self._path.with_name("pause")
        if pause.exists():
            threading.Event().wait(float(pause.read_text()))
        self._add(f"end {message.delivery_id} {message.attempt}")
        return Receipt()

    def _add(self, line: str) -> None:
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "w") as file:
            file.write(line + "\n")


@contextmanager
def told(**options: Any) -> Iterator[ChimewaySettings]:
    """Configure chimeway for a block, from the defaults."""
    before = install_settings(ChimewaySettings())
    try:
        chimeway.configure(**options)
        yield settings()
    finally:
        # Before its database is closed.
        finish()
        install_settings(before)


class Welcome(chimeway.Notifier):
    notification_key = "test.welcome"
    channels = ("email",)
    email = chimeway.Content(subject="Welcome, {name}!", text="Good to have you here, {name}.")


class Both(chimeway.Notifier):
    notification_key = "test.both"
    channels = ("in_app", "email")
    in_app = chimeway.Content(text="news: {what}")

    def email(self, recipient: chimeway.Recipient, params: Mapping[str, Any]) -> chimeway.Content:
        return chimeway.Content(subject="news", text=f"{recipient.identity}: {params['what']}")


class Mention(chimeway.Notifier):
    notification_key = "test.mention"
    in_app = chimeway.Content(text="{who} mentioned you")
    email = chimeway.Content(subject="{who} mentioned you", text="Have a look.")
    workflow = chimeway.Workflow(
        "test.mention",
        version=1,
        steps=[
            chimeway.Deliver(
                "inbox",
                channel="in_app",
                rules=[
                    chimeway.Stop("bounced"),
                    chimeway.Wait(hours=2, to="email", cancel_on=["chimeway.notification.read"]),
                ],
            ),
            chimeway.Deliver("email", channel="email", rules=[chimeway.Wait(hours=1, to="reminder")]),
            chimeway.Deliver("reminder", channel="email"),
        ],
    )
    reminder = chimeway.Content(subject="{who} still waits", text="Have another look.")
