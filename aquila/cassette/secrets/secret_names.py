"""Names that say their value is a secret: of headers, of query parameters, and of fields in bodies."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

from aquila.cassette.secrets.key_shapes import is_random

#: Those of known names, in requests and responses.
SECRET_HEADERS = frozenset({
    "anthropic-organization-id",
    "api-key",
    "authentication-info",
    "authorization",
    "cookie",
    "mcp-session-id",
    "openai-organization",
    "openai-project",
    "proxy-authorization",
    "set-cookie",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
    "x-goog-api-key",
})  # fmt: skip
#: Not `key`, `token` or `secret` alone: log probabilities have a `token`, and the arguments of many tools a `key`. Nor
#: `cookie`, which people bake.
SECRET_FIELDS = frozenset({
    "access_token", "api_key", "api_secret", "api_token", "auth_token", "authorization", "aws_secret_access_key",
    "aws_session_token", "bearer_token", "client_assertion", "client_secret", "id_token", "passphrase", "passwd",
    "password", "private_key", "proxy_authorization", "refresh_token", "secret_access_key", "secret_key",
    "security_token", "session_token", "set_cookie", "signing_secret", "webhook_secret", "x_amz_security_token",
    "x_api_key", "x_auth_token", "x_goog_api_key",
})  # fmt: skip
#: In requests and answers they hold whole texts, and perhaps a secret inside; hiding them would hide everything.
TEXT_FIELDS = frozenset({
    "arguments", "content", "delta", "input", "instructions", "messages", "output", "role", "text",
})  # fmt: skip
#: Of queries, fragments and forms, where no prose stands.
SECRET_PARAMETERS = SECRET_FIELDS | {
    "access_key", "assertion", "auth", "code_verifier", "csrf_token", "jwt", "ocp_apim_subscription_key", "pwd",
    "sas_token", "secret", "session_key", "sig", "signature", "subscription_key", "token", "x_access_token",
    "x_amz_credential", "x_amz_signature", "x_goog_credential", "x_goog_signature",
}  # fmt: skip
#: Many a parameter has these names; their values are credentials if they look like it.
_PERHAPS = frozenset({"code", "key"})
_SHORTEST_KEY = 16
_LONGEST_NAME = 200

#: What gateways call their own: `Ocp-Apim-Subscription-Key`, `Helicone-Auth`, `X-AccessToken`.
_SECRET_WORDS = frozenset({
    "auth", "authentication", "authorization", "credential", "credentials", "jwt", "key", "keys", "oauth",
})  # fmt: skip
_SECRET_ENDINGS = ("accesskey", "apikey", "passwd", "password", "secret", "token")
_WORD_ENDS = re.compile("[-_ ]")
_INNER_NAME = re.compile(r"\[([^\[\]]+)\](?:\[\d*\])*$")


def is_secret_header(request_header: str, names: Collection[str] = ()) -> bool:
    """Say whether a request's header, named in lower case, carries a credential.

    Args:
        request_header: Its name.
        names: Further names that do.
    """
    # A harmless header that is redacted costs nothing: headers do not count when requests are compared.
    return (
        request_header in SECRET_HEADERS
        or any(
            word in _SECRET_WORDS or word.endswith(_SECRET_ENDINGS)
            for word in _WORD_ENDS.split(request_header)
        )
        or normal(request_header) in normalised(frozenset(names))
    )


def is_secret_response_header(name: str, names: Collection[str] = ()) -> bool:
    """Say whether an answer's header, named in lower case, carries a credential: far fewer do, and all are of use."""
    return (
        name in SECRET_HEADERS
        or name.endswith(_SECRET_ENDINGS)
        or normal(name) in normalised(frozenset(names))
    )


def is_secret_parameter(name: str, value: str, names: Collection[str] = ()) -> bool:
    """Say whether a parameter of a query, or the field of a form, carries a credential.

    Args:
        name: Its name, decoded; of `user[password]` the inner one counts.
        value: Its value, decoded.
        names: Further names that do.
    """
    inner = _INNER_NAME.search(name[-_LONGEST_NAME:])
    plain = normal(name if inner is None else inner[1])
    if plain in normalised(SECRET_PARAMETERS.union(names)):
        return True
    return plain in _PERHAPS and _looks_like_key(value)


def _looks_like_key(value: str) -> bool:
    return len(value) >= _SHORTEST_KEY and "/" not in value and is_random(value.encode(errors="replace"))


def normal(name: str) -> str:
    """Give the form in which names are compared: `api_key`, `API-Key` and `apiKey` are one."""
    return name.lower().replace("-", "").replace("_", "")


@lru_cache(maxsize=64)
def normalised(names: frozenset[str]) -> frozenset[str]:
    """Give a set of names in the form in which they are compared."""
    return frozenset(map(normal, names))
