"""From options and environment to a `Plan`: all that a run needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from aquila.call import Call
from aquila.cassette import Scope
from aquila.endpoint import ChatEndpoint, Endpoint, ResponsesEndpoint
from aquila.errors import ConfigError
from aquila.history import repair
from aquila.option_checks import check_values
from aquila.options import Options, check_names
from aquila.plan import Pending, Plan, ToolRules
from aquila.prompt import Prompt, normalise
from aquila.servers import Server, make_server
from aquila.settings import Settings
from aquila.timeouts import Timeouts

if TYPE_CHECKING:
    from aquila.output import Shape

#: What a model that takes over may not bring along: it is the run's own.
_RUN_OPTIONS = frozenset({"cassette", "fallback", "messages", "metadata", "sink", "tools", "tool_context"})


def make_plan(
    prompt: Prompt | None,
    options: Options,
    settings: Settings,
    *,
    ref: str | None = None,
    scope: Scope | None = None,
    output: Any = None,
    pending: Pending | None = None,
) -> Plan:
    """Turn what a call says, and what the environment says, into all that a run needs.

    Args:
        prompt: What to ask.
        options: What the call and its client say.
        settings: What the environment says.
        ref: The run's name; None makes one.
        scope: The client's cassette, for calls that name none.
        output: The type the answer must have; None for text.
        pending: What a resumed run begins with.

    Raises:
        ConfigError: A value cannot be used.
    """
    check_values(options)
    ref = ref or uuid4().hex
    run = _Run(settings, ref, scope, _rules(options, ref), _shape(output), pending)
    others = tuple(run.plan(prompt, _taking_over(item, options)) for item in options.get("fallback") or ())
    plan = run.plan(prompt, options)
    return plan.evolve(fallbacks=others) if others else plan


@dataclass(frozen=True, slots=True)
class _Run:
    """What a run's plans have in common: the first one, and those that take over."""

    settings: Settings
    ref: str
    scope: Scope | None
    rules: ToolRules | None
    shape: Shape[Any] | None
    pending: Pending | None

    def plan(self, prompt: Prompt | None, options: Options) -> Plan:
        model = options.get("model") or self.settings.model
        server = make_server(model, options, self.settings, self.scope)
        call = _call(
            prompt, {"max_output_tokens": server.profile.max_output_tokens, **options, "model": model}, self
        )
        endpoint = _endpoint(options, self.settings, server)
        return Plan(
            ref=self.ref,
            call=call,
            body=endpoint.body(call),
            endpoint=endpoint,
            destination=server.destination,
            rules=self.rules,
            shape=self.shape,
            pending=self.pending,
        )


def _taking_over(item: str | Mapping[str, Any], options: Options) -> Options:
    changes: Mapping[str, Any] = {"model": item} if isinstance(item, str) else item
    if not isinstance(changes, Mapping) or not changes:
        raise ConfigError(f"fallback: {item!r} must be a model's name or a dict of options")
    try:
        check_names(changes)
    except TypeError as error:
        raise ConfigError(f"fallback: {error}") from None
    refused = sorted(_RUN_OPTIONS & set(changes))
    if refused:
        raise ConfigError(f"fallback: {refused[0]} belongs to the whole run; say it beside fallback")
    check_values(changes)
    merged = {**options, **changes}
    if "timeout" in changes:
        merged["timeout"] = _own_clocks(changes["timeout"], Timeouts.of(options.get("timeout")).total)
    return cast("Options", merged)


def _own_clocks(own: Timeouts | float | None, total: float | None) -> Timeouts | float | None:
    """Give the clocks of a model that takes over: its own for its requests, and the run's for the whole.

    Raises:
        ConfigError: Its clocks have a total of their own.
    """
    if Timeouts.of(own).total is not None:
        raise ConfigError(
            f"fallback: timeout={own!r} holds a total, which belongs to the whole run; say it beside fallback, and "
            "give Timeouts(silence=...) or another clock here"
        )
    return replace(own, total=total) if isinstance(own, Timeouts) else total


def _call(prompt: Prompt | None, options: Options, run: _Run) -> Call:
    messages = normalise(prompt, messages=options.get("messages"), instructions=options.get("instructions"))
    reasoning = options.get("reasoning")
    return Call(
        model=options.get("model") or run.settings.model,
        # A run that waits for a person has calls without results for good reason.
        messages=messages if run.pending is not None else repair(messages),
        temperature=options.get("temperature"),
        top_p=options.get("top_p"),
        max_output_tokens=options.get("max_output_tokens"),
        tools=run.rules.tools.specs if run.rules is not None else (),
        tool_choice=options.get("tool_choice"),
        parallel_tool_calls=options.get("parallel_tool_calls"),
        output=run.shape.schema if run.shape is not None else None,
        reasoning={"effort": reasoning} if isinstance(reasoning, str) else reasoning,
        previous_response_id=options.get("previous_response_id"),
        background=options.get("background"),
        metadata=options.get("metadata") or {},
        store=options.get("store"),
        service_tier=options.get("service_tier"),
        extra_body=options.get("extra_body") or {},
    )


def _rules(options: Options, ref: str) -> ToolRules | None:
    tools = options.get("tools")
    if not tools:
        if options.get("tool_choice") not in (None, "none", "auto"):
            raise ConfigError("tool_choice asks for a tool, and tools= names none")
        return None
    from aquila.tools import Toolbox  # noqa: PLC0415 - loads pydantic, which most calls do without

    limit = options.get("parallel_tools")
    max_rounds = options.get("max_rounds")
    toolbox = Toolbox(
        tools,
        context=options.get("tool_context"),
        limit=4 if limit is None else limit,
        timeout=Timeouts.of(options.get("timeout")).tool,
        ref=ref,
    )
    return ToolRules(
        tools=toolbox,
        max_rounds=12 if max_rounds is None else max_rounds,
        on_max_rounds=options.get("on_max_rounds") or "answer",
    )


def _shape(output: Any) -> Shape[Any] | None:
    if output is None:
        return None
    from aquila.output import Shape  # noqa: PLC0415 - loads pydantic, which most calls do without

    return Shape.of(output)


def _endpoint(options: Options, settings: Settings, server: Server) -> Endpoint:
    name = options.get("endpoint") or settings.endpoint
    if name == "auto":
        name = server.profile.endpoint
    if name not in {"chat", "responses"}:
        raise ConfigError(f"endpoint={name!r} is unknown; use 'auto', 'chat' or 'responses'")
    kind = ChatEndpoint if name == "chat" else ResponsesEndpoint
    return kind(server.profile, server.destination.server)
