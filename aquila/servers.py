"""From options and environment to a `Destination`: where requests go, and how they travel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from aquila import transport as transports
from aquila.cassette import Scope, wrap
from aquila.destination import Destination
from aquila.endpoint.profile import Profile
from aquila.endpoint.profiles import PROFILES, profile_for
from aquila.errors import ConfigError
from aquila.option_checks import is_header
from aquila.options import Options
from aquila.retry import Retry
from aquila.settings import Settings
from aquila.timeouts import Timeouts
from aquila.transport import LOCAL_BASE_URL, LOCAL_MODEL, BorrowedTransport, Transport
from aquila.transport.gated import behind_gates


@dataclass(frozen=True, slots=True)
class Server:
    """A destination, and what is known of the server there."""

    destination: Destination
    profile: Profile


def make_server(model: str, options: Options, settings: Settings, scope: Scope | None = None) -> Server:
    """Find out where a call goes.

    Args:
        model: The model asked for, which may have a way of its own.
        options: What the call and its client say, checked.
        settings: What the environment says.
        scope: The client's cassette, for calls that name none.

    Raises:
        ConfigError: A value cannot be used.
    """
    given = options.get("transport")
    own_url = _own_base_url(given, model)
    local = model == LOCAL_MODEL and given is None and not options.get("base_url")
    base_url = LOCAL_BASE_URL if local else options.get("base_url") or own_url or settings.base_url
    given_url = local or options.get("base_url") or own_url
    _check_base_url(base_url, "base_url" if given_url else "OPENAI_BASE_URL")
    profile = _profile(options.get("profile"), base_url)
    api_key = options.get("api_key") or (None if local else settings.api_key)
    headers = _headers(options, key_header(api_key, profile))
    destination = Destination(
        base_url=base_url,
        headers=headers,
        transport=_transport(options, settings, scope, base_url, local=local),
        timeouts=Timeouts.of(options.get("timeout"), profile.timeouts),
        retry=Retry.of(options.get("retry")),
    )
    return Server(destination, profile)


def _own_base_url(transport: Transport | None, model: str) -> str | None:
    """Ask a transport where it sends the requests for a model; most send them wherever the URL says."""
    ask: Callable[[str], str | None] | None = getattr(transport, "base_url_for", None)
    own: str | None = ask(model) if ask is not None else getattr(transport, "base_url", None)
    return own


def key_header(api_key: str | None, profile: Profile) -> dict[str, str]:
    """Give the header that carries a key; none without a key.

    Raises:
        ConfigError: The key holds what no header can carry.
    """
    if not api_key:
        return {}
    if not is_header(api_key):
        raise ConfigError("the API key holds blanks or characters that no header can carry; copy it again")
    return {profile.key_header: api_key if profile.key_header == "api-key" else f"Bearer {api_key}"}


def _profile(value: str | Profile | None, base_url: str) -> Profile:
    if value is None:
        return profile_for(base_url)
    if isinstance(value, Profile):
        return value
    if not isinstance(value, str) or value not in PROFILES:
        raise ConfigError(
            f"profile={value!r} is unknown; use one of {', '.join(sorted(PROFILES))}, or a Profile"
        )
    return PROFILES[value]


def _check_base_url(value: str, name: str) -> SplitResult:
    if "@" in value:
        raise ConfigError(
            f"{name} must not hold a user name or a password (it is not shown here); use api_key="
        )
    try:
        parts = urlsplit(value)
        # Reading the port finds one that is out of range.
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = None
    if not usable:
        raise ConfigError(
            f"{name}={value!r} must begin with http:// or https:// and name a host (and a port up to 65535)"
        )
    return parts


def _headers(options: Options, key: Mapping[str, str]) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "text/event-stream",
        # A compressed stream may arrive in one lump at its end.
        "accept-encoding": "identity",
        "user-agent": "aquila",
        **key,
    }
    extra = options.get("extra_headers") or {}
    return headers | {name.lower(): value for name, value in extra.items()}


def _transport(
    options: Options, settings: Settings, scope: Scope | None, base_url: str, *, local: bool
) -> Callable[[], Transport]:
    given = options.get("transport")

    def inner() -> Transport:
        if given is not None:
            return behind_gates(BorrowedTransport(given), base_url)
        # Only here is the HTTP library imported: a replayed call does without.
        owned = transports.local_transport() if local else transports.openai_transport()
        return behind_gates(BorrowedTransport(owned), base_url)

    return lambda: wrap(inner, options.get("cassette"), settings=settings, scope=scope)
