"""`tool`: a function becomes something a model may call."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import getdoc
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar, cast, overload

from aquila.call import FunctionTool
from aquila.errors import ConfigError
from aquila.tool_call import ToolCall
from aquila.tools.arguments import Arguments, TypedArguments
from aquila.tools.docstring import read_docstring
from aquila.tools.raw_arguments import RawArguments
from aquila.tools.signature import label, plain_function
from aquila.tools.strictness import why_not_strict

P = ParamSpec("P")
R = TypeVar("R")

#: Whether a person must approve a call; a function decides call by call.
Approval: TypeAlias = bool | Callable[[ToolCall], bool]
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool(Generic[P, R]):
    """A function the model may call; made by `tool`. Calling it calls the function."""

    name: str
    description: str
    #: The JSON Schema of the arguments.
    parameters: Mapping[str, Any]
    #: True holds the model to the schema.
    strict: bool
    function: Callable[P, R]
    #: Seconds one call may take; None: what the run says (`Timeouts.tool`).
    timeout: float | None
    needs_approval: Approval
    #: True: it only reads, so a call may be run again where a recorded result would do.
    repeatable: bool
    #: Turns what the model wrote into the function's arguments.
    arguments: Arguments = field(repr=False)
    #: The options given to `tool`.
    options: Mapping[str, Any] = field(repr=False)

    @property
    def spec(self) -> FunctionTool:
        """The tool as the provider is told about it."""
        return FunctionTool(
            name=self.name, description=self.description, parameters=self.parameters, strict=self.strict
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self.function(*args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Tool[..., R]:
        """Bind a tool declared in a class to an object, as a method is bound."""
        if instance is None:
            return self
        bound: Callable[..., R] = cast("Any", self.function).__get__(instance, owner)
        return _make(bound, self.options)


@overload
def tool(
    function: Callable[P, R],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    strict: bool | None = None,
    timeout: float | None = None,
    needs_approval: Approval = False,
    repeatable: bool = False,
) -> Tool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    strict: bool | None = None,
    timeout: float | None = None,
    needs_approval: Approval = False,
    repeatable: bool = False,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    strict: bool | None = None,
    timeout: float | None = None,
    needs_approval: Approval = False,
    repeatable: bool = False,
) -> Any:
    """Make a tool of a function: `@tool`, `@tool(name="...")` or `tool(function, name="...")`.

    The schema comes from the signature, and what each argument is from the `Args:` of a Google-style docstring. A
    parameter annotated with `Context` gets the run's context. A plain function runs in a worker thread, a coroutine
    function on the event loop.

    Args:
        function: A function, a method, a partial or an object with `__call__`.
        name: What the model calls it. None: the function's name.
        description: What the model is told it does. None: the docstring.
        parameters: A JSON Schema instead of the signature's; the arguments are then passed as the model wrote them.
        strict: True holds the model to the schema. None: wherever the schema allows it, which no optional parameter does.
        timeout: Seconds one call may take; `math.inf` sets no limit. None: the `tool` clock of the run.
        needs_approval: True: the run pauses for a person's word. A function of the call decides case by case.
        repeatable: True: the tool only reads, and its value must be fresh. False: inside a job, a call that an earlier
            attempt has run is not run again; the model gets the recorded result.

    Raises:
        ConfigError: The function cannot be a tool, or an option cannot be used; the message names both.
    """
    options = {
        "name": name,
        "description": description,
        "parameters": parameters,
        "strict": strict,
        "timeout": timeout,
        "needs_approval": needs_approval or None,
        "repeatable": repeatable or None,
    }
    given = {option: value for option, value in options.items() if value is not None}
    _check_options(given)
    if function is None:
        return lambda decorated: _make(decorated, given)
    return _make(function, given)


def _check_options(options: Mapping[str, Any]) -> None:
    for name, kind, wanted in (
        ("name", str, "text"),
        ("description", str, "text"),
        ("strict", bool, "True or False"),
        ("repeatable", bool, "True or False"),
    ):
        value = options.get(name)
        if value is not None and not isinstance(value, kind):
            raise ConfigError(f"tool: {name}={value!r} must be {wanted}")
    approval = options.get("needs_approval", False)
    if not isinstance(approval, bool) and not callable(approval):
        raise ConfigError(f"tool: needs_approval={approval!r} must be True, False or a function of the call")


def _make(given: Callable[..., Any], options: Mapping[str, Any]) -> Tool[..., Any]:
    function = given
    if isinstance(given, Tool):
        function, options = given.function, {**given.options, **options}
    docs = read_docstring(getdoc(plain_function(function)))
    raw = options.get("parameters")
    arguments: Arguments = (
        TypedArguments(function, docs.arguments) if raw is None else RawArguments(function, raw)
    )
    description = options.get("description")
    return Tool(
        name=_name(function, options.get("name")),
        description=docs.description if description is None else description,
        parameters=arguments.schema,
        strict=_strict(label(function), arguments.schema, wanted=options.get("strict")),
        function=function,
        timeout=_timeout(function, options.get("timeout")),
        needs_approval=options.get("needs_approval", False),
        repeatable=options.get("repeatable", False),
        arguments=arguments,
        options=options,
    )


def _name(function: Callable[..., Any], given: str | None) -> str:
    plain = plain_function(function)
    own = getattr(plain, "__name__", "")
    name = given or (type(function).__name__ if own == "__call__" else own)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"tool {label(function)}: the name {name!r} cannot be sent; give a name= of 1 to 64 letters, digits, _ or -"
        )
    return name


def _strict(name: str, schema: Mapping[str, Any], *, wanted: bool | None) -> bool:
    reason = why_not_strict(schema)
    if wanted and reason:
        raise ConfigError(f"tool {name}: strict=True, but {reason}; change that, or leave strict out")
    return reason is None if wanted is None else wanted


def _timeout(function: Callable[..., Any], given: Any) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or math.isnan(given) or given <= 0:
        raise ConfigError(f"tool {label(function)}: timeout={given!r} must be seconds above 0, or None")
    return float(given)
