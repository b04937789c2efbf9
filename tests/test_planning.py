from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from aquila.endpoint import ChatEndpoint, ResponsesEndpoint
from aquila.errors import ConfigError
from aquila.messages import Message
from aquila.plan import Plan
from aquila.planning import make_plan
from aquila.settings import read_settings


class Invoice(BaseModel):
    total: float


def weather(city: str) -> str:
    """Look up the weather."""
    return city


def plan(
    prompt: Any = "hi", output: Any = None, environment: dict[str, str] | None = None, **options: Any
) -> Plan:
    return make_plan(prompt, options, read_settings(environment or {}), output=output)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "environment", "kind"),
    [
        ({}, {}, ResponsesEndpoint),
        ({"endpoint": "chat"}, {}, ChatEndpoint),
        ({}, {"AQUILA_ENDPOINT": "chat"}, ChatEndpoint),
        ({"endpoint": "responses"}, {"AQUILA_ENDPOINT": "chat"}, ResponsesEndpoint),
        ({"base_url": "https://openrouter.ai/api/v1"}, {}, ChatEndpoint),
        ({"base_url": "https://openrouter.ai/api/v1", "endpoint": "responses"}, {}, ResponsesEndpoint),
        ({"base_url": "https://me.openai.azure.com/openai/v1"}, {}, ChatEndpoint),
        ({"model": "local"}, {}, ChatEndpoint),
    ],
)
def test_auto_is_responses_at_openai_and_chat_elsewhere(
    options: dict[str, Any], environment: dict[str, str], kind: type
) -> None:
    assert isinstance(plan(environment=environment, **options).endpoint, kind)


def test_tools_and_output_reach_the_call() -> None:
    made = plan(output=Invoice, tools=[weather], max_rounds=3, on_max_rounds="raise", reasoning="low")

    assert [tool.name for tool in made.call.tools] == ["weather"]  # type: ignore[union-attr]
    assert made.call.output is not None
    assert made.call.output.name == "Invoice"
    assert made.call.reasoning == {"effort": "low"}
    assert made.rules is not None
    assert (made.rules.max_rounds, made.rules.on_max_rounds) == (3, "raise")


def test_models_that_take_over_share_the_tools_and_have_their_own_way() -> None:
    made = plan(model="gpt-4o", tools=[weather], fallback=["gpt-4o-mini", {"model": "local"}])

    assert [other.call.model for other in made.fallbacks] == ["gpt-4o-mini", "local"]
    assert isinstance(made.fallbacks[1].endpoint, ChatEndpoint)
    assert all(other.rules is made.rules and other.ref == made.ref for other in made.fallbacks)


def test_calls_that_were_broken_off_are_answered_before_they_are_sent() -> None:
    broken = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ]},
    ]  # fmt: skip

    roles = [message.role for message in plan("go on", messages=broken).call.messages]

    assert roles == ["user", "assistant", "tool", "user"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"endpoint": "complete"}, "endpoint='complete' is unknown"),
        (
            {"endpoint": "chat", "previous_response_id": "resp_1"},
            "previous_response_id: Chat Completions has no",
        ),
        ({"endpoint": "chat", "background": True}, "background: Chat Completions has no"),
        ({"tool_choice": "required"}, "tool_choice asks for a tool, and tools= names none"),
        ({"tools": [3]}, "tools: 3 is no tool"),
        ({"tools": weather}, r"tools=.* must be a list"),
        ({"max_rounds": 0}, "max_rounds=0 must be a whole number above 0"),
        ({"on_max_rounds": "stop"}, "on_max_rounds='stop' must be 'answer' or 'raise'"),
        ({"fallback": [3]}, "fallback: 3 must be a model's name or a dict of options"),
        ({"fallback": [{"modle": "x"}]}, "fallback: unknown option 'modle'"),
        ({"fallback": [{"model": "x", "sink": None}]}, "fallback: sink belongs to the whole run"),
        ({"fallback": [{"temperature": "hot"}]}, "temperature='hot' must be a finite number"),
        ({"reasoning": 3}, "reasoning=3 must be text or a dict"),
        ({"extra_body": {"x": [object()]}}, r"extra_body\.x\.0=<object .* has no form in JSON"),
        ({"extra_body": {"x": float("nan")}}, r"extra_body\.x=nan \(float\) has no form in JSON"),
        ({"reasoning": {"effort": b"low"}}, r"reasoning\.effort=b'low' \(bytes\)"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice asks for a tool"),
        ({"on_max_rounds": []}, r"on_max_rounds=\[\] must be"),
        ({"profile": {}}, r"profile=\{\} is unknown"),
        ({"messages": [Message(role="zz", content="x")]}, "role 'zz' is unknown"),  # type: ignore[arg-type]
        ({"messages": [Message(role="user", content="x", extra=5)]}, "extra=5 must be a dict"),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_is_named_before_anything_is_sent(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        plan(**options)


def test_an_output_that_is_no_type_is_named() -> None:
    with pytest.raises(ConfigError, match="output: a value"):
        plan(output=Invoice(total=1))


def test_the_local_model_stops_by_itself_unless_it_is_told_where() -> None:
    assert plan(model="local").call.max_output_tokens == 1024
    assert plan(model="local", max_output_tokens=5).call.max_output_tokens == 5
    assert plan(model="m").call.max_output_tokens is None
