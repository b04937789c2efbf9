"""Spans of time as the command line writes them: `90s`, `15m`, `12h`, `7d`."""

from __future__ import annotations

import math
import re

from aquila.errors import ConfigError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def parse_duration(option: str, text: str) -> float:
    """Give the seconds of a span; `forever` is endless, and a bare 0 is none.

    Args:
        option: What it was given for, to be named in the error.
        text: The span.

    Raises:
        ConfigError: It cannot be read.
    """
    if text == "forever":
        return math.inf
    found = _DURATION.fullmatch(text.strip())
    # A number alone might be meant as days or as seconds.
    if found is None or (not found[2] and float(found[1])):
        raise ConfigError(
            f"{option} {text!r} is no span of time; write a number and its unit: 90s, 15m, 12h or 7d"
        )
    return float(found[1]) * _UNITS[found[2] or "s"]
