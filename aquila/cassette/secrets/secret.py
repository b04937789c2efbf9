"""Values that are known to be secret: those of the environment and those a request carries."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from aquila.cassette.secrets.secret_names import is_secret_header, is_secret_parameter

#: Shorter values stand in prose by accident.
SHORTEST_SECRET = 8
#: A cookie's value may be a plain word; a session's is not.
_SHORTEST_COOKIE = 16

_SECRET_WORDS = frozenset({"KEY", "KEYS", "PASS", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS"})
_SECRET_ENDINGS = (
    "APIKEY", "APIKEYS", "PASSWD", "PASSWORD", "PASSWORDS", "SECRET", "SECRETS", "TOKEN", "TOKENS",
)  # fmt: skip
#: As the last word they say that the value is about a secret and not itself one: `SSH_KEY_PATH`, `TOKEN_URL`.
_ABOUT_SECRETS = frozenset({
    "ALGORITHM", "COUNT", "DIR", "DIRECTORY", "ENABLED", "ENDPOINT", "ENV", "EXPIRY", "FILE", "FOLDER", "FORMAT",
    "HEADER", "HOME", "HOST", "HOSTNAME", "ID", "LENGTH", "LIMIT", "MODE", "NAME", "NAMES", "PATH", "PORT", "PREFIX",
    "PROVIDER", "REGION", "SIZE", "TIMEOUT", "TTL", "TYPE", "URI", "URL", "USER", "USERNAME", "VERSION",
})  # fmt: skip
_DUMMIES = frozenset({
    "[redacted]", "changeme", "change-me", "development", "disabled", "dummy-key", "fake-key", "lm-studio",
    "no-key-needed", "no-key-required", "not-needed", "not-required", "optional", "password", "placeholder",
    "postgres", "production", "required", "sk-no-key-required", "test-key", "undefined", "unlimited", "your-api-key",
})  # fmt: skip
#: A parameter of a header's scheme; one that fills up base64 has no value.
_PARAMETER = re.compile(r"""([\w-]+)=(?:"([^"]*)"|([^\s,;"=]+))""")
#: Parameters that say whose the credential is and what it is for.
_TELLING = frozenset({
    "algorithm", "charset", "domain", "host", "nc", "qop", "realm", "scheme", "signedheaders", "uri", "user",
    "username", "version",
})  # fmt: skip
_NUMBER = re.compile(r"[-+]?\d{1,15}(?:\.\d*)?")
_SEPARATOR = re.compile(r"[/\\]")
_ROOT = re.compile(r"~|\.{0,2}|[A-Za-z]:")
#: A part of a path as people name files; a random key that has a slash has no such parts.
_FILE_NAME = re.compile(r"[A-Za-z_.-]*\d{0,4}(?:\.[\w-]{1,8})?")


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not be written, and the words that name it without telling it."""

    name: str
    value: str = field(repr=False)


def environment_secrets(environ: Mapping[str, str]) -> tuple[Secret, ...]:
    """Collect the values of variables named like a secret: `OPENAI_API_KEY`, `PGPASSWORD`, `APP_SECRET_2`.

    Those named after something about a secret (`SSH_KEY_PATH`) are none, nor are paths, numbers and usual dummies.
    """
    return tuple(
        Secret(f"the value of {name}", value)
        for name, value in environ.items()
        if _names_secret(name) and _may_be_secret(value)
    )


def request_secrets(url: str, headers: Mapping[str, str], names: Collection[str] = ()) -> tuple[Secret, ...]:
    """Collect a request's own credentials: those of its headers and its URL that redaction replaces.

    Args:
        url: The request's URL.
        headers: Its headers; their case does not count.
        names: Further names of headers and query parameters.
    """
    values = [part for name, value in headers.items() for part in _credentials(name.lower(), value, names)]
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    for text in (parts.query, parts.fragment.rpartition("?")[2]):
        values += [value for name, value in parse_qsl(text) if is_secret_parameter(name, value, names)]
    values += [unquote(part) for part in parts.netloc.rpartition("@")[0].split(":")]
    return tuple(
        Secret("the request's own credential", value)
        for value in dict.fromkeys(values)
        if len(value) >= SHORTEST_SECRET and value.lower() not in _DUMMIES
    )


def _credentials(name: str, value: str, names: Collection[str]) -> Iterator[str]:
    if name == "cookie":
        cookies = (piece.partition("=")[2].strip() for piece in value.split(";"))
        yield from (cookie for cookie in cookies if len(cookie) >= _SHORTEST_COOKIE)
    elif is_secret_header(name, names):
        *scheme, credential = value.strip().split(" ")
        yield credential
        # Of `Token token="...", nonce="..."` each may be the secret one.
        for parameter in _PARAMETER.finditer(value) if scheme else ():
            if parameter[1].lower() not in _TELLING:
                yield parameter[2] or parameter[3] or ""
        if scheme and scheme[0].lower() == "basic":
            yield _password(credential)


def _password(basic: str) -> str:
    try:
        # Not everybody fills it up.
        return base64.b64decode(basic + "==").decode().partition(":")[2]
    except ValueError:
        return ""


def _names_secret(variable: str) -> bool:
    words = [word.rstrip("0123456789") for word in variable.upper().split("_")]
    last = next((word for word in reversed(words) if word), "")
    if last in _ABOUT_SECRETS or "PUBLIC" in words:
        return False
    return any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDINGS) for word in words)


def _may_be_secret(value: str) -> bool:
    if len(value) < SHORTEST_SECRET or value.lower() in _DUMMIES or len(set(value)) == 1:
        return False
    return _NUMBER.fullmatch(value) is None and not _is_path(value)


def _is_path(value: str) -> bool:
    root, *names = _SEPARATOR.split(value)
    return bool(names) and _ROOT.fullmatch(root) is not None and all(map(_FILE_NAME.fullmatch, names))
