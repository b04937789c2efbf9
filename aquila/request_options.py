"""What a call that is one request and one answer may say besides its subject: `RequestOptions`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict, cast

from aquila.endpoint.profile import Profile
from aquila.option_checks import check_values
from aquila.retry import Retry
from aquila.timeouts import Timeouts
from aquila.transport.base import Transport


class RequestOptions(TypedDict, total=False):
    """Where a single request goes and how it travels: the part of `Options` that is not about a run. None is unset."""

    #: Default: `OPENAI_BASE_URL`, else OpenAI's.
    base_url: str | None
    #: Default: `OPENAI_API_KEY`. Not needed for an address on this machine.
    api_key: str | None
    #: What the server is like: a name such as `vllm`, or a Profile. Default: told by the base URL.
    profile: str | Profile | None
    #: Merged over the request's headers last.
    extra_headers: Mapping[str, str] | None
    #: The clocks, or a number: the total in seconds, over all requests of the call.
    timeout: Timeouts | float | None
    #: When a failed request is repeated, or a number: how often.
    retry: Retry | int | None
    #: Sends the request. It stays the caller's to close.
    transport: Transport | None
    #: A cassette's name; see `AQUILA_CASSETTES` for what it does.
    cassette: str | None


def request_options(options: Mapping[str, object]) -> RequestOptions:
    """Take the options of a single request out of a Client's defaults, which may be about more."""
    known = RequestOptions.__annotations__
    return cast("RequestOptions", {name: value for name, value in options.items() if name in known})


def check_request_options(options: RequestOptions) -> None:
    """Refuse a misspelt option, or a value of the wrong kind.

    Raises:
        ConfigError: Names the option, its value and what it must be.
        TypeError: An option is unknown.
    """
    known = RequestOptions.__annotations__
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(f"unknown option {unknown[0]!r}; the options are {', '.join(sorted(known))}")
    check_values(options)
