"""What a run does about the model's calls of tools: run them, ask a person, or make an end of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aquila.call import Call
from aquila.errors import Paused, ToolRoundsExceeded
from aquila.plan import Pending, Plan, ToolRules
from aquila.response import Usage
from aquila.telemetry import RunTelemetry
from aquila.tool_call import ToolCall, ToolResult

if TYPE_CHECKING:
    from aquila.tools import Failures, Repetition


class ToolWork:
    """The calls of one run, round after round.

    Args:
        rules: The run's tools and limits.
        pending: What a resumed run begins with.
    """

    def __init__(self, rules: ToolRules, pending: Pending | None = None) -> None:
        # Only runs with tools need them, and they load pydantic.
        from aquila.tools import Failures, Repetition  # noqa: PLC0415

        self._rules = rules
        self._repetition: Repetition = Repetition()
        self._failures: Failures = Failures()
        #: Rounds of calls so far, the present one included.
        self.rounds = pending.round if pending is not None else 0
        #: Why no more calls are run; None while they are.
        self.ended: str | None = None

    def takes(self, calls: Sequence[ToolCall], finish_reason: str | None) -> bool:
        """Say whether an answer's calls are to be run here.

        Calls of tools that are only declared are the caller's to run, and with them all others of that answer. A call
        that the token limit has cut is nobody's.
        """
        cut = finish_reason == "length" and any(call.arguments is None for call in calls)
        return bool(calls) and not cut and not any(self._rules.tools.declares(call.name) for call in calls)

    def count(self, calls: Sequence[ToolCall]) -> None:
        """Count a round, and notice when it is one too many.

        Raises:
            ToolRoundsExceeded: The model was told to answer without tools, or is not to be asked to.
        """
        told = self.ended is not None
        self.rounds += 1
        if self.rounds > self._rules.max_rounds:
            self.ended = self.ended or f"{self._rules.max_rounds} rounds of calls have run (max_rounds)"
        if self._repetition.note(calls) == "stop":
            self.ended = self.ended or f"the same calls came {self._repetition.count} times in a row"
        if self.ended is not None and (told or self._rules.on_max_rounds == "raise"):
            raise ToolRoundsExceeded(
                f"the model goes on calling tools: {self.ended}; error.partial.messages is the conversation"
            )

    def pause(self, plan: Plan, call: Call, calls: Sequence[ToolCall], usage: Usage | None) -> None:
        """Stop for a person's word.

        Raises:
            Paused: Some of the calls need it.
            ConfigError: The tools' context cannot outlive a pause.
        """
        waiting = tuple(item for item in calls if self._rules.tools.needs_approval(item))
        if self.ended is not None or not waiting:
            return
        from aquila.tools import PauseState  # noqa: PLC0415 - see above

        state = PauseState(
            ref=plan.ref,
            model=call.model,
            messages=tuple(message.to_dict() for message in call.messages),
            calls=tuple(calls),
            round=self.rounds,
            tool_context=self._rules.tools.context,
            usage=usage.to_dict() if usage else None,
            metadata=call.metadata,
            previous_response_id=call.previous_response_id,
        ).to_dict()
        names = ", ".join(item.name for item in waiting)
        raise Paused(
            f"{names}: a person must approve; go on with aquila.resume(error.state, {{call_id: True or False}})",
            state=state,
            calls=waiting,
        )

    async def run(
        self, calls: Sequence[ToolCall], denied: Mapping[str, str], telemetry: RunTelemetry | None = None
    ) -> list[ToolResult]:
        """Run the calls of one round; when an end has been made, only say so to each."""
        if self.ended is not None:
            return [ToolResult(call.call_id, call.name, f"not run: {self.ended}", "error") for call in calls]
        watch = telemetry.tool if telemetry is not None else None
        results = await self._rules.tools.run(calls, denied=denied, watch=watch)
        if self._failures.note(results):
            self.ended = f"every call of {self._failures.count} rounds in a row has failed"
        if self._repetition.warns:
            results = [
                replace(result, output=f"{result.output}\n\n{self._repetition.warning}") for result in results
            ]
        return results
