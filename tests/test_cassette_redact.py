from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette.secrets.redact import (
    redact_body,
    redact_chunks,
    redact_request_headers,
    redact_response_headers,
    redact_url,
)
from aquila.cassette.secrets.secret import request_secrets
from tests.planted_secrets import PLANTED, planting
from tests.tapes import HELLO, KEY, request


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
        ("https://e.test/v1?key=AIzaSyA1b2C3d4E5f6&alt=sse", "https://e.test/v1?key=[redacted]&alt=sse"),
        ("https://e.test/v1?key=users/1234567890abcdef", "https://e.test/v1?key=users/1234567890abcdef"),
        ("https://e.test/v1?code=lighthouses-in-2024", "https://e.test/v1?code=lighthouses-in-2024"),
        ("https://e.test/v1?accessToken=a&client-secret=b", "https://e.test/v1?accessToken=[redacted]&client-secret=[redacted]"),
        ("https://e.test/v1?user%5Bpassword%5D=a&u[name]=b", "https://e.test/v1?user%5Bpassword%5D=[redacted]&u[name]=b"),
        ("https://e.test/cb#access_token=a&state=1", "https://e.test/cb#access_token=[redacted]&state=1"),
        ("https://e.test/#/cb?id_token=a", "https://e.test/#/cb?id_token=[redacted]"),
        ("https://e.test/\udc80", "https://e.test/\\udc80"),
        ("https://e.test/v1?API%5Fkey=abc", "https://e.test/v1?API%5Fkey=[redacted]"),
        ("https://e.test/v1?sig=a%2Fb&token=", "https://e.test/v1?sig=[redacted]&token=[redacted]"),
        ("https://me:pass@e.test/v1", "https://e.test/v1"),
        ("https://e.test/v1?monkey=1", "https://e.test/v1?monkey=1"),
    ],
)  # fmt: skip
def test_credentials_in_a_url_are_replaced(url: str, clean: str) -> None:
    assert redact_url(url) == clean


def test_a_project_names_further_headers_and_parameters() -> None:
    names = frozenset({"tenant_id"})

    assert redact_request_headers({"Tenant-Id": "a", "accept": "*/*"}, names) == {
        "tenant-id": "[redacted]",
        "accept": "*/*",
    }
    assert redact_response_headers({"tenant-id": "a"}, names) == {"tenant-id": "[redacted]"}
    assert redact_url("https://e.test/?tenant-id=a&b=c", names) == "https://e.test/?tenant-id=[redacted]&b=c"


def test_a_url_in_a_header_loses_its_credentials() -> None:
    assert redact_response_headers({"Location": "https://e.test/f?sig=abc&n=1"}) == {
        "location": "https://e.test/f?sig=[redacted]&n=1"
    }


@pytest.mark.parametrize("name", ["x-access-token", "X-CSRF-Token", "x-ms-client-secret", "Mcp-Session-Id"])
def test_an_answer_may_give_a_credential_in_a_header(name: str) -> None:
    assert redact_response_headers({name: "a"}) == {name.lower(): "[redacted]"}


@pytest.mark.parametrize(
    ("name", "value", "clean"),
    [
        ("link", "<https://e.test/f?sig=abc>; rel=next, </g?n=1>", "<https://e.test/f?sig=[redacted]>; rel=next, </g?n=1>"),
        ("refresh", "5; url=https://e.test/f?token=abc", "5; url=https://e.test/f?token=[redacted]"),
        ("location", "https://e.test/cb#access_token=abc", "https://e.test/cb#access_token=[redacted]"),
    ],
)  # fmt: skip
def test_each_url_in_a_header_loses_its_credentials(name: str, value: str, clean: str) -> None:
    assert redact_response_headers({name: value}) == {name: clean}


def test_a_header_named_like_half_a_credential_is_none() -> None:
    headers = {"x-author": "a", "keywords": "b", "x-tokenizer": "c"}

    assert redact_request_headers(headers) == headers


def test_a_request_keeps_all_of_its_bytes_but_the_secret_ones() -> None:
    body = b'{"b" : 1,\n"tools": [{"type":"mcp","authorization":"abc", "a":[1.0,\t2]}]}'

    assert redact_body(body) == body.replace(b"abc", b"[redacted]")


def test_what_has_no_secret_is_the_same_object() -> None:
    body = request().body

    assert redact_body(body) is body


