"""What must not reach a cassette: secrets are replaced where they belong, and found where they do not.

Headers and query parameters that carry credentials become `[redacted]`. Whatever else is written is then searched for
values that are known to be secret and for shapes that only keys have; a hit is a Leak, and saving fails. There is no
entropy rule: encrypted reasoning blobs would trip it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from aquila.cassette.interaction import Interaction
from aquila.cassette.jsonbody import leaves, parse

REDACTED = "[redacted]"
#: Shorter values stand in prose by accident.
SHORTEST_SECRET = 8

#: Those of known names, in requests and responses.
SECRET_HEADERS = frozenset({
    "api-key",
    "authorization",
    "cookie",
    "openai-organization",
    "openai-project",
    "proxy-authorization",
    "set-cookie",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
    "x-goog-api-key",
})  # fmt: skip
SECRET_PARAMETERS = frozenset({
    "access_token", "api-key", "api_key", "apikey", "auth", "client_secret", "key", "password", "secret", "sig",
    "signature", "token", "x-amz-security-token", "x-amz-signature", "x-goog-signature",
})  # fmt: skip
#: They change with each request and say nothing that a replay needs.
VOLATILE_REQUEST_HEADERS = frozenset({"baggage", "idempotency-key", "traceparent", "tracestate"})
VOLATILE_RESPONSE_HEADERS = frozenset({
    "age", "alt-svc", "date", "nel", "openai-processing-ms", "report-to", "reporting-endpoints", "request-id",
    "server-timing", "via", "x-amzn-requestid", "x-envoy-upstream-service-time", "x-request-id",
    "x-response-time", "x-runtime",
})  # fmt: skip
VOLATILE_RESPONSE_PREFIXES = ("anthropic-ratelimit-", "cf-", "x-ratelimit-")

#: What gateways call their own: `Ocp-Apim-Subscription-Key`, `Helicone-Auth`, `cf-access-client-secret`.
_SECRET_WORD = re.compile("auth|key|password|secret|token")

_SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_TOKEN_START = rb"(?<![A-Za-z0-9_-])"
_SHAPES = {
    "an API key (sk-...)": re.compile(_TOKEN_START + rb"sk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{16,}"),
    "a Google API key (AIza...)": re.compile(_TOKEN_START + rb"AIza[0-9A-Za-z_-]{35}"),
    "a bearer token": re.compile(rb"\b[Bb]earer\s+(?=[A-Za-z._~+/-]*\d)[A-Za-z0-9._~+/-]{16,}"),
    "a JSON web token": re.compile(_TOKEN_START + rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"),
    "an organisation id (org-...)": re.compile(_TOKEN_START + rb"org-(?=[A-Za-z]*\d)[A-Za-z0-9]{20,}"),
    "a session cookie (__cf_bm)": re.compile(rb"__cf_bm=[\w.-]{8,}"),
}


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not be written, and the words that name it without telling it."""

    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Leak:
    """Where a secret still is, and what kind of secret. Never its value."""

    place: str
    kind: str


def redact_request_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Replace credentials and leave out what changes with each request."""
    return {
        name: REDACTED if is_secret_header(name) else value
        for name, value in _lower(headers)
        if name not in VOLATILE_REQUEST_HEADERS
    }


def redact_response_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Replace credentials and leave out what changes with each request."""
    return {
        name: REDACTED if name in SECRET_HEADERS else value
        for name, value in _lower(headers)
        if name not in VOLATILE_RESPONSE_HEADERS and not name.startswith(VOLATILE_RESPONSE_PREFIXES)
    }


def redact_url(url: str) -> str:
    """Replace secret query parameters and leave out user and password."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    query = "&".join(_redact_parameter(piece) for piece in parts.query.split("&"))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def environment_secrets(environ: Mapping[str, str]) -> tuple[Secret, ...]:
    """Collect the values of variables named *KEY, *TOKEN, *SECRET and *PASSWORD."""
    return tuple(
        Secret(f"the value of {name}", value)
        for name, value in environ.items()
        if name.upper().endswith(_SECRET_NAMES) and len(value) >= SHORTEST_SECRET
    )


def request_secrets(url: str, headers: Mapping[str, str]) -> tuple[Secret, ...]:
    """Collect a request's own credentials: those that redaction replaces."""
    values = [value.strip().rpartition(" ")[2] for name, value in _lower(headers) if is_secret_header(name)]
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    values += [value for name, value in parse_qsl(parts.query) if name.lower() in SECRET_PARAMETERS]
    values += [unquote(part) for part in parts.netloc.rpartition("@")[0].split(":")]
    return tuple(
        Secret("the request's own credential", value) for value in values if len(value) >= SHORTEST_SECRET
    )


def written_fields(interaction: Interaction) -> Iterator[tuple[str, bytes]]:
    """Give everything of an interaction that reaches the file, with the place it stands at.

    Yields:
        The most telling place first: a JSON path before the whole body.
    """
    request = interaction.request
    yield "request URL", request.url.encode(errors="replace")
    for name, value in request.headers.items():
        yield f"request header {name}", value.encode(errors="replace")
    for path, leaf in leaves(parse(request.body)):
        if isinstance(leaf, str):
            yield f"request body at {path}", leaf.encode(errors="replace")
    yield "request body", request.body
    for name, value in interaction.headers.items():
        yield f"response header {name}", value.encode(errors="replace")
    yield "response body", interaction.body
    if interaction.failure is not None:
        yield "error message", interaction.failure.message.encode(errors="replace")


def find_leak(fields: Iterable[tuple[str, bytes]], secrets: Iterable[Secret]) -> Leak | None:
    """Search named fields for secrets, as they are, percent-encoded or in base64, and for the shapes of keys.

    Args:
        fields: Places and what is written there.
        secrets: The values that are known.
    """
    forms = [(secret.name, form) for secret in secrets for form in set(_forms(secret.value))]
    for place, data in fields:
        for kind, form in forms:
            if form in data:
                return Leak(place, kind)
        for kind, shape in _SHAPES.items():
            if shape.search(data):
                return Leak(place, kind)
    return None


def _forms(value: str) -> Iterator[bytes]:
    plain = value.encode(errors="surrogateescape")
    yield plain
    yield quote(value, safe="", errors="surrogateescape").encode()
    for offset in range(3):
        # Inside a longer base64 text a value starts at one of three alignments; only whole groups are certain.
        usable = plain[(3 - offset) % 3 :]
        whole = usable[: len(usable) // 3 * 3]
        if len(whole) >= SHORTEST_SECRET - 2:
            yield base64.b64encode(whole)
            yield base64.urlsafe_b64encode(whole)


def _redact_parameter(piece: str) -> str:
    name, equals, _ = piece.partition("=")
    return f"{name}={REDACTED}" if equals and unquote(name).lower() in SECRET_PARAMETERS else piece


def is_secret_header(request_header: str) -> bool:
    """Say whether a request's header, named in lower case, carries a credential."""
    # A harmless header that is redacted costs nothing: headers do not count when requests are compared.
    return request_header in SECRET_HEADERS or _SECRET_WORD.search(request_header) is not None


def _lower(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    # A header may hold bytes that are no text; YAML cannot.
    return (
        (name.lower(), value.encode(errors="backslashreplace").decode()) for name, value in headers.items()
    )
