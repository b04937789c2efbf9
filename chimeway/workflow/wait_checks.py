"""What is wrong with a wait gate, in words."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from chimeway.workflow.rules import Wait
from chimeway.workflow.signal_match import FROM_THE_RUN, PARAMS, SignalMatch

MOST_SIGNALS = 10
LONGEST_EVENT_NAME = 100
#: Ten years: beyond it stands a mistake.
LONGEST_WAIT = 10 * 366 * 86_400.0


def wait_problem(wait: Wait) -> str | None:
    """Say what is wrong with a wait; None if nothing is."""
    if problem := seconds_problem(wait.seconds):
        return f"Wait: {wait.seconds!r} seconds in all {problem}"
    if wait.to is None and not wait.on_signal:
        return "Wait leads nowhere; name the step that follows in to=, or steps in on_signal="
    for name, listed in (("cancel_on", wait.cancel_on), ("on_signal", wait.on_signal)):
        if len(listed) > MOST_SIGNALS:
            return f"Wait: {name} has {len(listed)} signals, and may have {MOST_SIGNALS}"
    problems = (problem for match in wait.listens if (problem := _match_problem(match)))
    return next(problems, None) or _twice(wait.listens)


def seconds_problem(seconds: Any) -> str | None:
    """Say what is wrong with the seconds of a wait; None if nothing is."""
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if is_number and math.isfinite(seconds) and 0 < seconds <= LONGEST_WAIT:
        return None
    return "must be a time above zero, of ten years at most"


def _match_problem(match: SignalMatch) -> str | None:
    name = match.event_name
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_EVENT_NAME or name != name.strip():
        return f"Wait: the signal {name!r} must be a name of 1 to {LONGEST_EVENT_NAME} characters without blanks around it"
    if not isinstance(match.match, dict) or not all(isinstance(one, str) for one in match.match):
        return f"Wait: match of {name!r} must be a mapping of the payload's fields to values"
    for field, value in match.match.items():
        if isinstance(value, str) and value.startswith("$") and not _is_known(value):
            known = ", ".join((*FROM_THE_RUN, PARAMS + "NAME"))
            return f"Wait: match of {name!r}: {field!r} is {value!r}, which is none of {known}"
    return None if is_json(match.match) else f"Wait: match of {name!r} holds what JSON cannot"


def is_json(value: Any) -> bool:
    """Say whether JSON gives a value back as it is."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def _is_known(value: str) -> bool:
    return value in FROM_THE_RUN or (value.startswith(PARAMS) and len(value) > len(PARAMS))


def _twice(listens: Sequence[SignalMatch]) -> str | None:
    for place, match in enumerate(listens):
        if match in listens[:place]:
            return f"Wait: the signal {match.event_name!r} is named twice; it can do only one thing"
    return None
