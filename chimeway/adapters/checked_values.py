"""What adapters are configured with, looked at when they are made: a wrong value would fail at the first message. Pure."""

from __future__ import annotations

import re
from typing import Any

from aquila.errors import ConfigError

_LARGEST_PORT = 65_535
#: What no name of a host holds, and a URL or an address does.
_NO_HOST = re.compile(r"[\s/@<>\"']")
#: A day: a longer one is in the wrong unit, and sockets take no time of any length.
_LONGEST = 86_400.0


def check_seconds(name: str, value: Any) -> float:
    """Give a number of seconds back.

    Args:
        name: The argument's, for the message.
        value: What it was given.

    Raises:
        ConfigError: It is no number above zero, or more than a day.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= _LONGEST:
        raise ConfigError(f"{name}={value!r} must be seconds above zero, at most {_LONGEST:.0f}")
    return float(value)


def check_port(value: Any) -> int:
    """Give a port back.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LARGEST_PORT:
        raise ConfigError(f"port={value!r} must be a whole number from 1 to {_LARGEST_PORT}")
    return value


def check_host(value: Any) -> str:
    """Give the name or the IP address of a host back.

    Raises:
        ConfigError: It is none. The message does not show it: a URL may hold a password.
    """
    wanted = "host= must be the name of a server alone, such as 'smtp.example.com'"
    if not isinstance(value, str):
        raise ConfigError(f"{wanted}; it is {type(value).__name__}")
    if not value or not value.isprintable() or _NO_HOST.search(value):
        raise ConfigError(f"{wanted}; it is empty, or a URL, or holds blanks")
    if value.count(":") == 1:
        raise ConfigError(f"{wanted}; give the port as port=")
    return value
