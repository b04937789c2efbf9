"""What a provider's error means: every shape of it, turned into one exception of ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from aquila import errors
from aquila.endpoint.wire_json import UNREADABLE, excerpt
from aquila.errors import APIStatusError, AquilaError, ProtocolError, ProviderStreamError

_EXCERPT = 2000
_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    422: errors.BadRequestError,
    429: errors.RateLimitError,
    503: errors.OverloadedError,
    529: errors.OverloadedError,
}
#: Words in `code`, `type` or the message, and the class with its usual status that they stand for.
_BY_WORD: tuple[tuple[str, type[APIStatusError], int], ...] = (
    ("insufficient_quota", errors.QuotaExceededError, 429),
    ("billing_hard_limit_reached", errors.QuotaExceededError, 429),
    ("usage limit reached", errors.QuotaExceededError, 429),
    ("context_length_exceeded", errors.ContextLengthError, 400),
    ("exceed_context_size", errors.ContextLengthError, 400),
    ("maximum context length", errors.ContextLengthError, 400),
    ("content_filter", errors.ContentFilterError, 400),
    ("server_is_overloaded", errors.OverloadedError, 503),
    ("overloaded_error", errors.OverloadedError, 529),
    ("rate_limit_exceeded", errors.RateLimitError, 429),
    ("invalid_api_key", errors.AuthenticationError, 401),
    ("model_not_found", errors.NotFoundError, 404),
)
_REMEDY: tuple[tuple[type[APIStatusError], str], ...] = (
    (errors.AuthenticationError, "check OPENAI_API_KEY or api_key="),
    (errors.PermissionDeniedError, "this key may not use the model or endpoint"),
    (errors.NotFoundError, "check the model's name and the base URL"),
    (errors.ContextLengthError, "shorten the prompt or lower max_output_tokens"),
    (errors.QuotaExceededError, "raise the account's limit; waiting does not help"),
    (errors.RateLimitError, "send less often, or wait"),
    (errors.InternalServerError, "the provider failed; try again later"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What the provider said."""

    message: str
    code: str | int | None = None
    type: str | None = None


def read_failure(value: object) -> Failure | None:
    """Find the error in a decoded JSON value, whatever its shape; None when it holds none.

    Known shapes: `{"error": {...}}`, `{"error": "text"}`, a list with one of these (Gemini), `{"type": "error", ...}`
    flat or nested, and `{"message": ..., "code": ...}` or `{"detail": ...}` alone.
    """
    if isinstance(value, list):
        return next((found for item in value if (found := _failure_in(item))), None)
    return _failure_in(value)


def _failure_in(value: object) -> Failure | None:
    if not isinstance(value, Mapping):
        return None
    inner = value.get("error")
    if isinstance(inner, Mapping):
        return _failure(inner) or _named(inner.get("type"))
    if inner:
        return Failure(message=excerpt(inner, _EXCERPT), code=_code(value.get("code")))
    if value.get("type") == "error" or "choices" not in value:
        # Outside of an `error`, only words are one: other APIs have whole objects under `message`.
        return None if isinstance(value.get("message"), Mapping) else _failure(value)
    return None


def _named(kind: object) -> Failure | None:
    # Its type may be all that an error says of itself.
    return Failure(message=kind, type=kind) if isinstance(kind, str) and kind not in {"", "error"} else None


def _failure(facts: Mapping[str, Any]) -> Failure | None:
    message = facts.get("message") or facts.get("detail")
    kind = facts.get("type")
    code = _code(facts.get("code"))
    if message is None and code is None:
        return None
    said = excerpt(code if message is None else message, _EXCERPT)
    return Failure(message=said, code=code, type=kind if isinstance(kind, str) else None)


def _code(value: object) -> str | int | None:
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def status_error(
    status: int, body: bytes, *, url: str, retry_after: float | None = None, request_id: str | None = None
) -> APIStatusError:
    """Turn an error response into the exception for its status.

    Args:
        status: The HTTP status.
        body: As much of the body as was read.
        url: Where the request went, named in the message.
        retry_after: Seconds the provider asks to wait; None if it does not.
        request_id: The provider's id of the request; None if it gave none.
    """
    text = body.decode("utf-8", "replace")
    try:
        failure = read_failure(msgspec.json.decode(body))
    except UNREADABLE:
        failure = None
    said = failure.message if failure else " ".join(text.split())[:200] or "no further word"
    return _build(status, said, failure, where=f"{status} from {url}", body=text[:_EXCERPT],
                  retry_after=retry_after, request_id=request_id)  # fmt: skip


def stream_error(failure: Failure) -> AquilaError:
    """Turn an error inside a stream into the exception for its numeric code or its words."""
    status = _status_in(failure.code)
    if status is None and not _word_class(failure):
        return ProviderStreamError(
            f"the provider reported an error in the stream: {failure.message}", code=failure.code
        )
    return _build(status, failure.message, failure, where="the provider reported an error in the stream")


def error_of(value: object) -> AquilaError:
    """Turn what stands in a stream's `error` field into an exception, also when it says nothing."""
    failure = read_failure(value if isinstance(value, dict) and "error" in value else {"error": value})
    return (
        stream_error(failure)
        if failure
        else ProtocolError(f"the stream reported an error without a word: {excerpt(value)}")
    )


def _status_in(code: str | int | None) -> int | None:
    text = str(code)
    return int(text) if re.fullmatch(r"[45][0-9][0-9]", text) else None


def _word_class(failure: Failure | None) -> tuple[type[APIStatusError], int] | None:
    if failure is None:
        return None
    said = f"{failure.code} {failure.type} {failure.message}".lower()
    return next(((kind, status) for word, kind, status in _BY_WORD if word in said), None)


def _build(
    status: int | None,
    said: str,
    failure: Failure | None,
    *,
    where: str,
    body: str = "",
    retry_after: float | None = None,
    request_id: str | None = None,
) -> APIStatusError:
    word = _word_class(failure)
    kind = _class_for(status, word[0] if word else None)
    code = status if status is not None else (word[1] if word else 500)
    remedy = next((text for group, text in _REMEDY if issubclass(kind, group)), "")
    message = f"{where}: {said}" + (f" ({remedy})" if remedy else "")
    error = kind(message, status_code=code, body=body, retry_after=retry_after, request_id=request_id)
    # 408 and 409 stand for a race on the provider's side, which the next request may win.
    error.retryable = kind.retryable or code in {408, 409}
    return error


def _class_for(status: int | None, word: type[APIStatusError] | None) -> type[APIStatusError]:
    by_status = _BY_STATUS.get(status or 0)
    if by_status is None:
        by_status = errors.InternalServerError if status and status >= 500 else errors.APIStatusError  # noqa: PLR2004
    # The words refine the status and never contradict it; without a status they are all there is.
    if word and (status is None or issubclass(word, by_status)):
        return word
    return by_status
