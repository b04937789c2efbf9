"""What a server's refusal teaches about it. Pure.

Each lesson answers one exact complaint about something we chose and the user did not ask for, and is learnt once: what
it changes cannot be complained about again. All other refusals are the user's to hear.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aquila.endpoint.profile import Profile
from aquila.errors import APIStatusError


@dataclass(frozen=True, slots=True)
class Lesson:
    """One complaint and what it changes."""

    name: str
    #: What the server's words look like, in lower case.
    complaint: str
    #: Whether the profile still does what is complained about.
    applies: Callable[[Profile], bool]
    #: The fields of the better profile.
    change: Mapping[str, Any]
    #: The lesson it takes back: a server that refuses both forms is not asked with the first one again.
    undoes: str | None = None


_UNKNOWN = r"unsupported|unrecogni[sz]ed|unknown|not supported|not permitted|unexpected|extra"
#: In the same sentence and the same object, as other words nearby are about other things.
_NEAR = r"[^.{}]{0,60}"
_FORMAT = r"response_format|json_schema|text\.format|output_format|structured output"
#: Anthropic, and gateways in front of it, miss the results of calls that they were given in another form.
_BLOCKS = (
    r"unexpected `tool_use_id`|must have a corresponding `tool_use` block|tool_call_id +is not found|"
    r"must be a response to a prece+ding message with 'tool_calls'"
)


def _no_role(role: str) -> str:
    # Quotes or the word itself make it a role: a model that "does not support tools" has other troubles.
    return (
        rf"does not support (the )?(role )?['\"`]{role}['\"`]|does not support (the )?(role {role}|{role} role)\b|"
        rf"unknown variant `{role}`|un(supported|known) role:? \W?(role_)?{role}\b"
    )


_LESSONS = (
    Lesson(
        "no_stream_options", r"stream_options|include_usage|include_obfuscation",
        lambda profile: profile.include_usage or profile.obfuscates,
        {"include_usage": False, "obfuscates": False},
    ),
    Lesson(
        "max_completion_tokens", rf"({_UNKNOWN}).*\bmax_tokens\b.*max_completion_tokens|\bmax_tokens\b.*\buse .?max_completion_tokens",
        lambda profile: profile.max_tokens_field == "max_tokens",
        {"max_tokens_field": "max_completion_tokens"}, undoes="max_tokens",
    ),
    Lesson(
        "max_tokens", rf"({_UNKNOWN}){_NEAR}max_completion_tokens|max_completion_tokens{_NEAR}({_UNKNOWN})",
        lambda profile: profile.max_tokens_field == "max_completion_tokens",
        {"max_tokens_field": "max_tokens"}, undoes="max_completion_tokens",
    ),
    Lesson(
        "loose_tools", r"invalid schema for function|tools?\W.*\bstrict\b|\bstrict\b.*\btools?\b",
        lambda profile: profile.strict_tools, {"strict_tools": False},
    ),
    Lesson(
        "loose_schema", rf"invalid schema for (response_format|text)|({_FORMAT}).*\bstrict\b",
        lambda profile: profile.output_mode == "strict", {"output_mode": "schema"},
    ),
    Lesson(
        "json_object", _FORMAT,
        lambda profile: profile.output_mode in {"strict", "schema"},
        {"output_mode": "json_object"},
    ),
    Lesson(
        "schema_in_prompt", rf"{_FORMAT}|json_object",
        lambda profile: profile.output_mode == "json_object", {"output_mode": "prompt"},
    ),
    Lesson(
        "tool_result_blocks", _BLOCKS,
        lambda profile: profile.tool_content == "text", {"tool_content": "blocks"}, undoes="tool_result_text",
    ),
    Lesson(
        "tool_result_text", r"invalid value: 'tool_result'",
        lambda profile: profile.tool_content == "blocks", {"tool_content": "text"}, undoes="tool_result_blocks",
    ),
    Lesson(
        "function_role", _no_role("tool"),
        lambda profile: profile.tool_role == "tool", {"tool_role": "function"}, undoes="tool_role",
    ),
    Lesson(
        "tool_role", _no_role("function"),
        lambda profile: profile.tool_role == "function", {"tool_role": "tool"}, undoes="function_role",
    ),
    Lesson(
        "no_previous_response", r"previous[_ ]response",
        lambda profile: profile.keeps_responses, {"keeps_responses": False},
    ),
)  # fmt: skip


def learn(profile: Profile, error: APIStatusError, learnt: frozenset[str]) -> tuple[str, Profile] | None:
    """Find what a refusal teaches.

    Args:
        profile: What the server was taken for.
        error: Its refusal.
        learnt: Names of the lessons that this run has learnt already; none is learnt twice.

    Returns:
        The lesson's name and the better profile; None if the refusal is the user's to hear.
    """
    if error.status_code not in {400, 404, 415, 422}:
        return None
    said = f"{error} {error.body}".lower()
    for lesson in _LESSONS:
        if (
            not {lesson.name, lesson.undoes} & learnt
            and lesson.applies(profile)
            and re.search(lesson.complaint, said)
        ):
            return lesson.name, profile.evolve(**lesson.change)
    return None
