"""Secret fields are found at any depth of JSON, and nothing else changes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette.secrets.redact import redact_body
from tests.planted_secrets import PLANTED, planting


@settings(deadline=None, max_examples=300)
@given(planting())
def test_a_planted_value_is_replaced_at_any_depth_and_every_other_byte_stays(
    write: Callable[[str], bytes],
) -> None:
    clean = redact_body(write(PLANTED))

    assert clean == write("[redacted]")
    assert redact_body(clean) == clean


@settings(deadline=None)
@given(planting(), st.integers(0, 10_000))
def test_a_body_that_was_cut_off_shows_no_part_of_the_value(write: Callable[[str], bytes], cut: int) -> None:
    body = write(PLANTED)

    clean = redact_body(body[: cut % (len(body) + 1)])

    assert b"pl4" not in clean
    assert redact_body(clean) == clean


@pytest.mark.parametrize(
    ("body", "clean"),
    [
        (rb'{"a":"{\u0022api_key\u0022:\u0022v\\\u0022v\u0022,\u0022b\u0022:1}"}', rb'{"a":"{\u0022api_key\u0022:\u0022[redacted]\u0022,\u0022b\u0022:1}"}'),
        (rb'{"a":"\"passwd\":","b":"kept"}', rb'{"a":"\"passwd\":","b":"kept"}'),
        (rb'{"a":"\"passwd\":[","b":"kept"}', rb'{"a":"\"passwd\":[","b":"kept"}'),
        (rb'{"api\u005fkey":"v"}', rb'{"api\u005fkey":"[redacted]"}'),
        (b'{"password"\n :\t"v"}', b'{"password"\n :\t"[redacted]"}'),
        (b'data: {"password":\ndata: "v"}\n\n', b'data: {"password":\ndata: "[redacted]"}\n\n'),
        (b'data: {"password":"v\n\ndata: {"a":"b"}\n\n', b'data: {"password":"[redacted]\n\ndata: {"a":"b"}\n\n'),
        (b'{"password": "", "cookie": {"a": "b"}, "id_token": 5}', b'{"password": "", "cookie": {"a": "b"}, "id_token": 5}'),
        (
            b'{"headers": {"X-Litellm-Key": "v", "accept": "*/*", "n": 1, "l": ["a"], "x-auth": ["v", "w"]}}',
            b'{"headers": {"X-Litellm-Key": "[redacted]", "accept": "*/*", "n": 1, "l": ["a"], "x-auth": ["[redacted]", "[redacted]"]}}',
        ),
        (b'{"password": 1234567890123, "a": 12345678}', b'{"password": 0, "a": 12345678}'),
        (
            b'{"api_key": {"n": 1, "value": "v", "type": "kept"}, "client_secret": {"value": "ek"}}',
            b'{"api_key": {"n": 1, "value": "[redacted]", "type": "kept"}, "client_secret": {"value": "[redacted]"}}',
        ),
        (rb'{"a": "{\"client_secret\": {\"value\": \"v\"}}"}', rb'{"a": "{\"client_secret\": {\"value\": \"[redacted]\"}}"}'),
        (b'{"headers": {"key": {"type": "string"}, "x-key": "kept"}}', b'{"headers": {"key": {"type": "string"}, "x-key": "kept"}}'),
        (b'{"x_key": "v", "monkey": "kept", "prepassword": "kept"}', b'{"x_key": "v", "monkey": "kept", "prepassword": "kept"}'),
    ],
)  # fmt: skip
def test_a_field_is_recognised_by_its_name_and_its_string(body: bytes, clean: bytes) -> None:
    assert redact_body(body) == clean


def test_a_project_names_further_fields_whose_numbers_become_zero() -> None:
    body = '{"User-ID": "me", "größe": "x", "n": "{\\"user_id\\": -12.5e3}", "user_ids": "kept"}'

    clean = redact_body(body.encode(), {"user_id", "größe"}).decode()

    assert clean == (
        '{"User-ID": "[redacted]", "größe": "[redacted]", "n": "{\\"user_id\\": 0}", "user_ids": "kept"}'
    )


@pytest.mark.parametrize(
    "body",
    [
        b'{"password":"' + b"\\" * 1_000_001 + b'n"}',
        b'{"password"' + b" " * 1_000_000,
        b'{"password"' + b"\\" * 1_000_000,
        b'{"headers":{' + b'"a":"b",' * 100_000,
        b'"password":"' * 100_000,
        b"** " + b"sk-" * 300_000,
    ],
    ids=["backslashes", "blanks", "a quote", "headers", "names", "keys"],
)
def test_the_search_takes_time_in_proportion_to_the_body(body: bytes) -> None:
    start = time.process_time()
    redact_body(body)

    assert time.process_time() - start < 5


def test_a_large_body_without_secrets_is_searched_in_a_moment() -> None:
    body = json.dumps({"messages": [{"role": "user", "content": 'say "hello": now'}] * 60_000}).encode()

    start = time.process_time()
    clean = redact_body(body)

    assert clean is body
    assert time.process_time() - start < 2
