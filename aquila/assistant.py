"""`Assistant`: one conversation, turn after turn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Self, TypeVar, Unpack, cast, overload

from aquila.client import Client
from aquila.dialogue import Dialogue, Turn
from aquila.errors import ConfigError
from aquila.messages import Message
from aquila.options import Options, check_names
from aquila.prompt import Prompt, normalise
from aquila.response import Response
from aquila.streams import Stream

T = TypeVar("T")

#: What a conversation keeps itself, so that no turn may say it, and how it is said instead.
_OWN = {
    "messages": "it remembers them; set assistant.messages",
    "tool_context": "it keeps it from turn to turn; set assistant.context",
    "previous_response_id": "it sends the conversation itself",
}


class Assistant:
    """A conversation that remembers.

    Each turn is asked with all that was said before, and adds the question, the calls of tools with their results, and
    the answer. A turn that fails, is cancelled or waits for a person's word adds nothing: the conversation is as it was
    before, and may go on. One turn runs at a time.

    Args:
        context: What tools get as `Context.value`; what they patch holds for the turns to come.
        client: Whose defaults, cassette and environment hold; None for a Client of its own.
        options: `instructions`, `tools`, `model` and all other options of `ask`, for every turn; `messages` is the
            conversation so far.

    Example:
        `assistant = aquila.Assistant(instructions="Be brief.", tools=[weather])`, then
        `await assistant.ask("Do I need an umbrella?")`.

    Raises:
        ConfigError: `messages` is no conversation, or the environment holds a value that cannot be used.
        TypeError: An option is unknown.
    """

    def __init__(
        self, *, context: Any = None, client: Client | None = None, **options: Unpack[Options]
    ) -> None:
        check_names(options)
        _refuse(options, ("tool_context", "previous_response_id"))
        self._client = client or Client()
        self._dialogue = Dialogue(context=context)
        #: The options of every turn; changes hold from the next turn on.
        self.options = cast("Options", {name: value for name, value in options.items() if name not in _OWN})
        self.messages = cast("tuple[Message, ...]", options.get("messages") or ())

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far, without the instructions; a new one may be assigned between turns.

        Raises:
            ConfigError: What is assigned is no conversation.
        """
        return self._dialogue.messages

    @messages.setter
    def messages(self, messages: Prompt) -> None:
        self._dialogue.messages = normalise(None, messages=messages) if messages else ()

    @property
    def context(self) -> Any:
        """What tools get as `Context.value`, with their patches so far; a new one may be assigned between turns."""
        return self._dialogue.context

    @context.setter
    def context(self, context: Any) -> None:
        self._dialogue.context = context

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
        """Prepare a turn; nothing is sent until the Stream is entered, iterated or awaited.

        The conversation has the turn when the Stream has given `Done`.

        Args:
            prompt: Text, content parts, a message, or a list of messages; None to have the conversation gone on with.
            output: The type the answer must have: a pydantic model, a dataclass, `list[str]`; None for text.
            options: See `Options`; they hold for this turn alone.

        Raises:
            ConfigError: An option's value cannot be used. When the Stream is used: another turn is running, or has
                been added since.
            TypeError: An option is unknown.
        """
        given = self._given(options)
        turn = given["sink"] = Turn(self._dialogue, given.get("instructions"), given.get("sink"))
        given["messages"] = self.messages or None
        given["tool_context"] = self.context
        return turn.follow(self._client.stream(prompt, output=output, **given))

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
        """Run a turn to its end and give the whole answer; the same as awaiting `stream`.

        Raises:
            ConfigError: An option's value cannot be used, or another turn is running.
            AquilaError: The turn failed; `error.partial` holds what had come.
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
        """Go on with a turn that waits for a person's word; see `Paused`.

        The conversation is then the state's, with the answer.

        Args:
            state: `state` of the Paused error.
            approvals: By call id: True runs the call; False, or a text with the reason, declines it.
            output: As in the turn that was paused.
            options: As in the turn that was paused.

        Raises:
            ConfigError: The state or the approvals cannot be used, or an option's value.
            TypeError: An option is unknown.
        """
        given = self._given(options)
        turn = given["sink"] = Turn(self._dialogue, given.get("instructions"), given.get("sink"))
        return turn.follow(self._client.resume(state, approvals, output=output, **given))

    def fork(self) -> Self:
        """Give a second conversation that has the same past and goes its own way from here on."""
        context = dict(self.context) if isinstance(self.context, Mapping) else self.context
        fork = type(self)(context=context, client=self._client, **self.options)
        fork.messages = self.messages
        return fork

    def to_dict(self) -> dict[str, Any]:
        """Give the conversation as JSON-ready values, for `from_dict`; tools and other options are not part of it.

        Raises:
            ConfigError: `context`, or what was said, is not JSON.
        """
        state = {
            "instructions": self.options.get("instructions"),
            "model": self.options.get("model"),
            "messages": [message.to_dict() for message in self.messages],
            "context": self.context,
        }
        try:
            copy: dict[str, Any] = json.loads(json.dumps(state, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"the conversation or its context cannot be written as JSON: {error}") from None
        return copy

    @classmethod
    def from_dict(
        cls, state: Mapping[str, Any], *, client: Client | None = None, **options: Unpack[Options]
    ) -> Self:
        """Go on with a conversation from another process.

        Args:
            state: What `to_dict` gave.
            client: As for a new Assistant.
            options: As for a new Assistant, tools above all; they win over what the state remembers.

        Raises:
            ConfigError: The state is none of an Assistant's.
            TypeError: An option is unknown.
        """
        if not isinstance(state, Mapping) or not isinstance(state.get("messages"), list):
            raise ConfigError("state: this is no Assistant's state; give what Assistant.to_dict() gave")
        kept = {name: state[name] for name in ("instructions", "model", "messages") if state.get(name)}
        merged = cast("Options", {**kept, **options})
        return cls(context=state.get("context"), client=client, **merged)

    def _given(self, options: Options) -> Options:
        check_names(options)
        _refuse(options, _OWN)
        given = {name: value for name, value in options.items() if value is not None}
        return cast("Options", {**self.options, **given})


def _refuse(options: Options, names: Iterable[str]) -> None:
    for name in names:
        if options.get(name) is not None:
            raise ConfigError(f"{name} is not for an Assistant: {_OWN[name]}")
