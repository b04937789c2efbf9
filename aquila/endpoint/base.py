"""The seam between a run and a provider's dialect: build a body, decode events. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aquila.call import Call
from aquila.endpoint.profile import Profile
from aquila.events import Event
from aquila.messages import Message
from aquila.tool_call import ToolCall


class Decoder(Protocol):
    """Reads the payloads of one answer in order."""

    @property
    def ended(self) -> bool:
        """True when the answer is whole: its terminal marker has been seen."""

    @property
    def closed(self) -> bool:
        """True when nothing that matters can follow, so reading may stop."""

    @property
    def calls(self) -> Sequence[ToolCall]:
        """The calls of the user's tools, complete, in the model's order; to be read when the answer is whole."""

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

    def finish(self) -> list[Event]:
        """Give what only the end of a whole answer makes certain.

        Raises:
            ProtocolError: The answer is whole and makes no sense: a call of a tool without a name.
        """

    def turn(self) -> Message | None:
        """Give the answer as a turn of the conversation, unusual fields included; None if it says nothing."""

    def resume(self) -> tuple[str, int | None] | None:
        """Give the response's id and the number of its last event, where a lost stream can be picked up.

        The number is None if the provider numbers nothing; all is None if there is nothing to pick up. Events that come
        again are skipped from here on.
        """


class Endpoint(Protocol):
    """One API of one provider."""

    @property
    def path(self) -> str:
        """What follows the base URL."""

    @property
    def profile(self) -> Profile:
        """What the server is like, as far as is known."""

    @property
    def chains(self) -> bool:
        """True when a request may name the response before it instead of repeating the conversation."""

    def with_profile(self, profile: Profile) -> Endpoint:
        """Give the same API as another profile describes it."""

    def body(self, call: Call) -> bytes:
        """Build the request's body.

        Raises:
            ConfigError: The API cannot do what the call asks for, or a value has no form in JSON.
        """

    def decoder(self, call: Call) -> Decoder:
        """Make a decoder for one answer."""
