"""Takes secrets out of errors. Pure but for the error, which is changed in place and given back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from aquila.errors import AquilaError

E = TypeVar("E", bound=AquilaError)

_MASK = "[redacted]"
#: Shorter "keys" are dummies for servers that want none (`x`, `local`), and words of every other message.
_SHORTEST = 8


def scrub(error: E, secrets: Iterable[str]) -> E:
    """Replace every secret of 8 characters or more in what the error says and carries.

    Providers like to repeat a wrong key.
    """
    for secret in secrets:
        if len(secret) < _SHORTEST:
            continue
        error.args = tuple(str(item).replace(secret, _MASK) for item in error.args)
        for name, value in vars(error).items():
            if isinstance(value, str):
                setattr(error, name, value.replace(secret, _MASK))
        if error.partial is not None:
            raw = secret.encode()
            error.partial = error.partial.evolve(
                text=error.partial.text.replace(secret, _MASK),
                payloads=tuple(payload.replace(raw, _MASK.encode()) for payload in error.partial.payloads),
            )
    return error
