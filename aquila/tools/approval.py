"""The pause for a person's word: the state of a run as JSON, and what the person said. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aquila.errors import ConfigError
from aquila.tool_call import ToolCall, ToolResult

_VERSION = 1
_DECLINED = "the user did not approve this call"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseState:
    """All that a paused run needs to go on, in another process too; it holds the conversation and no secret."""

    #: The run's name.
    ref: str
    model: str
    #: The conversation so far, as `Message.to_dict` gives it.
    messages: tuple[Mapping[str, Any], ...]
    #: The calls of the round that was interrupted, in order.
    calls: tuple[ToolCall, ...]
    #: Results of those of `calls` that ran before the pause.
    results: tuple[ToolResult, ...] = ()
    #: The number of that round, from 1.
    round: int = 1
    #: The run's context with the patches so far; JSON values only.
    tool_context: Any = None
    #: Tokens used so far, as `Usage.to_dict` gives them; None when the provider sent none.
    usage: Mapping[str, int] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    previous_response_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give the state as JSON values, for `read_state`.

        Raises:
            ConfigError: The context, the metadata or a message holds something that is no JSON; the error says where.
        """
        return {
            "version": _VERSION,
            "ref": self.ref,
            "model": self.model,
            "messages": check_json("messages", list(self.messages)),
            "calls": [_call_dict(call) for call in self.calls],
            "results": [_result_dict(result) for result in self.results],
            "round": self.round,
            "tool_context": check_json("tool_context", self.tool_context),
            "usage": None if self.usage is None else dict(self.usage),
            "metadata": check_json("metadata", self.metadata),
            "previous_response_id": self.previous_response_id,
        }


def read_state(state: Mapping[str, Any]) -> PauseState:
    """Read what `PauseState.to_dict` gave.

    Raises:
        ConfigError: It is no such state; the error names the field that is wrong.
    """
    if not isinstance(state, Mapping):
        raise ConfigError(f"state: {type(state).__name__} is no dict; give the `state` of a Paused error")
    if state.get("version") != _VERSION:
        raise ConfigError(
            f"state: version={state.get('version')!r} cannot be read; this version of Aquila reads {_VERSION}"
        )
    return PauseState(
        ref=_read(state, "ref", str),
        model=_read(state, "model", str),
        messages=tuple(_read_list(state, "messages", dict)),
        calls=tuple(_read_list(state, "calls", _read_call)),
        results=tuple(_read_list(state, "results", _read_result)),
        round=_read(state, "round", int),
        tool_context=state.get("tool_context"),
        usage=_read_usage(state),
        metadata=dict(_read(state, "metadata", Mapping)),
        previous_response_id=_read(state, "previous_response_id", str, optional=True),
    )


def read_approvals(calls: Sequence[ToolCall], approvals: Mapping[str, bool | str]) -> dict[str, str]:
    """Read what a person said of the calls, and give the reasons of those that must not run, by call id.

    Args:
        calls: The calls that were asked about.
        approvals: By call id: True approves; False, or a text with the reason, declines.

    Raises:
        ConfigError: A call has no word, or a word has no call or is of another kind; the error names the ids.
    """
    if not isinstance(approvals, Mapping):
        raise ConfigError(f"approvals: {type(approvals).__name__} is no dict of call ids")
    asked = {call.call_id: call.name for call in calls}
    missing = [f"{call_id!r} ({name})" for call_id, name in asked.items() if call_id not in approvals]
    if missing:
        raise ConfigError(f"approvals: nothing is said of {', '.join(missing)}; give True, False or a reason")
    unknown = [repr(call_id) for call_id in approvals if call_id not in asked]
    if unknown:
        raise ConfigError(f"approvals: no call that waits has the id {', '.join(unknown)}")
    for call_id, word in approvals.items():
        if not isinstance(word, bool | str):
            raise ConfigError(f"approvals: {call_id!r} is {word!r}; give True, False or a reason")
    return {call_id: word or _DECLINED for call_id, word in approvals.items() if word is not True}


def check_json(name: str, value: Any) -> Any:
    """Copy a value that is JSON through and through; tuples become lists.

    Args:
        name: What the error calls the value.
        value: What to copy.

    Raises:
        ConfigError: Something in it is no JSON; the error says where.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case list() | tuple():
            return [check_json(f"{name}.{place}", item) for place, item in enumerate(value)]
        case Mapping() if all(isinstance(key, str) for key in value):
            return {key: check_json(f"{name}.{key}", item) for key, item in value.items()}
    raise ConfigError(
        f"{name} holds a {type(value).__name__}, which cannot outlive a pause; keep JSON values in it, with text as keys"
    )


def _call_dict(call: ToolCall) -> dict[str, Any]:
    arguments = check_json(f"arguments of {call.name}", call.arguments)
    return {"call_id": call.call_id, "name": call.name, "arguments": arguments, "text": call.text}


def _result_dict(result: ToolResult) -> dict[str, Any]:
    return {
        "call_id": result.call_id,
        "name": result.name,
        "output": result.output,
        "status": result.status,
    }


def _read(state: Mapping[str, Any], name: str, kind: type, *, optional: bool = False) -> Any:
    value = state.get(name)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    if optional and value is None:
        return None
    return _refuse(name, value)


def _read_list(state: Mapping[str, Any], name: str, read: Callable[[Any], Any]) -> list[Any]:
    items = []
    for place, item in enumerate(_read(state, name, list)):
        if not isinstance(item, Mapping):
            _refuse(f"{name}.{place}", item)
        try:
            items.append(read(item))
        except ConfigError as error:
            raise ConfigError(str(error).replace("state: ", f"state: {name}.{place}.", 1)) from error
    return items


def _read_call(item: Mapping[str, Any]) -> ToolCall:
    arguments = _read(item, "arguments", Mapping, optional=True)
    return ToolCall(
        call_id=_read(item, "call_id", str),
        name=_read(item, "name", str),
        arguments=arguments,
        text=_read(item, "text", str),
    )


def _read_result(item: Mapping[str, Any]) -> ToolResult:
    status = item.get("status")
    return ToolResult(
        call_id=_read(item, "call_id", str),
        name=_read(item, "name", str),
        output=_read(item, "output", str),
        status=status if status in {"ok", "error"} else _refuse("status", status),
    )


def _read_usage(state: Mapping[str, Any]) -> dict[str, int] | None:
    usage = _read(state, "usage", Mapping, optional=True)
    if usage is None:
        return None
    return {name: _read(usage, name, int) for name in usage}


def _refuse(name: str, value: Any) -> NoReturn:
    raise ConfigError(f"state: {name}={value!r} cannot be used; give the `state` of a Paused error as it was")
