from __future__ import annotations

import json
from typing import Any

import pytest

from aquila import errors
from aquila.endpoint.failure import Failure, error_of, read_failure, status_error, stream_error


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"error": {"message": "m", "type": "t", "code": "c"}}, Failure(message="m", type="t", code="c"),
                     id="OpenAI"),
        pytest.param({"error": "m"}, Failure(message="m"), id="text"),
        pytest.param({"error": "m", "code": 429}, Failure(message="m", code=429), id="text and a code"),
        pytest.param({"error": {"message": "m"}, "message": "other"}, Failure(message="m"), id="twice over"),
        pytest.param([{"error": {"message": "m", "code": 429}}], Failure(message="m", code=429), id="a list"),
        pytest.param({"type": "error", "message": "m", "code": "c"}, Failure(message="m", code="c", type="error"),
                     id="flat"),
        pytest.param({"message": "m", "code": 5}, Failure(message="m", code=5), id="bare"),
        pytest.param({"detail": "m"}, Failure(message="m"), id="FastAPI"),
        pytest.param({"detail": [{"loc": ["body"], "msg": "m"}]}, Failure(message='[{"loc":["body"],"msg":"m"}]'),
                     id="FastAPI's list"),
        pytest.param({"error": {"code": 503}}, Failure(message="503", code=503), id="a code alone"),
        pytest.param({"error": {"type": "overloaded_error"}},
                     Failure(message="overloaded_error", type="overloaded_error"), id="a type alone"),
        pytest.param({"error": ["a", {"b": 1}]}, Failure(message='["a",{"b":1}]'), id="an odd shape"),
        pytest.param({"error": {"message": {"en": "m"}}}, Failure(message='{"en":"m"}'), id="an odd message"),
        pytest.param({"choices": [], "message": "m"}, None, id="a chunk"),
        pytest.param({"error": {}}, None, id="an empty error"),
        pytest.param({"error": None, "id": "r"}, None, id="no error"),
        pytest.param({"type": "ping"}, None, id="a ping"),
        pytest.param([], None, id="an empty list"),
        pytest.param("m", None, id="text alone"),
        pytest.param([[{"error": {"message": "m"}}]], None, id="a list in a list"),
    ],
)  # fmt: skip
def test_an_error_is_found_in_any_shape(value: Any, expected: Failure | None) -> None:
    assert read_failure(value) == expected


@pytest.mark.parametrize(
    ("status", "facts", "kind"),
    [
        (400, {}, errors.BadRequestError),
        (422, {}, errors.BadRequestError),
        (401, {}, errors.AuthenticationError),
        (403, {}, errors.PermissionDeniedError),
        (404, {}, errors.NotFoundError),
        (404, {"code": "model_not_found"}, errors.NotFoundError),
        (418, {}, errors.APIStatusError),
        (429, {}, errors.RateLimitError),
        (429, {"code": "insufficient_quota"}, errors.QuotaExceededError),
        (429, {"type": "insufficient_quota"}, errors.QuotaExceededError),
        (429, {"code": "billing_hard_limit_reached"}, errors.QuotaExceededError),
        (429, {"message": "Monthly usage limit reached, resets in 16 days"}, errors.QuotaExceededError),
        (400, {"code": "context_length_exceeded"}, errors.ContextLengthError),
        (400, {"message": "This model's maximum context length is 8 tokens"}, errors.ContextLengthError),
        (400, {"type": "exceed_context_size_error"}, errors.ContextLengthError),
        (400, {"code": "content_filter"}, errors.ContentFilterError),
        (500, {}, errors.InternalServerError),
        (502, {}, errors.InternalServerError),
        (503, {}, errors.OverloadedError),
        (529, {"type": "overloaded_error"}, errors.OverloadedError),
        (500, {"code": "insufficient_quota"}, errors.InternalServerError),
    ],
)
def test_the_status_names_the_class_and_the_words_refine_it(
    status: int, facts: dict[str, Any], kind: type[errors.APIStatusError]
) -> None:
    body = json.dumps({"error": {"message": "m", **facts}}).encode()

    error = status_error(status, body, url="https://x/v1", retry_after=3.0, request_id="req")

    assert type(error) is kind
    assert (error.status_code, error.request_id, error.body) == (status, "req", body.decode())
    assert str(error).startswith(f"{status} from https://x/v1: ")


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (408, True), (409, True), (429, True), (500, True)]
)
def test_a_race_on_the_providers_side_may_be_tried_again(status: int, retryable: bool) -> None:
    assert status_error(status, b"", url="x").retryable is retryable


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no further word"),
        (b"<html>\n  <h1>Bad\n gateway</h1>", "<html> <h1>Bad gateway</h1>"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"a":1}', '{"a":1}'),
    ],
)
def test_a_body_without_an_error_is_quoted(body: bytes, says: str) -> None:
    assert says in str(status_error(502, body, url="x"))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (429, errors.RateLimitError),
        ("503", errors.OverloadedError),
        (418, errors.APIStatusError),
        (200, errors.ProviderStreamError),
        (1302, errors.ProviderStreamError),
        ("rate_limit_exceeded", errors.RateLimitError),
        ("server_is_overloaded", errors.OverloadedError),
        ("invalid_api_key", errors.AuthenticationError),
        ("odd", errors.ProviderStreamError),
        (None, errors.ProviderStreamError),
    ],
)
def test_a_code_in_the_stream_means_what_the_status_would(code: Any, kind: type[Exception]) -> None:
    error = stream_error(Failure(message="m", code=code))

    assert type(error) is kind
    assert "the provider reported an error in the stream: m" in str(error)


def test_an_error_that_says_nothing_is_still_an_error() -> None:
    assert isinstance(error_of({}), errors.ProtocolError)
    assert isinstance(error_of(""), errors.ProtocolError)
    assert str(error_of({"odd": 1})) == 'the stream reported an error without a word: {"odd":1}'


def test_a_long_message_is_cut() -> None:
    assert len(str(error_of({"message": "x" * 1_000_000}))) < 3000


def test_an_object_under_message_is_no_error() -> None:
    assert read_failure({"type": "message_start", "message": {"id": "m"}}) is None
