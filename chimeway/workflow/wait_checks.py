"""What is wrong with a wait gate, in words."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from chimeway.workflow.listed import list_problem
from chimeway.workflow.rules import Wait
from chimeway.workflow.signal_match import EVENT_NAME, FROM_THE_RUN, OWN, OWN_SIGNALS, PARAMS, SignalMatch
from jobs.sqltypes import storable

MOST_SIGNALS = 10
#: Ten years: beyond it stands a mistake.
LONGEST_WAIT = 10 * 366 * 86_400.0


def wait_problem(wait: Wait) -> str | None:
    """Say what is wrong with a wait; None if nothing is."""
    if problem := _unread(wait):
        return f"Wait: {problem}"
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


def _unread(wait: Wait) -> str | None:
    """Say what a wait could not read of its signals."""
    if problem := list_problem("cancel_on", wait.cancel_on):
        return problem
    pairs = isinstance(wait.on_signal, tuple) and all(
        isinstance(pair, tuple) and isinstance(pair[0], SignalMatch) for pair in wait.on_signal
    )
    return None if pairs else 'on_signal is a mapping of signals to steps; write on_signal={"SIGNAL": "STEP"}'


def _match_problem(match: SignalMatch) -> str | None:
    name = match.event_name
    if not isinstance(name, str) or not EVENT_NAME.fullmatch(name):
        return (
            f"Wait: the signal {name!r} is none that can be tracked; a name has 1 to 100 letters, digits, '_', '.', ':' and "
            "'-', and begins with a letter"
        )
    if name.startswith(OWN) and name not in OWN_SIGNALS:
        return f"Wait: the signal {name!r} is none that chimeway tells; it tells {', '.join(sorted(OWN_SIGNALS))}"
    if not isinstance(match.match, dict) or not all(isinstance(one, str) for one in match.match):
        return f"Wait: match of {name!r} must be a mapping of the payload's fields to values"
    for field, value in match.match.items():
        if isinstance(value, str) and value.startswith("$") and not _is_known(value):
            known = ", ".join((*FROM_THE_RUN, PARAMS + "NAME"))
            return f"Wait: match of {name!r}: {field!r} is {value!r}, which is none of {known}"
    return (
        None
        if is_json(match.match)
        else f"Wait: match of {name!r} holds what cannot be stored as JSON: it may have no NUL and no half of a character either"
    )


def is_json(value: Any) -> bool:
    """Say whether JSON, and a database that keeps it, give a value back as it is."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value) and _is_storable(value)
    except (TypeError, ValueError, RecursionError):
        return False


def _is_storable(value: Any) -> bool:
    if isinstance(value, str):
        return storable(value) == value
    if isinstance(value, Mapping):
        return all(map(_is_storable, (*value, *value.values())))
    return not isinstance(value, list | tuple) or all(map(_is_storable, value))


def _is_known(value: str) -> bool:
    return value in FROM_THE_RUN or (value.startswith(PARAMS) and len(value) > len(PARAMS))


def _twice(listens: Sequence[SignalMatch]) -> str | None:
    for place, match in enumerate(listens):
        if match in listens[:place]:
            return f"Wait: the signal {match.event_name!r} is named twice; it can do only one thing"
    return None
