"""The seam between a run and a provider's dialect: build a body, decode events. Pure."""

from __future__ import annotations

from typing import Protocol

from aquila.call import Call
from aquila.events import Event


class Decoder(Protocol):
    """Reads the payloads of one HTTP response in order."""

    @property
    def ended(self) -> bool:
        """True when the answer is whole: its terminal marker has been seen."""

    @property
    def closed(self) -> bool:
        """True when nothing that matters can follow, so reading may stop."""

    def decode(self, name: str, data: bytes) -> list[Event]:
        """Turn one server-sent event into events.

        Raises:
            ProtocolError: The payload is not JSON of the expected shape.
            APIError: The payload reports an error.
            ProviderStreamError: The payload reports an error of no known class.
        """

    def decode_whole(self, body: bytes) -> list[Event]:
        """Turn the body of a provider that ignored `stream: true` into events.

        Raises:
            ProtocolError: The body is not JSON of the expected shape.
            APIError: The body reports an error.
            ProviderStreamError: The body reports an error of no known class.
        """


class Endpoint(Protocol):
    """One API of a provider."""

    @property
    def path(self) -> str:
        """What follows the base URL."""

    def body(self, call: Call) -> bytes:
        """Build the request's body."""

    def decoder(self) -> Decoder:
        """Make a decoder for one response."""
