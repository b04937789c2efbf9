"""`Client`, and the functions `ask`, `stream` and `resume` for those who need none."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast, overload

from aquila.cassette import Scope
from aquila.errors import ConfigError
from aquila.option_checks import check_values
from aquila.options import Options, check_names
from aquila.planning import make_plan
from aquila.prompt import Prompt
from aquila.response import Response
from aquila.settings import read_settings
from aquila.streams import Stream

T = TypeVar("T")

#: Options of a call that are joined with its client's instead of replacing them.
_JOINED = ("extra_body", "extra_headers", "metadata")


class Client:
    """Defaults for many calls.

    Any option of `ask` and `stream` may be given here; a call's own options win, and its `extra_body`, `extra_headers` and
    `metadata` are joined with these. A transport given here stays the
    caller's to close. The environment is read once, when the Client is made. It needs no closing, and may be used as
    `async with aquila.Client(...) as client` all the same.

    Example:
        `client = aquila.Client(model="local", temperature=0)`, then `await client.ask("Hello")`.

    Raises:
        ConfigError: A value cannot be used, here or in the environment.
        TypeError: An option is unknown.
    """

    def __init__(self, **defaults: Unpack[Options]) -> None:
        check_names(defaults)
        check_values(defaults)
        self._defaults = defaults
        self._settings = read_settings()
        # The calls of a client share its cassette, as those inside a `use` block share theirs.
        cassette = self._defaults.pop("cassette", None)
        self._scope = Scope(cassette) if cassette is not None else None

    def __repr__(self) -> str:
        # Names alone: among the values may be a key.
        return f"<Client with {', '.join(sorted(self._defaults)) or 'no defaults'}>"

    @overload
    def stream(
        self, prompt: Prompt | None = None, *, output: type[T], **options: Unpack[Options]
    ) -> Stream[T]: ...
    @overload
    def stream(
        self, prompt: Prompt | None = None, *, output: Any = None, **options: Unpack[Options]
    ) -> Stream[Any]: ...
    def stream(
        self, prompt: Prompt | None = None, *, output: Any = None, **options: Unpack[Options]
    ) -> Stream[Any]:
        """Prepare a run; nothing is sent until the Stream is entered, iterated or awaited.

        Args:
            prompt: Text, content parts, a message, or a list of messages; None when `messages` says it all.
            output: The type the answer must have: a pydantic model, a dataclass, `list[str]`; None for text.
            options: See `Options`.

        Raises:
            ConfigError: An option's value cannot be used.
            TypeError: An option is unknown.
        """
        merged = self._merged(options)
        plan = make_plan(prompt, merged, self._settings, scope=self._scope, output=output)
        return Stream(plan, sink=merged.get("sink"))

    @overload
    async def ask(
        self, prompt: Prompt | None = None, *, output: type[T], **options: Unpack[Options]
    ) -> Response[T]: ...
    @overload
    async def ask(
        self, prompt: Prompt | None = None, *, output: Any = None, **options: Unpack[Options]
    ) -> Response[Any]: ...
    async def ask(
        self, prompt: Prompt | None = None, *, output: Any = None, **options: Unpack[Options]
    ) -> Response[Any]:
        """Run to the end and give the whole answer; the same as awaiting `stream`.

        Raises:
            ConfigError: An option's value cannot be used.
            AquilaError: The run failed; `error.partial` holds what had come.
            TypeError: An option is unknown.
        """
        return await self.stream(prompt, output=output, **options)

    def resume(
        self,
        state: Mapping[str, Any],
        approvals: Mapping[str, bool | str],
        *,
        output: Any = None,
        **options: Unpack[Options],
    ) -> Stream[Any]:
        """Go on with a run that waits for a person's word; see `Paused`.

        Args:
            state: `state` of the Paused error, from this process or another.
            approvals: By call id: True runs the call; False, or a text with the reason, declines it.
            output: As in the run that was paused.
            options: As in the run that was paused; its tools above all, as no state can hold functions. The conversation,
                instructions included, is the state's.

        Raises:
            ConfigError: The state or the approvals cannot be used, or an option's value.
            TypeError: An option is unknown.
        """
        merged = self._merged(options)
        if options.get("messages") is not None:
            raise ConfigError("messages: a paused run goes on with its own conversation; leave it out")
        from aquila.resuming import resumed_run  # noqa: PLC0415 - loads pydantic, which most calls do without

        again = resumed_run(state, approvals, merged)
        plan = make_plan(
            None,
            again.options,
            self._settings,
            ref=again.ref,
            scope=self._scope,
            output=output,
            pending=again.pending,
        )
        return Stream(plan, sink=merged.get("sink"))

    async def aclose(self) -> None:
        """Write what the client's cassette still holds back. Its connections belong to the event loop and end with it.

        Raises:
            CassetteError: The cassette cannot be written.
        """
        if self._scope is not None:
            self._scope.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _merged(self, options: Options) -> Options:
        check_names(options)
        given = {name: value for name, value in options.items() if value is not None}
        merged: dict[str, Any] = {**self._defaults, **given}
        for name in _JOINED:
            ours, own = self._defaults.get(name), given.get(name)
            if isinstance(ours, Mapping) and isinstance(own, Mapping):
                merged[name] = {**ours, **own}
        return cast("Options", merged)


@overload
def stream(prompt: Prompt | None = None, *, output: type[T], **options: Unpack[Options]) -> Stream[T]: ...
@overload
def stream(
    prompt: Prompt | None = None, *, output: Any = None, **options: Unpack[Options]
) -> Stream[Any]: ...
def stream(prompt: Prompt | None = None, *, output: Any = None, **options: Unpack[Options]) -> Stream[Any]:
    """Prepare a run; nothing is sent until the Stream is entered, iterated or awaited.

    Args:
        prompt: Text, content parts, a message, or a list of messages; None when `messages` says it all.
        output: The type the answer must have: a pydantic model, a dataclass, `list[str]`; None for text.
        options: See `Options`.

    Raises:
        ConfigError: An option's value cannot be used.
        TypeError: An option is unknown.
    """
    return Client().stream(prompt, output=output, **options)


@overload
async def ask(
    prompt: Prompt | None = None, *, output: type[T], **options: Unpack[Options]
) -> Response[T]: ...
@overload
async def ask(
    prompt: Prompt | None = None, *, output: Any = None, **options: Unpack[Options]
) -> Response[Any]: ...
async def ask(
    prompt: Prompt | None = None, *, output: Any = None, **options: Unpack[Options]
) -> Response[Any]:
    """Run to the end and give the whole answer; the same as awaiting `stream`.

    Args:
        prompt: Text, content parts, a message, or a list of messages; None when `messages` says it all.
        output: The type the answer must have: a pydantic model, a dataclass, `list[str]`; None for text.
        options: See `Options`.

    Raises:
        ConfigError: An option's value cannot be used.
        AquilaError: The run failed; `error.partial` holds what had come.
        TypeError: An option is unknown.
    """
    return await Client().stream(prompt, output=output, **options)


def resume(
    state: Mapping[str, Any],
    approvals: Mapping[str, bool | str],
    *,
    output: Any = None,
    **options: Unpack[Options],
) -> Stream[Any]:
    """Go on with a run that waits for a person's word; see `Paused`.

    Args:
        state: `state` of the Paused error, from this process or another.
        approvals: By call id: True runs the call; False, or a text with the reason, declines it.
        output: As in the run that was paused.
        options: As in the run that was paused; its tools above all, as no state can hold functions.

    Raises:
        ConfigError: The state or the approvals cannot be used, or an option's value.
        TypeError: An option is unknown.
    """
    return Client().resume(state, approvals, output=output, **options)
