"""What this process says of cassettes where neither the call nor its surroundings say anything; set by the pytest plugin.

A mode and a speed from the command line hold for every cassette that names none itself. They stand here and not only in
the environment, because tests clear that.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Defaults:
    """The process's own word; None where it has none."""

    mode: str | None = None
    speed: float | None = None
    #: True where a call that names no cassette is an error.
    required: bool = False
    #: True where `--aquila-record` is understood, so that an error may advise it.
    has_plugin: bool = False


DEFAULTS = Defaults()
