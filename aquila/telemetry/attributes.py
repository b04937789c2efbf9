"""What a run's span and its metrics say, in OpenTelemetry's names for generative AI. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from aquila.response import Response, Usage
from aquila.telemetry.providers import provider_name, server_address

Value: TypeAlias = str | bool | int | float | list[str]
Attributes: TypeAlias = dict[str, Value]

OPERATION = "gen_ai.operation.name"
ERROR_TYPE = "error.type"
RESPONSE_MODEL = "gen_ai.response.model"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - the name of an attribute
TOOL_NAME = "gen_ai.tool.name"
#: The run was ended by its reader, which is no failure.
GIVEN_UP = "aquila.given_up"
#: The run waits for a person's word.
PAUSED = "aquila.paused"

_REQUEST = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "previous_response_id": "gen_ai.request.previous_response.id",
    "ref": "aquila.ref",
}
#: Fields that go to the provider by `extra_body`.
_EXTRA = {"seed": "gen_ai.request.seed", "n": "gen_ai.request.choice.count"}
_USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}


def labels(operation: str, model: str, server: str | None) -> Attributes:
    """Give the attributes that metrics have as well: few values each."""
    host, port = server_address(server)
    provider = provider_name(server)
    facts: Mapping[str, Value | None] = {
        OPERATION: operation,
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        # The model on this machine has no address of its own before it runs.
        "server.address": host if provider != "local" else None,
        "server.port": port if provider != "local" else None,
    }
    return _known(facts)


def request_attributes(operation: str, facts: Mapping[str, Any]) -> Attributes:
    """Give what a span says of the request, content excepted.

    Args:
        operation: `chat`, `embeddings`, ...
        facts: Fields of `Call` by name, and `ref`; those not known here are passed over.
    """
    extra = facts.get("extra_body") or {}
    reasoning = facts.get("reasoning") or {}
    conversation = extra.get("conversation")
    if isinstance(conversation, Mapping):
        conversation = conversation.get("id")
    stop = extra.get("stop")
    found: dict[str, Any] = {
        **{name: facts.get(field) for field, name in _REQUEST.items()},
        **{name: extra.get(field) for field, name in _EXTRA.items()},
        "gen_ai.request.reasoning.level": reasoning.get("effort"),
        "gen_ai.request.stop_sequences": [stop] if isinstance(stop, str) else stop,
        "gen_ai.conversation.id": conversation,
        **{f"aquila.metadata.{name}": value for name, value in (facts.get("metadata") or {}).items()},
    }
    if operation == "chat":
        found["gen_ai.request.stream"] = True
        found["gen_ai.output.type"] = "json" if facts.get("output") is not None else "text"
    return _known(found)


def response_attributes(response: Response) -> Attributes:
    """Give what a span says of the answer, content excepted."""
    return _known(
        {
            "gen_ai.response.id": response.response_id,
            RESPONSE_MODEL: response.model,
            "gen_ai.response.finish_reasons": [response.finish_reason] if response.finish_reason else None,
            "aquila.request_id": response.request_id,
            "aquila.attempts": response.attempts,
            **usage_attributes(response.usage),
        }
    )


def usage_attributes(usage: Usage | None) -> Attributes:
    """Give the tokens that were counted."""
    return {_USAGE[name]: count for name, count in (usage or Usage()).to_dict().items() if name in _USAGE}


def error_attributes(error: BaseException) -> Attributes:
    """Give what a span says of a failure: which one it was, and not its words, which may quote the conversation."""
    return _known(
        {
            ERROR_TYPE: type(error).__name__,
            "http.response.status_code": getattr(error, "status_code", None),
            "aquila.request_id": getattr(error, "request_id", None),
            "aquila.attempts": getattr(error, "attempts", 0) or None,
        }
    )


def _known(facts: Mapping[str, Any]) -> Attributes:
    return {name: _value(value) for name, value in facts.items() if value is not None}


def _value(value: Any) -> Value:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    return str(value)
