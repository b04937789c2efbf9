"""`normalise` turns every accepted prompt into a list of messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast, get_args

from aquila.errors import ConfigError
from aquila.messages import INSTRUCTIONS, Content, Message, Role

ROLES: tuple[str, ...] = get_args(Role)
#: Text, a message, or several; text and content parts in a list are one message of the user's.
Prompt: TypeAlias = str | Message | Mapping[str, Any] | Iterable[Message | Mapping[str, Any] | str]


def normalise(
    prompt: Prompt | None, *, messages: Prompt | None = None, instructions: str | None = None
) -> tuple[Message, ...]:
    """Join instructions, earlier messages and the new prompt, in this order.

    Instructions take the place of those that an earlier call put in front of its conversation.

    Args:
        prompt: A string or content parts (one user message), a message, or several; None when `messages` says it all.
        messages: The conversation so far, put before the prompt.
        instructions: The system text; put first.

    Raises:
        ConfigError: Nothing to send, or something that is no message.
    """
    turns = [*_turns("messages", messages), *_turns("prompt", prompt)]
    if not turns:
        raise ConfigError("prompt: nothing to send; give a prompt or messages")
    if not instructions:
        return tuple(turns)
    said = Message(role="system", content=instructions, provider=INSTRUCTIONS)
    kept = [turn for turn in turns if turn.provider != INSTRUCTIONS]
    # Somebody who passes the conversation on by hand may have lost who wrote them.
    return (
        said,
        *(kept[1:] if kept[:1] and kept[0].role == "system" and kept[0].content == instructions else kept),
    )


def _turns(field_name: str, value: Prompt | None) -> list[Message]:
    if value is None:
        return []
    if isinstance(value, str):
        return [_filled(field_name, Message(role="user", content=value))]
    if isinstance(value, Mapping) and _is_part(value):
        return [Message(role="user", content=[dict(value)])]
    if isinstance(value, Message | Mapping):
        return [_turn(field_name, value)]
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return _listed(field_name, list(value))
    raise ConfigError(
        f"{field_name}: {type(value).__name__} is no prompt; give a string or a list of messages"
    )


def _listed(field_name: str, items: list[Any]) -> list[Message]:
    parts = [item for item in items if isinstance(item, str) or _is_part(item)]
    if not parts:
        return [_turn(field_name, item) for item in items]
    if len(parts) != len(items):
        raise ConfigError(
            f"{field_name}: content parts and messages stand side by side; "
            "put the parts into a message: {'role': 'user', 'content': [...]}"
        )
    return [_filled(field_name, Message(role="user", content=_content(field_name, parts)))]


def _is_part(item: object) -> bool:
    return isinstance(item, Mapping) and "role" not in item and isinstance(item.get("type"), str)


def _turn(field_name: str, item: object) -> Message:
    if isinstance(item, Message):
        return _filled(field_name, item)
    if not isinstance(item, Mapping):
        raise ConfigError(
            f"{field_name}: {type(item).__name__} is no message; give a Message or a dict with a role"
        )
    known = {"role", "content", "items", "provider"}
    message = Message(
        role=cast("Role", item.get("role")),
        content=item.get("content"),
        extra={key: value for key, value in item.items() if key not in known},
        items=_objects(field_name, "items", item.get("items")),
        provider=item.get("provider"),
    )
    return _filled(field_name, message)


def _filled(field_name: str, message: Message) -> Message:
    if message.role not in ROLES:
        raise ConfigError(f"{field_name}: role {message.role!r} is unknown; use one of {', '.join(ROLES)}")
    if not isinstance(message.extra, Mapping):
        raise ConfigError(
            f"{field_name}: extra={message.extra!r} must be a dict of the message's other fields"
        )
    content = _content(field_name, message.content)
    _objects(field_name, "tool_calls", message.extra.get("tool_calls"))
    # An assistant's turn may be a tool call alone; what a person says may not be nothing.
    if message.role == "user" and _is_blank(content):
        raise ConfigError(f"{field_name}: the user's message is empty; give it some content")
    return message if content is message.content else message.evolve(content=content)


def _content(field_name: str, content: object) -> Content:
    if content is None or isinstance(content, str):
        return content
    parts = [content] if _is_part(content) else content
    if not isinstance(parts, list | tuple) or not all(
        isinstance(part, str) or _is_part(part) for part in parts
    ):
        raise ConfigError(
            f"{field_name}: content {str(content)[:100]!r} is neither text nor a list of text and parts; "
            "a part is a dict with a type, as aquila.image and aquila.file make them"
        )
    return [{"type": "text", "text": part} if isinstance(part, str) else dict(part) for part in parts]


def _is_blank(content: Content) -> bool:
    if isinstance(content, list):
        return all(part["type"] == "text" and not str(part.get("text") or "").strip() for part in content)
    return not content or not content.strip()


def _objects(field_name: str, name: str, value: object) -> tuple[Mapping[str, Any], ...]:
    if value is None:
        return ()
    if isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value):
        return tuple(value)
    raise ConfigError(f"{field_name}: {name} {str(value)[:100]!r} is no list of objects")
