"""`normalise` turns every accepted prompt into a list of messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast, get_args

from aquila.errors import ConfigError
from aquila.messages import Message, Role

ROLES: tuple[str, ...] = get_args(Role)
Prompt: TypeAlias = str | Message | Mapping[str, Any] | Iterable[Message | Mapping[str, Any]]


def normalise(
    prompt: Prompt | None, *, messages: Prompt | None = None, instructions: str | None = None
) -> tuple[Message, ...]:
    """Join instructions, earlier messages and the new prompt, in this order.

    Args:
        prompt: A string (one user message), a message, or several; None when `messages` says it all.
        messages: The conversation so far, put before the prompt.
        instructions: The system text; put first.

    Raises:
        ConfigError: Nothing to send, or something that is no message.
    """
    turns = [*_turns("messages", messages), *_turns("prompt", prompt)]
    if not turns:
        raise ConfigError("prompt: nothing to send; give a prompt or messages")
    system = [Message(role="system", content=instructions)] if instructions else []
    return (*system, *turns)


def _turns(field_name: str, value: Prompt | None) -> list[Message]:
    if value is None:
        return []
    if isinstance(value, str):
        return [_filled(field_name, Message(role="user", content=value))]
    if isinstance(value, Message | Mapping):
        return [_turn(field_name, value)]
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return [_turn(field_name, item) for item in value]
    raise ConfigError(
        f"{field_name}: {type(value).__name__} is no prompt; give a string or a list of messages"
    )


def _turn(field_name: str, item: object) -> Message:
    if isinstance(item, Message):
        return _filled(field_name, item)
    if not isinstance(item, Mapping):
        raise ConfigError(
            f"{field_name}: {type(item).__name__} is no message; give a Message or a dict with a role"
        )
    role = item.get("role")
    if role not in ROLES:
        raise ConfigError(f"{field_name}: role {role!r} is unknown; use one of {', '.join(ROLES)}")
    extra = {key: value for key, value in item.items() if key not in {"role", "content"}}
    return _filled(field_name, Message(role=cast("Role", role), content=item.get("content"), extra=extra))


def _filled(field_name: str, message: Message) -> Message:
    blank = not message.content or (isinstance(message.content, str) and not message.content.strip())
    # An assistant's turn may be a tool call alone; what a person says may not be nothing.
    if blank and message.role == "user":
        raise ConfigError(f"{field_name}: the user's message is empty; give it some content")
    return message
