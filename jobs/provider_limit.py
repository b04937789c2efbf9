"""`ProviderLimit`: what a provider allows in a minute, over all workers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aquila.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLimit:
    """Requests and tokens a minute for one model and one key of a provider. At least one of the two is set."""

    #: Requests that any minute may see; None sets no limit.
    requests: int | None = None
    #: Tokens of prompts and answers that any minute may see; None sets no limit.
    tokens: int | None = None

    def __post_init__(self) -> None:
        if self.requests is None and self.tokens is None:
            raise ConfigError("a provider limit sets requests= or tokens= or both, each for a minute")
        for name in ("requests", "tokens"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigError(f"{name}={value!r} of a provider limit must be a whole number from 1")


def limit_for(limits: Mapping[str, ProviderLimit], model: str) -> ProviderLimit | None:
    """Give the limit of a model: its own, else that of the longest `prefix*` it begins with, else that of `*`."""
    if model in limits:
        return limits[model]
    stars = [name for name in limits if name.endswith("*") and model.startswith(name[:-1])]
    return limits[max(stars, key=len)] if stars else None