@pytest.mark.parametrize(
    ("body", "clean"),
    [
        (b"client_id=a&client_secret=b&api%5Fkey=c&token=d&code=e", b"client_id=a&client_secret=[redacted]&api%5Fkey=[redacted]&token=[redacted]&code=e"),
        (b"grant_type=x&assertion=a&user[password]=b&secret=c", b"grant_type=x&assertion=[redacted]&user[password]=[redacted]&secret=[redacted]"),
        (
            b'--x\r\nContent-Disposition: form-data; name="api_key"\r\n\r\nabc\r\n--x\r\n\r\n--x--\r\n',
            b'--x\r\nContent-Disposition: form-data; name="api_key"\r\n\r\n[redacted]\r\n--x\r\n\r\n--x--\r\n',
        ),
        (
            b'--x\r\ncontent-disposition: form-data; name=f; filename="password"\r\n\r\nabc\r\n--x--\r\n',
            b'--x\r\ncontent-disposition: form-data; name=f; filename="password"\r\n\r\nabc\r\n--x--\r\n',
        ),
        (
            b'{"error":{"message":"Rate limit reached for m in organization org-AbCdEfGhIjKlMn on requests per min (RPM): 3"}}',
            b'{"error":{"message":"Rate limit reached for m in organization [redacted] on requests per min (RPM): 3"}}',
        ),
        (b'{"o":"org-abcdefghij0123456789ABCD"}', b'{"o":"[redacted]"}'),
        (b'{"m":"Project `proj_abc123def456` has no access"}', b'{"m":"Project `[redacted]` has no access"}'),
        (b'{"m":"line\\nproj_abcdefghij0123456789"}', b'{"m":"line\\n[redacted]"}'),
        (
            b'{"m":"Incorrect API key provided: sk-abc***xyz. You can"}',
            b'{"m":"Incorrect API key provided: [redacted]. You can"}',
        ),
        (
            b'{"m":"Incorrect API key provided: my-te*****mock. You can"}',
            b'{"m":"Incorrect API key provided: [redacted]. You can"}',
        ),
    ],
)  # fmt: skip
def test_forms_and_the_words_of_errors_are_redacted(body: bytes, clean: bytes) -> None:
    assert redact_body(body) == clean
    assert redact_body(clean) is clean


@pytest.mark.parametrize(
    "body",
    [
        b"**bold** and ***both***, *** and a rule\n***\n",
        b"org-chart, project-plan, proj_config and org-wide rules of 2024",
        b'{"token": "a", "key": "b", "secret": "c", "logprobs": [{"token": " the"}]}',
        b'{"properties": {"password": {"type": "string"}}, "required": ["password"]}',
        b'{"max_tokens": 5, "password": 5, "cookie": null}',
        b"Answer key: **B**. Key: **important**, use **sk-learn** and sk-learn** and sk-***",
        b"the organization org-mode, project proj_alpha, org-chart2024templates",
        b'{"cookie": "chocolate", "headers": {"author": "Bob", "keyword": "x"}}',
        b"password=secret is prose and no form",
        b"",
        b"\xff\xfe\x00",
    ],
)
def test_what_only_looks_like_a_secret_stays(body: bytes) -> None:
    assert redact_body(body) == body


def test_the_arguments_of_a_tool_are_redacted_across_events() -> None:
    pieces = ['{"user": "me", "pass', 'word": "', "hunt", "er2", '", "n": 1}']
    body = b"".join(_arguments(piece) for piece in pieces)

    clean = redact_body(body)

    assert _joined(clean) == '{"user": "me", "password": "[redacted]", "n": 1}'
    assert clean.count(b"\n\n") == len(pieces)
    assert redact_body(clean) == clean


@settings(deadline=None)
@given(planting(), planting(), st.lists(st.tuples(st.integers(0, 1), st.integers(1, 9)), max_size=60))
def test_a_value_is_replaced_in_whatever_pieces_it_comes(
    first: Callable[[str], bytes], second: Callable[[str], bytes], takes: list[tuple[int, int]]
) -> None:
    texts = [first(PLANTED).decode(), second(PLANTED).decode()]
    body = b""
    for index, size in (*takes, (0, 10**6), (1, 10**6)):
        body += _arguments(texts[index][:size], index)
        texts[index] = texts[index][size:]

    clean = redact_body(body)

    assert _joined(clean, 0) == first("[redacted]").decode()
    assert _joined(clean, 1) == second("[redacted]").decode()
    assert redact_body(clean) == clean


