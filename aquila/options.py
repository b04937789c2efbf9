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
    """Options of `ask` and `stream`, and the defaults a Client may hold. None means unset."""

    #: The model's name; `local` is the model on this machine. Default: `AQUILA_MODEL`, else `gpt-4o-mini`.
    model: str | None
    #: The system text.
    instructions: str | None
    #: The conversation so far; a prompt beside it is appended.
    messages: Prompt | None
    #: Functions the model may call, `aquila.tool(...)`, and a provider's own tools as dicts.
    tools: Sequence[Callable[..., Any] | Mapping[str, Any] | Any] | None
    #: `auto`, `none`, `required`, a tool's name, or the provider's own object; forced once, then the model may choose.
    tool_choice: str | Mapping[str, Any] | None
    #: What tools get as `Context.value`.
    tool_context: Any
    #: Whether the model may call several tools in one answer. Default: the provider's.
    parallel_tool_calls: bool | None
    #: Rounds of calls that are run. Default: 12.
    max_rounds: int | None
    #: Then `answer` asks once more without tools, and `raise` is ToolRoundsExceeded. Default: `answer`.
    on_max_rounds: Literal["answer", "raise"] | None
    #: Calls that run at a time. Default: 4.
    parallel_tools: int | None
    #: `responses`, `chat`, or `auto`: responses at api.openai.com, chat elsewhere. Default: `AQUILA_ENDPOINT`, else
    #: `auto`.
    endpoint: Literal["auto", "chat", "responses"] | None
    #: What the server is like: a name such as `vllm`, or a Profile. Default: told by the base URL.
    profile: str | Profile | None
    temperature: float | None
    top_p: float | None
    #: The longest answer, in tokens.
    max_output_tokens: int | None
    #: How much the model thinks: `low`, `high`, ..., or the provider's own object.
    reasoning: str | Mapping[str, Any] | None
    #: Reaches `Started`, `Response.meta` and the job row; the provider gets it only with `store=True`.
    metadata: Mapping[str, Any] | None
    store: bool | None
    #: Continues a stored response; Responses API only.
    previous_response_id: str | None
    #: True: the provider goes on without a connection, and a lost stream is picked up; Responses API only.
    background: bool | None
    service_tier: str | None
    #: Merged over the request's body last.
    extra_body: Mapping[str, Any] | None
    #: Merged over the request's headers last.
    extra_headers: Mapping[str, str] | None
    #: Gets every event of the run.
    sink: Sink | None
    #: The clocks, or a number: the total in seconds.
    timeout: Timeouts | float | None
    #: When a failed request is repeated, or a number: how often.
    retry: Retry | int | None
    #: Models that take over, in this order, when one fails before its first content: names, or dicts of options.
    fallback: Sequence[str | Mapping[str, Any]] | None
    #: Sends the request. It stays the caller's to close.
    transport: Transport | None
    #: Default: `OPENAI_BASE_URL`, else OpenAI's.
    base_url: str | None
    #: Default: `OPENAI_API_KEY`. Not needed for an address on this machine.
    api_key: str | None
    #: A cassette's name; see `AQUILA_CASSETTES` for what it does.
    cassette: str | None


#: What people write who come from somewhere else.
_MEANT = {
    "functions": "tools",
    "max_completion_tokens": "max_output_tokens",
    "max_retries": "retry",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning",
    "response_format": "output",
    "response_model": "output",
    "schema": "output",
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
            raise TypeError(f"unknown option {unknown[0]!r}; it is called {meant} here")
        known = ", ".join(sorted(Options.__annotations__))
        raise TypeError(f"unknown option {unknown[0]!r}; the options are {known}")
