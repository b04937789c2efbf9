"""What a call may say, and how it becomes a `Plan`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypedDict
from urllib.parse import SplitResult, urlsplit, urlunsplit
from uuid import uuid4

from aquila import transport as transports
from aquila.call import Call
from aquila.cassette import Scope, wrap
from aquila.cassette.redact import is_secret_header, request_secrets
from aquila.endpoint import ChatEndpoint
from aquila.errors import ConfigError
from aquila.loop import Plan
from aquila.option_checks import check_values, is_header
from aquila.prompt import Prompt, normalise
from aquila.retry import Retry
from aquila.settings import Settings
from aquila.sink.base import Sink
from aquila.timeouts import Timeouts
from aquila.transport import LOCAL_BASE_URL, LOCAL_MODEL, BorrowedTransport, Request, Transport

#: The model on this machine answers within seconds or not at all.
_LOCAL_TIMEOUTS = Timeouts(silence=120.0, first_chunk=120.0, idle=120.0)


class Options(TypedDict, total=False):
    """Options of `ask` and `stream`, and the defaults a Client may hold. None means unset."""

    #: The model's name; `local` is the model on this machine. Default: `AQUILA_MODEL`, else `gpt-4o-mini`.
    model: str | None
    #: The system text.
    instructions: str | None
    #: The conversation so far; a prompt beside it is appended.
    messages: Prompt | None
    #: `auto` and `chat` use Chat Completions. Default: `AQUILA_ENDPOINT`, else `auto`.
    endpoint: Literal["auto", "chat"] | None
    temperature: float | None
    top_p: float | None
    #: The longest answer, in tokens.
    max_output_tokens: int | None
    #: Reaches `Started`, `Response.meta` and the job row; the provider gets it only with `store=True`.
    metadata: Mapping[str, Any] | None
    store: bool | None
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
    #: Sends the request. It stays the caller's to close.
    transport: Transport | None
    #: Default: `OPENAI_BASE_URL`, else OpenAI's.
    base_url: str | None
    #: Default: `OPENAI_API_KEY`. Not needed for an address on this machine.
    api_key: str | None
    #: A cassette's name; see `AQUILA_CASSETTES` for what it does.
    cassette: str | None


def check_names(options: Mapping[str, Any]) -> None:
    """Refuse a misspelt option.

    Raises:
        TypeError: An option is unknown.
    """
    unknown = sorted(set(options) - set(Options.__annotations__))
    if unknown:
        known = ", ".join(sorted(Options.__annotations__))
        raise TypeError(f"unknown option {unknown[0]!r}; the options are {known}")


def make_plan(
    prompt: Prompt | None,
    options: Options,
    settings: Settings,
    ref: str | None = None,
    scope: Scope | None = None,
) -> Plan:
    """Turn what a call says, and what the environment says, into all that a run needs.

    Args:
        prompt: What to ask.
        options: What the call and its client say.
        settings: What the environment says.
        ref: The run's name; None makes one.
        scope: The client's cassette, for calls that name none.

    Raises:
        ConfigError: A value cannot be used.
    """
    check_values(options)
    call = _call(prompt, options, settings)
    local = call.model == LOCAL_MODEL and not options.get("transport") and not options.get("base_url")
    base_url = LOCAL_BASE_URL if local else options.get("base_url") or settings.base_url
    endpoint = _endpoint(options, settings, base_url)
    api_key = options.get("api_key") or (None if local else settings.api_key)
    headers = _headers(options, api_key)
    url = _join(base_url, endpoint.path)
    timeouts = Timeouts.of(options.get("timeout"), _LOCAL_TIMEOUTS if local else None)
    return Plan(
        ref=ref or uuid4().hex,
        call=call,
        endpoint=endpoint,
        request=Request(
            method="POST",
            url=url,
            headers=headers,
            body=_body(endpoint, call),
            connect_timeout=timeouts.connect,
        ),
        transport=_transport(options, settings, scope, local=local),
        timeouts=timeouts,
        retry=_retry(options.get("retry")),
        secrets=_secrets(url, headers),
    )


def _call(prompt: Prompt | None, options: Options, settings: Settings) -> Call:
    return Call(
        model=options.get("model") or settings.model,
        messages=normalise(
            prompt, messages=options.get("messages"), instructions=options.get("instructions")
        ),
        temperature=options.get("temperature"),
        top_p=options.get("top_p"),
        max_output_tokens=options.get("max_output_tokens"),
        metadata=options.get("metadata") or {},
        store=options.get("store"),
        service_tier=options.get("service_tier"),
        extra_body=options.get("extra_body") or {},
    )


def _endpoint(options: Options, settings: Settings, base_url: str) -> ChatEndpoint:
    name = options.get("endpoint") or settings.endpoint
    if name not in {"auto", "chat"}:
        raise ConfigError(f"endpoint={name!r} is unknown; use 'auto' or 'chat'")
    # OpenAI's reasoning models refuse the older name, most other servers do not know the newer one.
    openai = (_split_base_url(base_url).hostname or "").endswith(("openai.com", "openai.azure.com"))
    return ChatEndpoint("max_completion_tokens" if openai else "max_tokens")


def _body(endpoint: ChatEndpoint, call: Call) -> bytes:
    try:
        return endpoint.body(call)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"the request cannot be written as JSON: {error}; look at messages and extra_body"
        ) from error


def _split_base_url(value: str) -> SplitResult:
    if "@" in value:
        raise ConfigError(
            "base_url must not hold a user name or a password (it is not shown here); use api_key="
        )
    try:
        parts = urlsplit(value)
        # Reading the port finds one that is out of range.
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = None
    if not usable:
        raise ConfigError(
            f"base_url={value!r} must begin with http:// or https:// and name a host (and a port up to 65535)"
        )
    return parts


def _join(base_url: str, path: str) -> str:
    # A query stays behind the path: Azure has its API version there.
    parts = _split_base_url(base_url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, fragment=""))


def authorization(api_key: str | None) -> dict[str, str]:
    """Give the header that carries a key; none without a key.

    Raises:
        ConfigError: The key holds what no header can carry.
    """
    if not api_key:
        return {}
    if not is_header(api_key):
        raise ConfigError("the API key holds blanks or characters that no header can carry; copy it again")
    return {"authorization": f"Bearer {api_key}"}


def _headers(options: Options, api_key: str | None) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream",
        # A compressed stream may arrive in one lump at its end.
        "accept-encoding": "identity",
        "user-agent": "aquila",
        **authorization(api_key),
    }
    extra = options.get("extra_headers") or {}
    return headers | {name.lower(): value for name, value in extra.items()}


def _secrets(url: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    whole = {value for name, value in headers.items() if value and is_secret_header(name)}
    parts = {secret.value for secret in request_secrets(url, headers)}
    # The longest first: a shorter one inside it would leave its rest standing.
    return tuple(sorted(whole | parts, key=len, reverse=True))


def _retry(value: Retry | int | None) -> Retry:
    if value is None:
        return Retry()
    return value if isinstance(value, Retry) else Retry(max_retries=value)


def _transport(
    options: Options, settings: Settings, scope: Scope | None, *, local: bool
) -> Callable[[], Transport]:
    given = options.get("transport")

    def inner() -> Transport:
        if given is not None:
            return BorrowedTransport(given)
        # Only here is the HTTP library imported: a replayed call does without.
        return BorrowedTransport(transports.local_transport() if local else transports.openai_transport())

    return lambda: wrap(inner, options.get("cassette"), settings=settings, scope=scope)
