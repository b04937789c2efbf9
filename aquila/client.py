"""`Client`, and the functions `ask` and `stream` for those who need none."""

from __future__ import annotations

from types import TracebackType
from typing import Self, Unpack, cast
from uuid import uuid4

from aquila.cassette import Scope
from aquila.options import Options, check_names, make_plan
from aquila.prompt import Prompt
from aquila.response import Response
from aquila.settings import read_settings
from aquila.streams import Stream


class Client:
    """Defaults for many calls.

    Any option of `ask` and `stream` may be given here; a call's own options win. A transport given here stays the
    caller's to close. The environment is read once, when the Client is made. It needs no closing, and may be used as
    `async with aquila.Client(...) as client` all the same.

    Example:
        `client = aquila.Client(model="local", temperature=0)`, then `await client.ask("Hello")`.

    Raises:
        ConfigError: The environment holds a value that cannot be used.
        TypeError: An option is unknown.
    """

    def __init__(self, **defaults: Unpack[Options]) -> None:
        check_names(defaults)
        self._defaults = defaults
        self._settings = read_settings()
        # The calls of a client share its cassette, as those inside a `use` block share theirs.
        cassette = self._defaults.pop("cassette", None)
        self._scope = Scope(cassette) if cassette is not None else None

    def stream(self, prompt: Prompt | None = None, **options: Unpack[Options]) -> Stream:
        """Prepare a run; nothing is sent until the Stream is entered, iterated or awaited.

        Args:
            prompt: Text, a message, or a list of messages; None when `messages` says it all.
            options: See `Options`.

        Raises:
            ConfigError: An option's value cannot be used.
            TypeError: An option is unknown.
        """
        check_names(options)
        given = {name: value for name, value in options.items() if value is not None}
        merged = cast("Options", {**self._defaults, **given})
        ref = uuid4().hex
        plan = make_plan(prompt, merged, self._settings, ref, self._scope)
        return Stream(lambda: plan, ref=ref, sink=merged.get("sink"))

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

    async def ask(self, prompt: Prompt | None = None, **options: Unpack[Options]) -> Response:
        """Run to the end and give the whole answer; the same as awaiting `stream`.

        Raises:
            ConfigError: An option's value cannot be used.
            AquilaError: The run failed; `error.partial` holds what had come.
            TypeError: An option is unknown.
        """
        return await self.stream(prompt, **options)


def stream(prompt: Prompt | None = None, **options: Unpack[Options]) -> Stream:
    """Prepare a run; nothing is sent until the Stream is entered, iterated or awaited.

    Args:
        prompt: Text, a message, or a list of messages; None when `messages` says it all.
        options: See `Options`.

    Raises:
        ConfigError: An option's value cannot be used.
        TypeError: An option is unknown.
    """
    return Client().stream(prompt, **options)


async def ask(prompt: Prompt | None = None, **options: Unpack[Options]) -> Response:
    """Run to the end and give the whole answer; the same as awaiting `stream`.

    Args:
        prompt: Text, a message, or a list of messages; None when `messages` says it all.
        options: See `Options`.

    Raises:
        ConfigError: An option's value cannot be used.
        AquilaError: The run failed; `error.partial` holds what had come.
        TypeError: An option is unknown.
    """
    return await Client().stream(prompt, **options)
