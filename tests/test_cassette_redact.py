from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette.redact import (
    Secret,
    environment_secrets,
    find_leak,
    redact_request_headers,
    redact_response_headers,
    redact_url,
    request_secrets,
    written_fields,
)
from tests.tapes import KEY, interaction, request


def test_credentials_in_headers_are_replaced_whatever_their_case() -> None:
    names = (
        "Authorization",
        "api-key",
        "X-API-Key",
        "x-goog-api-key",
        "Cookie",
        "OpenAI-Organization",
        "openai-project",
    )

    assert redact_request_headers(dict.fromkeys(names, "value")) == dict.fromkeys(
        map(str.lower, names), "[redacted]"
    )
    assert redact_response_headers({"Set-Cookie": "a=b"}) == {"set-cookie": "[redacted]"}


@pytest.mark.parametrize(
    "name",
    [
        "Ocp-Apim-Subscription-Key",
        "x-litellm-key",
        "Helicone-Auth",
        "cf-access-client-secret",
        "X-AccessToken",
        "x_password",
    ],
)
def test_a_request_header_named_like_a_credential_is_one(name: str) -> None:
    assert redact_request_headers({name: KEY}) == {name.lower(): "[redacted]"}
    assert [secret.value for secret in request_secrets("https://e.test", {name: f"Bearer {KEY}"})] == [KEY]


def test_volatile_headers_are_left_out_and_telling_ones_kept() -> None:
    headers = {
        "date": "now", "cf-ray": "1", "x-request-id": "2", "x-ratelimit-remaining": "3", "server-timing": "4",
        "content-type": "text/event-stream", "retry-after": "5",
    }  # fmt: skip

    assert redact_response_headers(headers) == {"content-type": "text/event-stream", "retry-after": "5"}
    assert redact_request_headers({"traceparent": "00-1", "accept": "*/*"}) == {"accept": "*/*"}


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://e.test/v1?key=abc&alt=sse", "https://e.test/v1?key=[redacted]&alt=sse"),
        ("https://e.test/v1?API%5Fkey=abc", "https://e.test/v1?API%5Fkey=[redacted]"),
        ("https://e.test/v1?sig=a%2Fb&token=", "https://e.test/v1?sig=[redacted]&token=[redacted]"),
        ("https://me:pass@e.test/v1", "https://e.test/v1"),
        ("https://e.test/v1?monkey=1", "https://e.test/v1?monkey=1"),
    ],
)
def test_credentials_in_a_url_are_replaced(url: str, clean: str) -> None:
    assert redact_url(url) == clean


def test_the_environment_knows_its_secrets_by_name() -> None:
    environ = {
        "MY_API_KEY": "12345678",
        "GH_token": "abcdefgh",
        "DB_PASSWORD": "short",
        "HOME": "/home/somebody",
    }

    assert environment_secrets(environ) == (
        Secret("the value of MY_API_KEY", "12345678"),
        Secret("the value of GH_token", "abcdefgh"),
    )


def test_a_request_knows_its_own_credentials() -> None:
    found = request_secrets(
        "https://u:p%40ssword@e.test/?key=query-secret", {"Authorization": f"Bearer {KEY}"}
    )

    assert [secret.value for secret in found] == [KEY, "query-secret", "p@ssword"]


@settings(deadline=None)
@given(
    st.text(st.characters(codec="utf-8"), min_size=8, max_size=20),
    st.binary(max_size=5),
    st.binary(max_size=5),
)
def test_a_known_value_is_found_plain_and_in_base64_at_any_offset(
    value: str, before: bytes, after: bytes
) -> None:
    plain = before + value.encode() + after

    for data in (plain, base64.b64encode(plain), base64.urlsafe_b64encode(plain)):
        assert find_leak([("body", data)], [Secret("it", value)]) is not None


@pytest.mark.parametrize(
    "text",
    [
        "sk-abcdefghij0123456789",
        "use sk-ant-api03-abcdefghij0123456789.",
        "sk-proj-abc_DEF-0123456789012345",
        "Authorization: Bearer abc0123456789012345",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk",
        "org-abcdefghij0123456789ABCD",
        "AIza" + "a1B2c" * 7,
        "__cf_bm=abc.def-0123",
    ],
)
def test_the_shape_of_a_key_is_enough(text: str) -> None:
    assert find_leak([("body", text.encode())], ()) is not None


@pytest.mark.parametrize(
    "text",
    [
        "risk-management-systems-of-2024-and-2025",
        "sk-learn",
        "a bearer of good news; Bearer tokens-are-a-good-thing",
        "gAAAAABsk-abcdefghij0123456789",
        "task-abcdefghij0123456789",
        "[redacted]",
    ],
)
def test_prose_and_opaque_blobs_pass(text: str) -> None:
    assert find_leak([("body", text.encode())], ()) is None


def test_a_leak_names_the_json_path_and_never_the_value() -> None:
    recorded = interaction(request(f"My key is {KEY}"))

    leak = find_leak(written_fields(recorded), [Secret("the value of X_KEY", KEY)])

    assert leak is not None
    assert (leak.place, leak.kind) == ("request body at $.messages[0].content", "the value of X_KEY")
    assert KEY not in repr(Secret("x", KEY))


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"headers": {"x-echo": KEY}}, "response header x-echo"),
        (
            {"chunks": interaction(chunks=[(0, KEY[:9].encode()), (1, KEY[9:].encode())]).chunks},
            "response body",
        ),
        ({"request": replace(request(), headers={"x-copy": KEY})}, "request header x-copy"),
        ({"request": replace(request(), headers={}, url=f"https://e.test/{KEY}")}, "request URL"),
        ({"request": replace(request(), headers={}, body=KEY.encode())}, "request body"),
        ({"request": replace(request(), headers={}, body=json.dumps({KEY: 1}).encode())}, "request body"),
    ],
)
def test_every_place_is_searched(changed: dict[str, object], place: str) -> None:
    leak = find_leak(written_fields(replace(interaction(), **changed)), [Secret("it", KEY)])  # type: ignore[arg-type]

    assert leak is not None
    assert leak.place == place
