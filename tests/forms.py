"""Reads a form back, with the standard library's own reader of MIME."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import HTTP
from typing import Any


def read_form(content_type: str, body: bytes) -> list[tuple[dict[str, Any], str, bytes]]:
    """Give each part's parameters, its content type and its bytes."""
    message = message_from_bytes(f"content-type: {content_type}\r\n\r\n".encode() + body, policy=HTTP)
    parts = []
    for part in message.iter_parts():  # type: ignore[attr-defined]
        parameters = dict(part["content-disposition"].params)
        parts.append((parameters, part.get_content_type(), part.get_payload(decode=True)))
    return parts