CUT = json.dumps('see: {"user": "bob", "password": "hun').encode()


@pytest.mark.parametrize(
    "rest",
    [
        b'[{"text": %s}, {"text": "Paris"}, {"text": "Rome"}]',
        b'data: {"type": "a", "content": %s}\n\ndata: {"type": "a", "content": "Paris"}\n\n',
        b'data: {"type": "a", "delta": %s}\n\ndata: {"type": "b", "delta": "Paris\\" Rome"}\n\n',
        b'{"id": "a", "text": %s}\n{"id": "b", "text": "Paris\\" Rome"}\n',
    ],
)
def test_a_value_that_is_cut_off_takes_nothing_from_other_texts(rest: bytes) -> None:
    assert redact_body(rest % CUT) == rest % CUT.replace(b"hun", b"[redacted]")


def test_texts_of_a_request_are_not_joined() -> None:
    body = (
        b'[{"text": %s}, {"text": "Paris\\" Rome"}, {"text": "proj_abcdefgh"}, {"text": "ij0123456789"}]'
        % CUT
    )

    assert redact_body(body, pieces=False) == body.replace(b"hun", b"[redacted]")


def test_an_id_in_a_stream_is_one_if_it_comes_in_pieces_and_not_for_the_words_of_another_text() -> None:
    in_pieces = b'{"text": "organization org-AbCdEf"}\n{"text": "GhIjKlMn on"}\n'
    apart = b'{"text": "Organization "}\n{"text": "no organization "}\n{"text": "org-AbCdEfGhIjKl"}\n'

    assert redact_body(in_pieces) == b'{"text": "organization [redacted]"}\n{"text": " on"}\n'
    assert redact_body(apart) == apart


def test_a_number_that_a_project_names_is_replaced_across_events() -> None:
    clean = redact_body(_arguments('{"user_id": 12') + _arguments("34}"), {"user_id"})

    assert _joined(clean) == '{"user_id": 0}'


def test_parallel_calls_of_tools_are_not_mixed_up() -> None:
    pieces = [(0, '{"pass'), (1, '{"a":"'), (0, 'word": "hunter2'), (1, 'kept"}'), (0, '"}')]

    clean = redact_body(b"".join(_arguments(piece, index) for index, piece in pieces))

    assert b"hunter2" not in clean
    assert b"kept" in clean


@settings(deadline=None)
@given(st.lists(st.integers(0, 400), max_size=12))
def test_chunks_stay_and_join_to_the_redacted_body_however_they_are_cut(cuts: list[int]) -> None:
    body = (
        b'data: {"api_key":"abcdefghijklmnop","x":"org-abcdefghij0123456789"}\n\n'
        + b"".join(map(_arguments, ['{"password":"hu', 'nter2"}']))
        + HELLO[0]
    )
    bounds = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    chunks = [(float(number), body[start:end]) for number, (start, end) in enumerate(pairwise(bounds))]

    clean = redact_chunks(chunks)

    assert b"".join(data for _, data in clean) == redact_body(body)
    assert [at for at, _ in clean] == [at for at, _ in chunks]


def test_a_chunk_without_a_secret_is_not_touched() -> None:
    chunks = [(0.0, HELLO[0]), (1.0, b'data: {"api_key":"abcdefg'), (2.0, b'hijk"}\n\n'), (3.0, HELLO[1])]

    clean = redact_chunks(chunks)

    assert (clean[0], clean[3]) == (chunks[0], chunks[3])
    assert clean[1][1].startswith(b'data: {"api_key":"')
    assert clean[2][1].endswith(b'"}\n\n')


def _arguments(piece: str, index: int = 0) -> bytes:
    call = {"index": index, "function": {"arguments": piece}}
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'tool_calls': [call]}}]})}\n\n".encode()


def _joined(body: bytes, index: int = 0) -> str:
    events = (json.loads(event.removeprefix("data: ")) for event in body.decode().split("\n\n") if event)
    calls = (event["choices"][0]["delta"]["tool_calls"][0] for event in events)
    return "".join(call["function"]["arguments"] for call in calls if call["index"] == index)
