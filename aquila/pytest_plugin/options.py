"""What the options and settings of the plugin say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import pytest

_MOST_DAYS = 36_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the options and settings say."""

    #: None leaves it to the environment.
    mode: str | None
    speed: float | None
    unplayed: str
    #: None: no recording is too old.
    max_age: timedelta | None
    fails_when_old: bool
    orphans: bool
    required: bool


def read_choices(config: pytest.Config, recording: tuple[str, ...]) -> Choices:
    """Read the options and settings.

    Args:
        config: The run's.
        recording: The modes that send requests.

    Raises:
        UsageError: One of them cannot be used.
    """
    mode = config.getoption("--aquila-record") or config.getoption("record_mode", None)
    speed = config.getoption("--aquila-speed")
    if speed is not None and not 0 <= speed < float("inf"):
        raise pytest.UsageError(
            f"--aquila-speed={speed} is no speed; use 0 for no waiting, 1 for the recorded time"
        )
    if mode in recording and config.getoption("block_network", False):
        raise pytest.UsageError(
            f"--aquila-record={mode} needs the network that --block-network blocks; drop one of them"
        )
    return Choices(
        mode=mode,
        speed=speed,
        unplayed=_one_of(config, "aquila_unplayed", ("fail", "warn", "ignore")),
        max_age=_days(config.getini("aquila_max_age")),
        fails_when_old=_one_of(config, "aquila_old", ("warn", "fail")) == "fail",
        orphans=config.getoption("--aquila-orphans"),
        required=config.getini("aquila_require_cassette"),
    )


def _one_of(config: pytest.Config, name: str, allowed: tuple[str, ...]) -> str:
    value = cast("str", config.getini(name))
    if value not in allowed:
        raise pytest.UsageError(f"{name} = {value!r} is unknown; use one of {', '.join(allowed)}")
    return value


def _days(value: str) -> timedelta | None:
    if not value:
        return None
    if not value.isdecimal() or not 1 <= int(value) <= _MOST_DAYS:
        raise pytest.UsageError(f"aquila_max_age = {value!r} is no whole number of days up to {_MOST_DAYS}")
    return timedelta(days=int(value))
