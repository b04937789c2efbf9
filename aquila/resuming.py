"""From a pause's state and a person's word to a run that goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

from aquila.errors import ConfigError
from aquila.options import Options
from aquila.plan import Pending
from aquila.response import Usage
from aquila.tools import Toolbox, read_approvals, read_state


@dataclass(frozen=True, slots=True)
class ResumedRun:
    """What a run needs to go on."""

    ref: str
    options: Options
    pending: Pending


def resumed_run(
    state: Mapping[str, Any], approvals: Mapping[str, bool | str], options: Options
) -> ResumedRun:
    """Put the state and the options of the run together.

    Args:
        state: `state` of a Paused error.
        approvals: By call id: True, False or a reason.
        options: What the caller says; it wins over what the state remembers.

    Raises:
        ConfigError: The state or the approvals cannot be used, or a tool is missing.
    """
    if not isinstance(approvals, Mapping):
        raise ConfigError(f"approvals={approvals!r} must be a dict of call ids to True, False or a reason")
    paused = read_state(state)
    toolbox = Toolbox(options.get("tools") or (), context=paused.tool_context)
    missing = [
        call.name for call in paused.calls if call.call_id in approvals and not toolbox.handles(call.name)
    ]
    if missing:
        raise ConfigError(f"tools: the paused run calls {missing[0]!r}; give the tools it was started with")
    waiting = [call for call in paused.calls if toolbox.needs_approval(call)]
    remembered: dict[str, Any] = {
        "model": paused.model,
        "metadata": paused.metadata,
        "tool_context": paused.tool_context,
        "previous_response_id": paused.previous_response_id,
    }
    merged = {
        **{name: value for name, value in remembered.items() if value is not None},
        **options,
        # The conversation is the state's, instructions included.
        "messages": [dict(message) for message in paused.messages],
        "instructions": None,
    }
    pending = Pending(
        calls=paused.calls,
        denied=read_approvals(waiting, approvals),
        round=paused.round,
        usage=_usage(paused.usage),
    )
    return ResumedRun(paused.ref, cast("Options", merged), pending)


def _usage(counts: Mapping[str, int] | None) -> Usage | None:
    # A state may be older or newer than this version.
    known = {field.name for field in fields(Usage)}
    return None if counts is None else Usage(**{name: counts[name] for name in counts if name in known})
