"""One step of a job: its name, its call and its value. What is remembered of it is elsewhere."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from aquila.errors import ConfigError
from jobs.arguments import plain_result

T = TypeVar("T")

#: Characters of a step's name.
NAME_LENGTH = 200
#: Names of what the runner itself remembers.
RESERVED = "aquila."
#: Bytes of a step's value as JSON.
LARGEST_VALUE = 1_000_000


def check_step_name(name: object) -> None:
    """Check what a step is called.

    Raises:
        ConfigError: It cannot be a name.
    """
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ConfigError(f"step: {name!r} must be a name; write step('charge', function, ...)")
    if len(name) > NAME_LENGTH:
        raise ConfigError(
            f"step: the name {name[:40]!r}... has {len(name)} characters; use at most {NAME_LENGTH}"
        )
    if name.startswith(RESERVED):
        raise ConfigError(f"step: {name!r} begins with {RESERVED!r}, which is the runner's; use another name")


def plain_step(name: str, value: object) -> Any:
    """Turn what a step returned into JSON values.

    Raises:
        ConfigError: It is neither JSON nor a pydantic model, or too long.
    """
    try:
        plain = plain_result(value)
    except ConfigError as error:
        what = str(error).removeprefix("the result of the actor ")
        raise ConfigError(f"step {name!r}: its value {what}") from error
    try:
        size = json_size(plain)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"step {name!r}: its value cannot be stored: {error}") from error
    if size > LARGEST_VALUE:
        raise ConfigError(
            f"step {name!r}: its value has {size:,} bytes as JSON, and a row keeps {LARGEST_VALUE:,}; "
            "store it elsewhere and return where it is"
        )
    return plain


def json_size(plain: Any) -> int:
    """Count the bytes of JSON values as a row keeps them."""
    return len(json.dumps(plain))


async def step_value(
    name: str,
    run: Callable[[], Any],
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] | None = None,
    kept: Callable[[Any], T] | None = None,
) -> Any:
    """Call a step's function and give its value as JSON values.

    Args:
        name: The step's name.
        run: The call: async, plain, or plain with something to await.
        in_thread: Runs a plain function.
        kept: Told the value of a plain function inside its thread, which goes on when the step is cancelled.

    Raises:
        ConfigError: What it returned cannot be a step's value.
    """
    if inspect.iscoroutinefunction(run):
        return plain_step(name, await run())

    def work() -> Any:
        value = run()
        if inspect.isawaitable(value):
            return value
        plain = plain_step(name, value)
        if kept is not None:
            kept(plain)
        return plain

    value = await (in_thread or left_behind)(work)
    return plain_step(name, await value) if inspect.isawaitable(value) else value


async def left_behind(work: Callable[[], T]) -> T:
    """Run a call in a thread of its own, which goes on when this is cancelled."""
    return await to_thread.run_sync(work, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
