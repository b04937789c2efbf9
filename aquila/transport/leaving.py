"""What is said of a stream that was left open."""

from __future__ import annotations

import warnings


def warn_of_left(response: object) -> None:
    """Warn that a response was left before its end; for use in its `__del__`."""
    warnings.warn(
        "a stream was left before its end without being closed; use `async with aquila.stream(...)`",
        ResourceWarning,
        stacklevel=3,
        source=response,
    )
