"""`ConsoleAdapter`: prints messages, for development."""

from __future__ import annotations

import sys
import threading
from typing import TextIO

from aquila.errors import ConfigError
from chimeway.adapters.base import check_name
from chimeway.message import OutgoingMessage, Receipt

#: Left as they are; other control characters could move the cursor.
_KEPT = {"\n", "\t"}


class ConsoleAdapter:
    """Prints each message as one block.

    Args:
        stream: Where to; None means standard output as it is when a message comes.
        name: What attempts call it.

    Raises:
        ConfigError: The name cannot be kept, or nothing can be written to the stream.
    """

    needs_address = False

    def __init__(self, stream: TextIO | None = None, *, name: str = "console") -> None:
        self.name = check_name(name)
        if stream is not None and not callable(getattr(stream, "write", None)):
            raise ConfigError(f"stream is a text file, such as sys.stderr, not {type(stream).__name__}")
        self._stream = stream
        self._lock = threading.Lock()

    def deliver(self, message: OutgoingMessage) -> Receipt:
        """Print it."""
        stream = self._stream or sys.stdout
        text = block(message)
        # What the terminal's encoding lacks must not lose the message.
        encoding = getattr(stream, "encoding", None) or "utf-8"
        with self._lock:
            stream.write(text.encode(encoding, "replace").decode(encoding))
            stream.flush()
        return Receipt()


def block(message: OutgoingMessage) -> str:
    """Give a message as it is printed."""
    content = message.content
    to = f"{message.recipient_type} {message.recipient_identity}"
    head = f"{message.channel} to {to}" + (f" <{message.address}>" if message.address else "")
    lines = [content.subject, content.text or content.html or "", content.url or ""]
    body = "\n".join(line for line in lines if line)
    about = f"{message.notification_key}, delivery {message.delivery_id}, attempt {message.attempt}"
    return _printable(f"-- {head}\n{body}\n-- {about}\n")


def _printable(text: str) -> str:
    return "".join(letter if letter in _KEPT or letter.isprintable() else "\ufffd" for letter in text)
