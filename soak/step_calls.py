"""What the steps of jobs must have kept to: one value for each, and no call once it is recorded. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: A step: its job and its name.
Step = tuple[str, str]


@dataclass(slots=True)
class Calls:
    """What was noted of one step."""

    #: For each call, when its attempt began.
    began: list[float] = field(default_factory=list)
    #: Each value that an attempt was given, and when.
    given: list[tuple[float, float]] = field(default_factory=list)

    def wrong(self, recorded: Any) -> str:
        """Say what is wrong; empty if nothing is.

        Args:
            recorded: What is recorded in the end; None for nothing.
        """
        if recorded is None:
            return "nothing is recorded"
        values = {value for value, _ in self.given}
        if values != {recorded}:
            return f"{recorded} is recorded, attempts were given {sorted(values)}"
        known = min(at for _, at in self.given)
        # An attempt that had begun before may have been paused on its way to the call.
        late = [began for began in self.began if began > known]
        return f"called by an attempt that began at {late[0]}, and recorded at {known}" if late else ""


def read_calls(lines: Iterable[str]) -> dict[Step, Calls]:
    """Read what `soak.actors.advance` wrote; a line that a kill cut short counts for nothing."""
    calls: defaultdict[Step, Calls] = defaultdict(Calls)
    for line in lines:
        match line.split():
            case ["called", job_id, name, began, _]:
                calls[job_id, name].began.append(float(began))
            case ["given", job_id, name, value, at]:
                calls[job_id, name].given.append((float(value), float(at)))
            case _:
                continue
    return dict(calls)


def wrong_steps(
    calls: Mapping[Step, Calls], recorded: Mapping[Step, Any], wanted: Iterable[Step]
) -> list[str]:
    """Say what is wrong with the steps that must have been done."""
    found = ((step, calls.get(step, Calls()).wrong(recorded.get(step))) for step in wanted)
    return [f"{job_id}, step {name}: {wrong}" for (job_id, name), wrong in found if wrong]
