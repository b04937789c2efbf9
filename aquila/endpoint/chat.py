"""The Chat Completions API: `POST /chat/completions`, streamed. Pure.

Source: OpenAI's API reference, and the dialects of gateways that follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aquila.call import Call, FunctionTool, ToolSpec
from aquila.endpoint.base import Decoder
from aquila.endpoint.chat_decoder import ChatDecoder
from aquila.endpoint.chat_messages import chat_messages
from aquila.endpoint.output_format import json_schema, schema_in_words
from aquila.endpoint.profile import Profile
from aquila.endpoint.tool_choice import chat_tool_choice
from aquila.endpoint.wire_json import encode_body
from aquila.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ChatEndpoint:
    """Builds bodies for the Chat Completions API.

    Args:
        profile: What the server is like.
        provider: The server's name in the history; None makes no difference between servers.
    """

    profile: Profile
    provider: str | None = None

    @property
    def path(self) -> str:
        """What follows the base URL."""
        return "/chat/completions"

    @property
    def chains(self) -> bool:
        """False: each request repeats the conversation."""
        return False

    def with_profile(self, profile: Profile) -> ChatEndpoint:
        """Give the same API as another profile describes it."""
        return ChatEndpoint(profile, self.provider)

    def decoder(self, call: Call) -> Decoder:
        """Make a decoder for one answer."""
        return ChatDecoder(self.profile, self.provider, call.max_output_tokens)

    def body(self, call: Call) -> bytes:
        """Build the request's body.

        Raises:
            ConfigError: The API cannot do what the call asks for, or a value has no form in JSON.
        """
        for name in ("previous_response_id", "background"):
            if getattr(call, name):
                raise ConfigError(f"{name}: Chat Completions has no such thing; use endpoint='responses'")
        profile = self.profile
        words = schema_in_words(call.output, profile.output_mode)
        options = {
            "temperature": call.temperature,
            "top_p": call.top_p,
            profile.max_tokens_field: call.max_output_tokens,
            **_reasoning(call.reasoning, profile),
            **self._tools(call),
            "response_format": _response_format(call, profile),
            "service_tier": call.service_tier,
            "store": call.store,
            "metadata": dict(call.metadata) if call.store and call.metadata else None,
        }
        return encode_body(
            {
                "model": call.model,
                "messages": chat_messages(call.messages, profile, self.provider, words=words),
                "stream": True,
                **_stream_options(profile),
                **{name: value for name, value in options.items() if value is not None},
                **call.extra_body,
            }
        )

    def _tools(self, call: Call) -> dict[str, Any]:
        if not call.tools:
            return {}
        return {
            "tools": [_tool(tool, strict=self.profile.strict_tools) for tool in call.tools],
            "tool_choice": chat_tool_choice(call.tool_choice),
            "parallel_tool_calls": call.parallel_tool_calls,
        }


def _stream_options(profile: Profile) -> dict[str, Any]:
    options = {"include_usage": True} if profile.include_usage else {}
    if profile.obfuscates:
        options["include_obfuscation"] = False
    return {"stream_options": options} if options else {}


def _reasoning(reasoning: Mapping[str, Any] | None, profile: Profile) -> dict[str, Any]:
    if not reasoning:
        return {}
    if profile.reasoning_field == "reasoning":
        return {"reasoning": dict(reasoning)}
    unknown = sorted(set(reasoning) - {"effort"})
    if unknown:
        raise ConfigError(
            f"reasoning: Chat Completions knows only 'effort', not {unknown[0]!r}; use endpoint='responses'"
        )
    return {"reasoning_effort": reasoning["effort"]}


def _response_format(call: Call, profile: Profile) -> dict[str, Any] | None:
    if call.output is None or profile.output_mode == "prompt":
        return None
    if profile.output_mode == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": json_schema(call.output, profile.output_mode)}


def _tool(tool: ToolSpec, *, strict: bool) -> dict[str, Any]:
    if isinstance(tool, FunctionTool):
        function: dict[str, Any] = {"name": tool.name, "parameters": dict(tool.parameters)}
        if tool.description:
            function["description"] = tool.description
        if tool.strict and strict:
            function["strict"] = True
        return {"type": "function", "function": function}
    if tool.get("type") == "function" and "function" not in tool:
        # The Responses API's flat shape.
        return {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}
    return dict(tool)
