"""One call to a model: everything the user asked for, checked and complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aquila.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What to ask; how it travels (address, key, clocks) is not part of it."""

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    #: The longest answer, in tokens; None leaves it to the provider.
    max_output_tokens: int | None = None
    #: For the user's own records; the provider gets it only together with `store=True`.
    metadata: Mapping[str, Any] = field(default_factory=dict)
    store: bool | None = None
    service_tier: str | None = None
    #: Merged over the body last; it may replace anything.
    extra_body: Mapping[str, Any] = field(default_factory=dict)
