from __future__ import annotations

import json
from typing import Any

import pytest

from aquila.endpoint import PROFILES, Profile, learn, status_error
from aquila.errors import APIStatusError

GENERIC, OPENAI = PROFILES["generic"], PROFILES["openai"]


def refusal(message: str, status: int = 400, **facts: Any) -> APIStatusError:
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error", **facts}}, indent=1)
    return status_error(status, body.encode(), url="https://llm.example/v1/chat/completions")


#: What servers say, what they are taken for, what is learnt, and what it changes.
ROWS: list[tuple[str, Profile, str, dict[str, Any]]] = [
    ("Unrecognized request argument supplied: stream_options", GENERIC, "no_stream_options",
     {"include_usage": False}),
    ("stream_options: Extra inputs are not permitted", GENERIC, "no_stream_options", {"include_usage": False}),
    ("Unknown parameter: 'stream_options.include_obfuscation'.", OPENAI, "no_stream_options",
     {"include_usage": False, "obfuscates": False}),
    ("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
     GENERIC, "max_completion_tokens", {"max_tokens_field": "max_completion_tokens"}),
    ("This model does not take max_tokens; use max_completion_tokens", GENERIC, "max_completion_tokens",
     {"max_tokens_field": "max_completion_tokens"}),
    ("Unrecognized request argument supplied: max_completion_tokens", PROFILES["groq"], "max_tokens",
     {"max_tokens_field": "max_tokens"}),
    ("body.max_completion_tokens: Extra inputs are not permitted", PROFILES["groq"], "max_tokens",
     {"max_tokens_field": "max_tokens"}),
    ("Invalid schema for function 'f': In context=(), 'additionalProperties' is required", OPENAI, "loose_tools",
     {"strict_tools": False}),
    ("Unknown parameter: 'tools[0].function.strict'.", GENERIC, "loose_tools", {"strict_tools": False}),
    ("Invalid schema for response_format 'Invoice': 'minimum' is not permitted.", OPENAI, "loose_schema",
     {"output_mode": "schema"}),
    ("Unknown parameter: 'response_format.json_schema.strict'", GENERIC, "loose_schema", {"output_mode": "schema"}),
    ("This response_format type is unavailable now", GENERIC, "json_object", {"output_mode": "json_object"}),
    ("Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.", GENERIC,
     "json_object", {"output_mode": "json_object"}),
    ("response_format json_object is not supported", GENERIC.evolve(output_mode="json_object"), "schema_in_prompt",
     {"output_mode": "prompt"}),
    ("messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1", GENERIC,
     "tool_result_blocks", {"tool_content": "blocks"}),
    ("Each `tool_result` block must have a corresponding `tool_use` block in the previous message.", GENERIC,
     "tool_result_blocks", {"tool_content": "blocks"}),
    ("tool_call_id  is not found", GENERIC, "tool_result_blocks", {"tool_content": "blocks"}),
    ("tool_call_id is not found", GENERIC, "tool_result_blocks", {"tool_content": "blocks"}),
    ("messages with role 'tool' must be a response to a preceding message with 'tool_calls'.", GENERIC,
     "tool_result_blocks", {"tool_content": "blocks"}),
    ("messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.", GENERIC,
     "tool_result_blocks", {"tool_content": "blocks"}),
    ("Invalid value: 'tool_result'. Supported values are: 'text'.", GENERIC.evolve(tool_content="blocks"),
     "tool_result_text", {"tool_content": "text"}),
    ("Unsupported value: 'messages[2].role' does not support 'tool' with this model.", GENERIC, "function_role",
     {"tool_role": "function"}),
    ("This model does not support the tool role", GENERIC, "function_role", {"tool_role": "function"}),
    ("Failed to deserialize: messages[2].role: unknown variant `tool`, expected one of `system`, `user`", GENERIC,
     "function_role", {"tool_role": "function"}),
    ("unsupported role ROLE_TOOL", GENERIC, "function_role", {"tool_role": "function"}),
    ("Unsupported value: 'messages[2].role' does not support 'function' with this model.",
     GENERIC.evolve(tool_role="function"), "tool_role", {"tool_role": "tool"}),
    ("unknown variant `function`, expected one of", GENERIC.evolve(tool_role="function"), "tool_role",
     {"tool_role": "tool"}),
    ("Unknown role: ROLE_FUNCTION", GENERIC.evolve(tool_role="function"), "tool_role", {"tool_role": "tool"}),
    ("Previous response with id 'resp_1' not found.", OPENAI, "no_previous_response", {"keeps_responses": False}),
    ("Unsupported parameter: previous_response_id", OPENAI, "no_previous_response", {"keeps_responses": False}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "profile", "name", "change"), ROWS, ids=[f"{row[2]}-{n}" for n, row in enumerate(ROWS)]
)
def test_a_complaint_teaches_its_lesson_once(
    said: str, profile: Profile, name: str, change: dict[str, Any]
) -> None:
    first = learn(profile, refusal(said), frozenset())

    assert first == (name, profile.evolve(**change))
    # The same words again are about something else.
    again = learn(first[1], refusal(said), frozenset({name}))
    assert again is None or again[0] in {"json_object", "schema_in_prompt"}


