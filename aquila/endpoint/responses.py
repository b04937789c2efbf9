"""The Responses API: `POST /responses`, streamed. Pure.

Source: OpenAI's API reference, and the dialects of gateways that follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aquila.call import Call, FunctionTool, ToolSpec
from aquila.endpoint.base import Decoder
from aquila.endpoint.output_format import json_schema, schema_in_words
from aquila.endpoint.profile import Profile
from aquila.endpoint.responses_decoder import ResponsesDecoder
from aquila.endpoint.responses_items import input_items, split_instructions
from aquila.endpoint.tool_choice import responses_tool_choice
from aquila.endpoint.wire_json import encode_body


@dataclass(frozen=True, slots=True)
class ResponsesEndpoint:
    """Builds bodies for the Responses API.

    Args:
        profile: What the server is like.
        provider: The server's name in the history; None makes no difference between servers.
    """

    profile: Profile
    provider: str | None = None

    @property
    def path(self) -> str:
        """What follows the base URL."""
        return "/responses"

    @property
    def chains(self) -> bool:
        """True when the server keeps its responses."""
        return self.profile.keeps_responses

    def with_profile(self, profile: Profile) -> ResponsesEndpoint:
        """Give the same API as another profile describes it."""
        return ResponsesEndpoint(profile, self.provider)

    def decoder(self, call: Call) -> Decoder:
        """Make a decoder for one answer."""
        return ResponsesDecoder(self.provider, call.attach)

    def body(self, call: Call) -> bytes:
        """Build the request's body.

        Raises:
            ConfigError: A value has no form in JSON.
        """
        words = schema_in_words(call.output, self.profile.output_mode)
        previous, known = call.chain or (call.previous_response_id, 0)
        instructions, messages = split_instructions(call.messages, known)
        # What a provider does not keep it must give out, so that it can be sent back.
        include = ["reasoning.encrypted_content"] if call.store is False else None
        options = {
            "instructions": "\n\n".join(text for text in (instructions, words) if text) or None,
            "previous_response_id": previous,
            "temperature": call.temperature,
            "top_p": call.top_p,
            "max_output_tokens": call.max_output_tokens,
            "reasoning": dict(call.reasoning) if call.reasoning else None,
            "text": self._text(call),
            **self._tools(call),
            "background": call.background,
            "service_tier": call.service_tier,
            "store": call.store,
            "include": include,
            "metadata": dict(call.metadata) if call.store and call.metadata else None,
            "stream_options": {"include_obfuscation": False} if self.profile.obfuscates else None,
        }
        return encode_body(
            {
                "model": call.model,
                "input": input_items(messages, self.provider, stored=call.store is not False),
                "stream": True,
                **{name: value for name, value in options.items() if value is not None},
                **call.extra_body,
            }
        )

    def _text(self, call: Call) -> dict[str, Any] | None:
        mode = self.profile.output_mode
        if call.output is None or mode == "prompt":
            return None
        if mode == "json_object":
            return {"format": {"type": "json_object"}}
        return {"format": {"type": "json_schema", **json_schema(call.output, mode)}}

    def _tools(self, call: Call) -> dict[str, Any]:
        if not call.tools:
            return {}
        return {
            "tools": [_tool(tool, strict=self.profile.strict_tools) for tool in call.tools],
            "tool_choice": responses_tool_choice(call.tool_choice),
            "parallel_tool_calls": call.parallel_tool_calls,
        }


def _tool(tool: ToolSpec, *, strict: bool) -> dict[str, Any]:
    if isinstance(tool, FunctionTool):
        # Without a word about it the API takes every function for strict, and all its parameters for required.
        return {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": dict(tool.parameters),
            "strict": tool.strict and strict,
        }
    if tool.get("type") == "function" and isinstance(tool.get("function"), Mapping):
        # Chat Completions' nested shape.
        return {"type": "function", "strict": False, **tool["function"]}
    return dict(tool)
