"""`ask`, `stream` and `results` for synchronous callers."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar, Unpack, overload

import anyio

from aquila.client import stream as prepare
from aquila.errors import AquilaError
from aquila.options import Options
from aquila.prompt import Prompt
from aquila.response import Response
from aquila.streams import Stream
from aquila.sync.errand import Errand
from aquila.sync.portal import refuse_in_loop
from aquila.sync.streams import SyncStream

T = TypeVar("T")


@overload
def ask(prompt: Prompt | None = None, *, output: type[T], **options: Unpack[Options]) -> Response[T]: ...
@overload
def ask(prompt: Prompt | None = None, *, output: Any = None, **options: Unpack[Options]) -> Response[Any]: ...
def ask(prompt: Prompt | None = None, *, output: Any = None, **options: Unpack[Options]) -> Response[Any]:
    """Run to the end and give the whole answer.

    Args:
        prompt: Text, content parts, a message, or a list of messages; None when `messages` says it all.
        output: The type the answer must have: a pydantic model, a dataclass, `list[str]`; None for text.
        options: See `Options`.

    Raises:
        ConfigError: An option's value cannot be used, or an event loop runs in this thread.
        AquilaError: The run failed; `error.partial` holds what had come.
        TypeError: An option is unknown.
    """
    refuse_in_loop("ask", "await aquila.ask(...)")
    return SyncStream(prepare(prompt, output=output, **options)).response()


@overload
def stream(prompt: Prompt | None = None, *, output: type[T], **options: Unpack[Options]) -> SyncStream[T]: ...
@overload
def stream(
    prompt: Prompt | None = None, *, output: Any = None, **options: Unpack[Options]
) -> SyncStream[Any]: ...
def stream(
    prompt: Prompt | None = None, *, output: Any = None, **options: Unpack[Options]
) -> SyncStream[Any]:
    """Prepare a run; nothing is sent until the SyncStream is iterated or its response is asked for.

    What else gives a Stream, a Client or `aquila.resume`, serves threads as well: `SyncStream(client.stream(...))`.

    Args:
        prompt: Text, content parts, a message, or a list of messages; None when `messages` says it all.
        output: The type the answer must have: a pydantic model, a dataclass, `list[str]`; None for text.
        options: See `Options`.

    Raises:
        ConfigError: An option's value cannot be used, or an event loop runs in this thread.
        TypeError: An option is unknown.
    """
    refuse_in_loop("stream", "async with aquila.stream(...)")
    return SyncStream(prepare(prompt, output=output, **options))


def results(*streams: Stream[T]) -> list[Response[T]]:
    """Run several streams at the same time and give their answers in the order of the arguments.

    The first failure ends the others.

    Args:
        streams: What `aquila.stream(...)`, or a Client's, gives.

    Raises:
        ConfigError: An event loop runs in this thread.
        AquilaError: What the first of them failed with.
    """
    refuse_in_loop("results", "anyio.create_task_group()")
    errand = Errand(partial(_together, streams), stopped=_closed)
    errand.begin()
    return errand.wait()


async def _together(streams: tuple[Stream[T], ...]) -> list[Response[T]]:
    answers: dict[int, Response[T]] = {}
    failures: list[Exception] = []

    async def run(number: int, one: Stream[T]) -> None:
        try:
            answers[number] = await one
        except Exception as error:  # noqa: BLE001 - raised below, on its own instead of in a group
            failures.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for number, one in enumerate(streams):
            tasks.start_soon(run, number, one)
    if failures:
        raise failures[0]
    return [answers[number] for number in range(len(streams))]


async def _closed() -> AquilaError:
    return AquilaError("the runs were closed before their end")
