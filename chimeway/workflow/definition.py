"""`Workflow`: the steps of a notification's way, as a value that is stored and never changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from chimeway.errors import NotifierInvalid
from chimeway.workflow.checks import check
from chimeway.workflow.listed import list_problem
from chimeway.workflow.steps import Step
from chimeway.workflow.stored_form import step_from_json, step_to_json


@dataclass(frozen=True, slots=True)
class Workflow:
    """The way of a notification, step by step. Runs go by the version that they began with.

    ```python
    Workflow("mention-escalation", version=1, steps=[
        Deliver("inbox", channel="in_app", rules=[
            Stop("bounced"),
            Wait(hours=2, to="email", cancel_on=["chimeway.notification.read"]),
        ]),
        Deliver("email", channel="email"),
    ])
    ```

    Raises:
        NotifierInvalid: It cannot be used; says where and why.
    """

    key: str
    #: Raised with each change of the steps.
    version: int = field(default=1, kw_only=True)
    #: In their order: a run begins with the first, and rules lead only to later ones.
    steps: Sequence[Step] = field(kw_only=True)

    def __post_init__(self) -> None:
        if problem := list_problem("steps", self.steps):
            raise NotifierInvalid(f"workflow {self.key!r}: {problem}")
        object.__setattr__(self, "steps", tuple(self.steps))
        check(self.key, self.version, self.steps)

    def find(self, key: str) -> Step | None:
        """Give the step of a key; None if there is none."""
        return next((step for step in self.steps if step.key == key), None)

    def place(self, key: str) -> int:
        """Give where a step stands, from 0; the number of steps for one that is not there."""
        return next((number for number, step in enumerate(self.steps) if step.key == key), len(self.steps))

    def after(self, key: str) -> Step | None:
        """Give the step that stands after another; None after the last."""
        following = self.place(key) + 1
        return self.steps[following] if following < len(self.steps) else None

    @property
    def has_conditions(self) -> bool:
        """Whether a run must know the event, the recipient and what earlier steps came to."""
        return any(step.condition is not None for step in self.steps)

    @property
    def needs_params(self) -> bool:
        """Whether it waits for signals that are about a parameter of the trigger."""
        return any(match.needs_params for step in self.steps for match in step.listens)

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "key": self.key,
            "version": self.version,
            "steps": [step_to_json(step) for step in self.steps],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` gave.

        Raises:
            NotifierInvalid: It has something that this version does not know, or lacks something.
        """
        if set(values) != {"key", "version", "steps"} or not isinstance(values["steps"], list | tuple):
            raise NotifierInvalid(
                f"a stored workflow has key, version and steps, not {', '.join(sorted(map(str, values))) or 'nothing'}"
            )
        steps = [step_from_json(one) for one in values["steps"]]
        return cls(values["key"], version=values["version"], steps=steps)
