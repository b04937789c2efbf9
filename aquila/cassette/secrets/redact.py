"""What must not reach a cassette is replaced where it belongs: in headers, in URLs and in the fields of bodies.

Whatever else is written is searched for secrets when it is saved: see `aquila.cassette.secrets.leaks`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from urllib.parse import unquote_plus, urlsplit, urlunsplit

from aquila.cassette.secrets.secret_names import (
    is_secret_header,
    is_secret_parameter,
    is_secret_response_header,
)
from aquila.cassette.secrets.secret_spans import REDACTED as _REDACTED_BYTES
from aquila.cassette.secrets.secret_spans import Replacement, replacements

REDACTED = _REDACTED_BYTES.decode()

#: They change with each request and say nothing that a replay needs.
VOLATILE_REQUEST_HEADERS = frozenset({"baggage", "idempotency-key", "traceparent", "tracestate"})
#: What OpenAI's SDK says of itself and of the machine it runs on.
VOLATILE_REQUEST_PREFIXES = ("x-stainless-",)
VOLATILE_RESPONSE_HEADERS = frozenset({
    "age", "alt-svc", "date", "nel", "openai-processing-ms", "report-to", "reporting-endpoints", "request-id",
    "server-timing", "via", "x-amzn-requestid", "x-envoy-upstream-service-time", "x-request-id",
    "x-response-time", "x-runtime",
})  # fmt: skip
VOLATILE_RESPONSE_PREFIXES = ("anthropic-ratelimit-", "cf-", "x-ratelimit-")
#: Where URLs stand in the values of headers.
_URL_HEADERS = {
    **dict.fromkeys(("content-location", "location", "referer"), re.compile(r"\S+")),
    "link": re.compile(r"(?<=<)[^<>]+"),
    "refresh": re.compile(r"""(?<=[=;,'"\s])[^\s'"]*[?#][^\s'"]*"""),
}


def redact_request_headers(headers: Mapping[str, str], names: Collection[str] = ()) -> dict[str, str]:
    """Replace credentials and leave out what changes with each request.

    Args:
        headers: The headers; the result's names are in lower case.
        names: Names of secret headers besides the usual ones.
    """
    return {
        name: REDACTED if is_secret_header(name, names) else _kept(name, value, names)
        for name, value in _lower(headers)
        if name not in VOLATILE_REQUEST_HEADERS and not name.startswith(VOLATILE_REQUEST_PREFIXES)
    }


def redact_response_headers(headers: Mapping[str, str], names: Collection[str] = ()) -> dict[str, str]:
    """Replace credentials and leave out what changes with each request.

    Args:
        headers: The headers; the result's names are in lower case.
        names: Names of secret headers besides the usual ones.
    """
    return {
        name: REDACTED if is_secret_response_header(name, names) else _kept(name, value, names)
        for name, value in _lower(headers)
        if name not in VOLATILE_RESPONSE_HEADERS and not name.startswith(VOLATILE_RESPONSE_PREFIXES)
    }


def redact_url(url: str, names: Collection[str] = ()) -> str:
    """Replace secret parameters of the query and of the fragment, and leave out user and password.

    Args:
        url: Any text; one that is no URL stays as it is.
        names: Names of secret parameters besides the usual ones.
    """
    url = plain(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    route, mark, fragment = parts.fragment.rpartition("?")
    clean = parts._replace(
        netloc=parts.netloc.rpartition("@")[2],
        query=_redact_parameters(parts.query, names),
        fragment=route + mark + _redact_parameters(fragment, names),
    )
    return urlunsplit(clean)


def plain(text: str) -> str:
    """Give a text as it can be written: halves of surrogate pairs become their escapes."""
    return text.encode(errors="backslashreplace").decode()


def redact_body(body: bytes, names: Collection[str] = (), *, pieces: bool = True) -> bytes:
    """Replace the values of secret fields, and ids and masked keys that errors tell; all else keeps its bytes.

    Args:
        body: JSON, events, a form, or any other text or bytes; whole or cut off anywhere.
        names: Names of secret fields besides the usual ones.
        pieces: False for a request, whose documents are texts of their own: nothing is joined, and no two requests
            become equal.
    """
    return _replaced(body, replacements(body, names, pieces=pieces))


def redact_chunks(
    chunks: Sequence[tuple[float, bytes]], names: Collection[str] = ()
) -> list[tuple[float, bytes]]:
    """Redact a body that came in chunks: as many chunks with the same times, however secrets cross their boundaries.

    Args:
        chunks: Times and bytes.
        names: Names of secret fields besides the usual ones.
    """
    body = b"".join(data for _, data in chunks)
    found = replacements(body, names)
    if not found:
        return list(chunks)
    clean = _replaced(body, found)
    cuts = pairwise(_moved(accumulate((len(data) for _, data in chunks), initial=0), found))
    return [(at, clean[start:end]) for (at, _), (start, end) in zip(chunks, cuts, strict=True)]


def _replaced(body: bytes, found: Iterable[Replacement]) -> bytes:
    parts, at = [], 0
    for start, end, new in found:
        parts += [body[at:start], new]
        at = end
    return b"".join([*parts, body[at:]]) if parts else body


def _moved(positions: Iterable[int], found: Sequence[Replacement]) -> Iterator[int]:
    # Positions rise, and those inside a replaced stretch keep their share of it.
    shift, number = 0, 0
    for position in positions:
        while number < len(found) and found[number].end <= position:
            shift += len(found[number].new) - (found[number].end - found[number].start)
            number += 1
        inside = found[number] if number < len(found) and found[number].start < position else None
        if inside is None:
            yield position + shift
        else:
            share = (position - inside.start) * len(inside.new) // (inside.end - inside.start)
            yield inside.start + shift + share


def _redact_parameters(query: str, names: Collection[str]) -> str:
    return "&".join(_redact_parameter(piece, names) for piece in query.split("&"))


def _redact_parameter(piece: str, names: Collection[str]) -> str:
    name, equals, value = piece.partition("=")
    if equals and is_secret_parameter(unquote_plus(name), unquote_plus(value), names):
        return f"{name}={REDACTED}"
    return piece


def _kept(name: str, value: str, names: Collection[str]) -> str:
    where = _URL_HEADERS.get(name)
    return value if where is None else where.sub(lambda url: redact_url(url[0], names), value)


def _lower(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    # A header may hold bytes that are no text; YAML cannot.
    return ((plain(name.lower()), plain(value)) for name, value in headers.items())
