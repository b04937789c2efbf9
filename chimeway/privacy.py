"""What is left out of what is stored: values under keys that name secrets, and what looks like a key in an answer. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from chimeway.errors import NotifierInvalid
from chimeway.hidden_addresses import address_pattern, without_address, without_paths
from chimeway.json_values import LARGEST, plain
from jobs.credentials import redacted as without_credentials

#: Names of secrets, without what parts their words.
_NAMES = frozenset({"bearer", "jwt", "otp", "passphrase", "passwd", "pwd"})
#: Further ones in what a provider answers. In a host's parameters they are ordinary words: the session of a conference.
_ANSWERED = frozenset({"auth", "pin", "session", "sid", "signature"})
#: How longer names of them end: `client_secret`, `X-Api-Key`, `Set-Cookie`.
_ENDS = (
    "accesskey",
    "apikey",
    "authorization",
    "cookie",
    "cookies",
    "credential",
    "credentials",
    "password",
    "passwords",
    "privatekey",
    "secret",
    "secretkey",
    "secrets",
    "sessionid",
    "sessionkey",
    "signingkey",
    "token",
)
_PARTS = re.compile(r"[\s_.-]+")
#: Characters of a provider's answer that a row keeps, in all and of one text.
LARGEST_RESPONSE, LONGEST_TEXT = 20_000, 2_000
_LONGEST_KEY = 300


def is_secret(key: str) -> bool:
    """Say whether a key names a secret, however it is spelt: `api_key`, `API-Key`, `clientSecret`."""
    name = _bare(key)
    return name in _NAMES or name.endswith(_ENDS)


def _is_secret_in_an_answer(key: str) -> bool:
    return _bare(key) in _ANSWERED or is_secret(key)


def _bare(key: str) -> str:
    return _PARTS.sub("", key).casefold()


def redacted(value: Any, *, where: str = "the payload", largest: int = LARGEST) -> Any:
    """Turn a value into JSON values without what stands under the names of secrets, at any depth.

    Args:
        value: Anything.
        where: What it is, for messages; the path within it is added.
        largest: Characters that it may have as JSON.

    Raises:
        NotifierInvalid: Something in it is no JSON, or it is too deep or too large. The message names the path, no value.
    """
    return plain(value, where=where, drop=is_secret, largest=largest)


def redacted_response(value: Any, *, address: str | None = None) -> dict[str, Any]:
    """Turn what a provider answered into a JSON object that a row keeps. Never raises: an answer is worth no failure.

    Secrets are left out, by key and by shape; URLs are cut to their host; long texts are cut; what cannot be kept is replaced
    by a word on why.

    Args:
        value: What it answered.
        address: Where the message went to, which is taken out as well.
    """
    try:
        given = value if isinstance(value, Mapping) else {"answer": value}
        kept = plain(given, where="the answer", drop=_is_secret_in_an_answer)
    except NotifierInvalid as error:
        return {"not_kept": str(error)}
    except Exception as error:  # noqa: BLE001 - a mapping of a provider's library may do anything when it is read
        return {"not_kept": f"the answer cannot be read: {type(error).__name__}"}
    short: dict[str, Any] = _short(kept, address_pattern(address))
    if (size := len(json.dumps(short, ensure_ascii=False))) > LARGEST_RESPONSE:
        return {"not_kept": f"the answer has {size:,} characters, and at most {LARGEST_RESPONSE:,} are kept"}
    return short


def _short(value: Any, address: re.Pattern[str] | None) -> Any:
    """Cut long texts, and take out of all what looks like a key or an address, also one that the cut goes through."""
    match value:
        case str():
            text = without_paths(without_address(value[: LONGEST_TEXT + _LONGEST_KEY], address))
            text = without_credentials(text)
            return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "..."
        case list():
            return [_short(item, address) for item in value]
        case dict():
            # A server may answer by address: `{"ada@example.com": "unknown"}`.
            return {without_address(key, address): _short(item, address) for key, item in value.items()}
    return value