@pytest.mark.parametrize("status", [404, 415, 422])
def test_other_refusals_of_a_request_teach_too(status: int) -> None:
    assert learn(GENERIC, refusal("stream_options: not permitted", status), frozenset()) is not None


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_failure_that_is_not_about_the_request_teaches_nothing(status: int) -> None:
    assert learn(GENERIC, refusal("stream_options: not permitted", status), frozenset()) is None


@pytest.mark.parametrize(
    ("said", "profile"),
    [
        ("Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) is supported.",
         GENERIC),
        ("Unsupported value: 'temperature' does not support 0.2 with this model.", OPENAI),
        ("max_completion_tokens is too large: 99999. This model supports at most 16384 completion tokens.", OPENAI),
        ("max_tokens is too large: 99999. This model supports at most 4096 completion tokens.", GENERIC),
        ("Invalid 'max_completion_tokens': integer below minimum value. Expected a value >= 1, but got 0.", OPENAI),
        # Said of a field that a user sends on their own.
        ("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
         OPENAI),
        ("registry.ollama.ai/library/gemma:2b does not support tools", GENERIC),
        ("This model does not support tool calling", GENERIC),
        ("No endpoints found that support tool use", GENERIC),
        ("Unknown parameter: 'tools[0].color'.", GENERIC),
        ("The model `x` does not exist", OPENAI),
        ("Missing required parameter: 'messages[0].content'.", OPENAI),
        ("This model's maximum context length is 4096 tokens.", GENERIC),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_complaint_is_the_users_to_hear(said: str, profile: Profile) -> None:
    assert learn(profile, refusal(said, param="max_tokens"), frozenset()) is None


def test_a_server_that_refuses_both_forms_is_asked_no_third_time() -> None:
    blocks = refusal("tool_call_id is not found")
    text = refusal("Invalid value: 'tool_result'")
    profile, learnt = GENERIC, frozenset[str]()
    names = []

    for error in (blocks, text, blocks, text):
        lesson = learn(profile, error, learnt)
        if lesson is not None:
            name, profile = lesson
            learnt |= {name}
            names.append(name)

    assert names == ["tool_result_blocks"]


def test_a_previous_response_of_the_users_own_teaches_nothing() -> None:
    error = refusal("Previous response with id 'resp_1' not found.", 404)

    assert learn(OPENAI, error, frozenset({"no_previous_response"})) is None


def test_a_format_is_loosened_step_by_step() -> None:
    profile, learnt, modes = GENERIC, frozenset[str](), []

    while (lesson := learn(profile, refusal("response_format.json_schema.strict: no"), learnt)) is not None:
        profile, learnt = lesson[1], learnt | {lesson[0]}
        modes.append(profile.output_mode)

    assert modes == ["schema", "json_object", "prompt"]
