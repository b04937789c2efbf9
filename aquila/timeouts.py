"""The clocks of a run."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from aquila.errors import ConfigError

#: The largest number that is still seconds to an event loop; infinity is None.
_LONGEST = 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Limits in seconds; None switches a clock off.

    All clocks but `total` measure waits on the source only: a slow consumer trips none of them. The defaults are long
    because reasoning models are quiet for minutes.

    Raises:
        ConfigError: A limit is not a positive number.
    """

    #: Until a connection stands.
    connect: float | None = 10.0
    #: Without any byte; a keep-alive comment counts as one.
    silence: float | None = 600.0
    #: Until the first content (text, reasoning, tool arguments); keep-alive comments do not count.
    first_chunk: float | None = 900.0
    #: Between two contents; keep-alive comments do not count.
    idle: float | None = 600.0
    #: The whole run in wall time: attempts, back-off, stream and sinks.
    total: float | None = None
    #: One tool call.
    tool: float | None = 60.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST
            ):
                raise ConfigError(
                    f"timeout: {item.name}={value!r} must be a number of seconds above 0, or None"
                )

    @classmethod
    def of(cls, value: Timeouts | float | None, default: Timeouts | None = None) -> Timeouts:
        """Read what a caller may give: Timeouts, a number (the total), or None (the default)."""
        base = default or cls()
        if value is None:
            return base
        return value if isinstance(value, Timeouts) else replace(base, total=value)
