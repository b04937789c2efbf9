"""Names that say their value is a secret: of headers, of query parameters, and of fields in bodies."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

#: Those of known names, in requests and responses.
SECRET_HEADERS = frozenset({
    "anthropic-organization-id",
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
#: Not `key`, `token` or `secret` alone: log probabilities have a `token`, and the arguments of many tools a `key`.
SECRET_FIELDS = frozenset({
    "access_token", "api_key", "api_secret", "api_token", "auth_token", "authorization", "aws_secret_access_key",
    "aws_session_token", "bearer_token", "client_assertion", "client_secret", "cookie", "id_token", "passphrase",
    "passwd", "password", "private_key", "proxy_authorization", "refresh_token", "secret_access_key", "secret_key",
    "security_token", "session_token", "set_cookie", "signing_secret", "webhook_secret", "x_amz_security_token",
    "x_api_key", "x_auth_token", "x_goog_api_key",
})  # fmt: skip

#: What gateways call their own: `Ocp-Apim-Subscription-Key`, `Helicone-Auth`, `cf-access-client-secret`.
_SECRET_WORD = re.compile("auth|key|password|secret|token")


def is_secret_header(request_header: str, names: Collection[str] = ()) -> bool:
    """Say whether a request's header, named in lower case, carries a credential.

    Args:
        request_header: Its name.
        names: Further names that do.
    """
    # A harmless header that is redacted costs nothing: headers do not count when requests are compared.
    return (
        request_header in SECRET_HEADERS
        or _SECRET_WORD.search(request_header) is not None
        or normal(request_header) in normalised(frozenset(names))
    )


def is_secret_response_header(name: str, names: Collection[str] = ()) -> bool:
    """Say whether an answer's header, named in lower case, carries a credential: far fewer do, and all are of use."""
    return name in SECRET_HEADERS or normal(name) in normalised(frozenset(names))


def is_secret_parameter(name: str, names: Collection[str] = ()) -> bool:
    """Say whether a query parameter carries a credential."""
    return name.lower() in SECRET_PARAMETERS or normal(name) in normalised(frozenset(names))


def is_secret_field(name: str, names: Collection[str] = ()) -> bool:
    """Say whether the field of a form carries a credential."""
    return normal(name) in normalised(SECRET_FIELDS.union(names))


def normal(name: str) -> str:
    """Give the form in which names are compared: `api_key`, `API-Key` and `apiKey` are one."""
    return name.lower().replace("-", "").replace("_", "")


@lru_cache(maxsize=64)
def normalised(names: frozenset[str]) -> frozenset[str]:
    """Give a set of names in the form in which they are compared."""
    return frozenset(map(normal, names))
