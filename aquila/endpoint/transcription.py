"""The API of transcripts: `POST /audio/transcriptions`, a form. Pure.

Source: OpenAI's API reference, and the dialects of gateways that follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from aquila.call import Call
from aquila.endpoint.base import Decoder
from aquila.endpoint.profile import Profile
from aquila.endpoint.transcript import TranscriptDecoder
from aquila.errors import ConfigError

TRANSCRIPTIONS = "/audio/transcriptions"


@dataclass(frozen=True, slots=True)
class TranscriptionEndpoint:
    """The API of transcripts, for one recording."""

    profile: Profile
    form: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """What follows the base URL."""
        return TRANSCRIPTIONS

    @property
    def chains(self) -> bool:
        """False: a transcript follows from nothing before it."""
        return False

    def with_profile(self, profile: Profile) -> TranscriptionEndpoint:
        """Give the same API as another profile describes it."""
        return replace(self, profile=profile)

    def body(self, call: Call) -> bytes:
        """Give the form."""
        return self.form

    def decoder(self, call: Call) -> Decoder:
        """Make a decoder for one transcript."""
        return TranscriptDecoder()


def form_fields(
    model: str,
    language: str | None = None,
    prompt: str | None = None,
    response_format: str | None = None,
    extra_body: Mapping[str, Any] | None = None,
) -> list[tuple[str, str]]:
    """Give the fields of the form, the sound excepted; what is None is left out.

    Raises:
        ConfigError: A value has no form in a field.
    """
    fields = {
        "model": model,
        "language": language,
        "prompt": prompt,
        "response_format": response_format,
        **(extra_body or {}),
    }
    pairs: list[tuple[str, str]] = []
    for name, value in fields.items():
        if isinstance(value, list | tuple):
            pairs += [(f"{name}[]", _text(name, item)) for item in value]
        elif value is not None:
            pairs.append((name, _text(name, value)))
    return pairs


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    try:
        # True is `true` in a form as well.
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f"{name}={value!r} cannot be sent in a form ({error}); give text or a number"
        ) from None
