"""What this process does with deliveries: the dispatcher, the adapters of each channel, the clocks. Said by `configure`."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

from aquila.errors import ConfigError
from chimeway.adapters.base import Adapter, check_name
from chimeway.adapters.inbox import InboxAdapter
from chimeway.clock import Clock, SystemClock
from jobs.crons import reschedule

Dispatcher = Literal["sync", "dramatiq"]
#: Gives where a channel reaches a recipient: `(recipient_identity, channel) -> address`, plain or async.
Addresses: TypeAlias = Callable[[str, str], "str | Awaitable[str | None] | None"]

CHANNEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
#: Seconds until the second attempt; doubled for each further one, up to an hour.
DEFAULT_BACKOFF = 15.0
LONGEST_BACKOFF = 3600.0
#: Seconds that one adapter may take.
DEFAULT_TIMEOUT = 30.0
#: Seconds beyond the adapters' time for which an attempt holds its delivery.
SPARE = 30.0
#: When the ProgressionWorker runs: each minute.
DEFAULT_PROGRESSION = "* * * * *"
#: The name of its cron.
PROGRESSION = "chimeway_progression"
VARIABLE = "CHIMEWAY_DISPATCHER"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChimewaySettings:
    """What was chosen, with everything left out filled in."""

    #: None: `CHIMEWAY_DISPATCHER`, else `sync`.
    chosen_dispatcher: Dispatcher | None = None
    #: The adapters of each channel; the later ones stand in for those before.
    channels: Mapping[str, tuple[Adapter, ...]] = field(default_factory=lambda: {"in_app": (InboxAdapter(),)})
    addresses: Addresses | None = None
    clock: Clock = field(default_factory=SystemClock)
    backoff: float = DEFAULT_BACKOFF
    timeout: float = DEFAULT_TIMEOUT
    #: Fields that `configure` leaves as they are, while a test has put its own in their place.
    pinned: frozenset[str] = frozenset()

    @property
    def dispatcher(self) -> Dispatcher:
        """Who delivers: the process that triggers (`sync`), or workers (`dramatiq`).

        Raises:
            ConfigError: The environment names another one.
        """
        if self.chosen_dispatcher is not None:
            return self.chosen_dispatcher
        return _dispatcher(os.environ.get(VARIABLE) or "sync", VARIABLE)

    def lease(self, channel: str) -> float:
        """Give the seconds for which an attempt holds its delivery: longer than all that may take."""
        return self.timeout * (1 + max(1, len(self.channels.get(channel, ())))) + SPARE


_SETTINGS = ChimewaySettings()


def settings() -> ChimewaySettings:
    """Give what is configured."""
    return _SETTINGS


def configure(
    *,
    dispatcher: Dispatcher | None = None,
    channels: Mapping[str, Adapter | Sequence[Adapter]] | None = None,
    addresses: Addresses | None = None,
    clock: Clock | None = None,
    backoff: float | None = None,
    timeout: float | None = None,
    progression: str | None = None,
) -> None:
    """Choose how this process delivers. What is left out stays as it is; every process may be told at any time.

    Args:
        dispatcher: `"sync"` delivers in the process that triggers, `"dramatiq"` turns deliveries into jobs for workers.
            None means `CHIMEWAY_DISPATCHER`, then `sync`.
        channels: The adapter of each channel, or several, of which the later ones stand in for those before. Channels that
            are not named keep theirs. Whoever delivers needs them: the workers, or with `sync` this process.
        addresses: Gives where a channel reaches a recipient that brought no address: `(identity, channel) -> address`.
        clock: What tells the time, for tests.
        backoff: Seconds until the second attempt of a delivery; doubled for each further one, up to an hour. Default: 15.
        timeout: Seconds that one adapter may take. Default: 30.
        progression: When workers look for waits that are over and for what a crash left behind, as a cron expression of
            five fields, or six with the seconds first. Default: each minute.

    Raises:
        ConfigError: A value cannot be used.
    """
    global _SETTINGS  # noqa: PLW0603 - a process delivers in one way
    given = {
        "chosen_dispatcher": None if dispatcher is None else _dispatcher(dispatcher, "dispatcher"),
        "channels": channels and {**_SETTINGS.channels, **_channels(channels)},
        "addresses": addresses,
        "clock": clock,
        "backoff": None if backoff is None else _seconds("backoff", backoff),
        "timeout": None if timeout is None else _seconds("timeout", timeout),
    }
    if addresses is not None and not callable(addresses):
        # Not quoted: it may hold them.
        raise ConfigError(
            f"addresses is a function, (recipient_identity, channel) -> address, not {type(addresses).__name__}"
        )
    if clock is not None and not callable(getattr(clock, "now", None)):
        raise ConfigError(
            f"clock has a method now() that gives an aware datetime; {type(clock).__name__} has not"
        )
    if progression is not None:
        reschedule(PROGRESSION, progression)
    changes: dict[str, Any] = {
        name: value for name, value in given.items() if value is not None and name not in _SETTINGS.pinned
    }
    _SETTINGS = replace(_SETTINGS, **changes)


def install_settings(chosen: ChimewaySettings) -> ChimewaySettings:
    """Put settings in the place of those that are there; give the latter."""
    global _SETTINGS
    before, _SETTINGS = _SETTINGS, chosen
    return before


def _dispatcher(name: str, where: str) -> Dispatcher:
    for known in get_args(Dispatcher):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise ConfigError(f"{where}={name!r} must be 'sync' or 'dramatiq'")


def _channels(given: Mapping[str, Adapter | Sequence[Adapter]]) -> dict[str, tuple[Adapter, ...]]:
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"channels maps names to adapters, {{'email': ...}}; it is no {type(given).__name__}"
        )
    found: dict[str, tuple[Adapter, ...]] = {}
    for channel, one in given.items():
        if not isinstance(channel, str) or not CHANNEL_NAME.fullmatch(channel):
            raise ConfigError(f"the channel {channel!r} must be up to 100 small letters, digits and '_'")
        adapters = tuple(one) if isinstance(one, Sequence) and not isinstance(one, str | bytes) else (one,)
        if not adapters:
            raise ConfigError(f"the channel {channel!r} has no adapter; name one, or leave the channel out")
        for adapter in adapters:
            # Not quoted: it may hold a password.
            if isinstance(adapter, type):
                raise ConfigError(
                    f"channels[{channel!r}] holds the class {adapter.__name__}; write {adapter.__name__}(...)"
                )
            if not isinstance(adapter, Adapter):
                raise ConfigError(
                    f"channels[{channel!r}] holds {type(adapter).__name__}, which is no adapter: it needs a name and "
                    "deliver(message)"
                )
            check_name(adapter.name)
        found[channel] = adapters
    return found


def _seconds(name: str, value: float) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or value <= 0
    ):
        raise ConfigError(f"{name}={value!r} must be seconds above zero")
    return float(value)
