"""What a call may say: `Options`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from aquila.endpoint.profile import Profile
from aquila.prompt import Prompt
from aquila.retry import Retry
from aquila.sink.base import Sink
from aquila.timeouts import Timeouts
from aquila.transport.base import Transport


class Options(TypedDict, total=False):
    """Options of `ask` and `stream`, and the defaults a Client may hold. None means unset.

    Attributes:
        model: The model's name; `local` is the model on this machine. Default: `AQUILA_MODEL`, else
            `gpt-4o-mini`.
        instructions: The system text.
        messages: The conversation so far; a prompt beside it is appended.
        tools: Functions the model may call, `aquila.tool(...)`, and a provider's own tools as dicts.
        tool_choice: `auto`, `none`, `required`, a tool's name, or the provider's own object; forced once,
            then the model may choose.
        tool_context: What tools get as `Context.value`.
        parallel_tool_calls: Whether the model may call several tools in one answer. Default: the
            provider's.
        max_rounds: Rounds of calls that are run. Default: 12.
        on_max_rounds: Then `answer` asks once more without tools, and `raise` is ToolRoundsExceeded.
            Default: `answer`.
        parallel_tools: Calls that run at a time. Default: 4.
        endpoint: `responses`, `chat`, or `auto`: responses at api.openai.com, chat elsewhere. Default:
            `AQUILA_ENDPOINT`, else `auto`.
        profile: What the server is like: a name such as `vllm`, or a Profile. Default: told by the base
            URL.
        temperature: 0 is the least random.
        top_p: Only the likeliest tokens that together have this probability.
        max_output_tokens: The longest answer, in tokens.
        reasoning: How much the model thinks: `low`, `high`, ..., or the provider's own object.
        metadata: Reaches `Started`, `Response.meta` and the job row; the provider gets it only with
            `store=True`.
        store: Whether the provider keeps the answer. Default: the provider's.
        previous_response_id: Continues a stored response; Responses API only.
        background: True: the provider goes on without a connection, and a lost stream is picked up;
            Responses API only.
        service_tier: The provider's `flex`, `priority` and the like.
        extra_body: Merged over the request's body last.
        extra_headers: Merged over the request's headers last.
        sink: Gets every event of the run.
        timeout: The clocks, or a number: the total in seconds.
        retry: When a failed request is repeated, or a number: how often.
        fallback: Models that take over, in this order, when one fails before its first content: names, or
            dicts of options.
        transport: Sends the request. It stays the caller's to close.
        base_url: Default: `OPENAI_BASE_URL`, else OpenAI's.
        api_key: Default: `OPENAI_API_KEY`. Not needed for an address on this machine.
        cassette: A cassette's name; see `AQUILA_CASSETTES` for what it does.
    """

    model: str | None
    instructions: str | None
    messages: Prompt | None
    tools: Sequence[Callable[..., Any] | Mapping[str, Any] | Any] | None
    tool_choice: str | Mapping[str, Any] | None
    tool_context: Any
    parallel_tool_calls: bool | None
    max_rounds: int | None
    on_max_rounds: Literal["answer", "raise"] | None
    parallel_tools: int | None
    endpoint: Literal["auto", "chat", "responses"] | None
    profile: str | Profile | None
    temperature: float | None
    top_p: float | None
    max_output_tokens: int | None
    reasoning: str | Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    store: bool | None
    previous_response_id: str | None
    background: bool | None
    service_tier: str | None
    extra_body: Mapping[str, Any] | None
    extra_headers: Mapping[str, str] | None
    sink: Sink | None
    timeout: Timeouts | float | None
    retry: Retry | int | None
    fallback: Sequence[str | Mapping[str, Any]] | None
    transport: Transport | None
    base_url: str | None
    api_key: str | None
    cassette: str | None


#: What people write who come from somewhere else.
_MEANT = {
    "frequency_penalty": "extra_body={'frequency_penalty': ...}",
    "functions": "tools",
    "max_completion_tokens": "max_output_tokens",
    "max_retries": "retry",
    "max_tokens": "max_output_tokens",
    "presence_penalty": "extra_body={'presence_penalty': ...}",
    "reasoning_effort": "reasoning",
    "response_format": "output",
    "response_model": "output",
    "schema": "output",
    "seed": "extra_body={'seed': ...}",
    "stop": "extra_body={'stop': ...}",
    "stream": "aquila.stream(...) instead of aquila.ask(...)",
    "system": "instructions",
    "system_prompt": "instructions",
    "text_format": "output",
}


def check_names(options: Mapping[str, Any]) -> None:
    """Refuse a misspelt option.

    Raises:
        TypeError: An option is unknown.
    """
    unknown = sorted(set(options) - set(Options.__annotations__))
    if unknown:
        if meant := _MEANT.get(unknown[0]):
            raise TypeError(f"unknown option {unknown[0]!r}; here it is {meant}")
        known = ", ".join(sorted(Options.__annotations__))
        raise TypeError(f"unknown option {unknown[0]!r}; the options are {known}")
