from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette.interaction import Failure
from aquila.cassette.secrets.leaks import find_leak, written_fields
from aquila.cassette.secrets.secret import Secret
from tests.tapes import KEY, interaction, request

SHAPED = "sk-abcdefghij0123456789"


def delta(text: str, index: int = 0) -> bytes:
    return f"data: {json.dumps({'choices': [{'index': index, 'delta': {'content': text}}]})}\n\n".encode()


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


def test_a_leak_names_the_json_path_and_never_the_value() -> None:
    recorded = interaction(request(f"My key is {KEY}"))

    leak = find_leak(written_fields(recorded), [Secret("the value of X_KEY", KEY)])

    assert leak is not None
    assert (leak.place, leak.kind) == ("request body at $.messages[0].content", "the value of X_KEY")
    assert KEY not in repr(leak)


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
        (
            {"request": replace(request(), headers={}, url=f"https://e.test/?q={KEY}")},
            "request URL, parameter q",
        ),
        ({"request": replace(request(), headers={}, method=KEY)}, "request method"),
        ({"request": replace(request(), headers={KEY: "1"})}, "names of request headers"),
        ({"headers": {KEY: "1"}}, "names of response headers"),
        ({"reason": KEY}, "reason phrase"),
        ({"model": KEY}, "name of the model"),
        ({"source": KEY}, "source"),
        ({"failure": Failure(error="ConnectionFailed", message=f"refused {KEY}")}, "error message"),
    ],
)
def test_every_place_is_searched(changed: dict[str, object], place: str) -> None:
    leak = find_leak(written_fields(replace(interaction(), **changed)), [Secret("it", KEY)])  # type: ignore[arg-type]

    assert leak is not None
    assert leak.place == place


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), min_size=8, max_size=20), st.integers(0, 3), st.booleans())
def test_a_known_value_is_found_percent_encoded_and_escaped_at_any_depth(
    value: str, depth: int, as_ascii: bool
) -> None:
    text = f"so {value} it is"
    for _ in range(depth + 1):
        text = json.dumps({"a": text}, ensure_ascii=as_ascii)
    percent = quote(value, safe="/")
    lower = re.sub("%..", lambda escape: escape[0].lower(), percent)
    for written in (text, quote(value, safe=""), percent, lower):
        assert find_leak([("body", written.encode())], [Secret("it", value)]) is not None


def test_escapes_that_nobody_needs_hide_nothing() -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in KEY)

    assert find_leak([("body", escaped.encode())], [Secret("it", KEY)]) is not None
    assert find_leak([("body", b'"a\\/b\\/cdefgh"')], [Secret("it", "a/b/cdefgh")]) is not None


BODIES = [
    (delta("Hi") + delta(f"it is {SHAPED}"), ", event 2 at $.choices[0].delta.content"),
    (delta("it is sk-") + delta("x") + delta("abcdefghij") + delta("0123456789"), ", event 1 at $.choices[0].delta.content"),
    (delta("sk-abcde") + delta("other", 1) + delta("fghij0123456789") + delta("words", 1), ", event 1 at $.choices[0].delta.content"),
    (
        b'data: {"type":"response.output_text.delta","delta":"a sk-abcd"}\n\ndata: {"delta":"efghij0123456789"}\n\n',
        ", event 1 at $.delta",
    ),
    (f'{{"choices":[{{"message":{{"content":"{SHAPED}"}}}}]}}'.encode(), " at $.choices[0].message.content"),
    (f'--b\r\ncontent-disposition: form-data; name="prompt"\r\n\r\n{SHAPED}\r\n--b--\r\n'.encode(), ', field "prompt"'),
    (f"grant=a&prompt={SHAPED}".encode(), ', field "prompt"'),
    (f"data: not JSON {SHAPED}\n\n".encode(), ", event 1"),
    (f"plain {SHAPED}".encode(), ""),
]  # fmt: skip


@pytest.mark.parametrize(("body", "place"), BODIES)
def test_a_leak_names_the_event_the_path_and_the_field(body: bytes, place: str) -> None:
    leak = find_leak([("response body", body)], ())

    assert leak is not None
    assert leak.place == f"response body{place}"


WORDS = "tr0ub4dor-and-3-horses"
PIECES = ("tr0ub4", "dor-and", "-3-horses")


def lines(*documents: object) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def events(*documents: object) -> bytes:
    return b"".join(b"data: " + json.dumps(document).encode() + b"\n\n" for document in documents)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (lines(*({"message": {"content": piece}} for piece in PIECES)), "event 1 at $.message.content"),
        (json.dumps([{"parts": [{"text": piece}]} for piece in PIECES], indent=1).encode(), "event 1 at $.parts[0].text"),
        (events(*({"audio": {"transcript": piece}} for piece in PIECES)), "event 1 at $.audio.transcript"),
        (events({"a": "x"}, {"a": "y"}, *({"response": piece} for piece in PIECES)), "event 3 at $.response"),
        (
            events({"index": 0, "delta": PIECES[0]}, {"delta": PIECES[1]}, {"index": 0, "top_index": 1, "delta": PIECES[2]}),
            "event 1 at $.delta",
        ),
        (
            events({"c": [{"index": 0, "t": PIECES[0]}]}, {"c": [{"index": 1, "t": "other"}]}, {"c": [{"index": 0, "t": PIECES[1] + PIECES[2]}]}),
            "event 1 at $.c[0].t",
        ),
        (b"".join(b"data: " + piece.encode() + b"\n\n" for piece in PIECES), "event 1"),
    ],
    ids=["lines", "array", "audio", "later", "some indexes", "two choices", "no JSON"],
)  # fmt: skip
def test_a_known_value_in_pieces_is_found_whatever_brings_them(body: bytes, place: str) -> None:
    leak = find_leak([("response body", body)], [Secret("it", WORDS)])

    assert leak is not None
    assert leak.place == f"response body, {place}"


@pytest.mark.parametrize("body", [b"q=ab%2Bcd%2Fef+gh%3D%3D", b'{"a":"ab+cd\\/ef gh=="}'])
def test_blanks_may_be_written_as_forms_write_them(body: bytes) -> None:
    assert find_leak([("body", body)], [Secret("it", "ab+cd/ef gh==")]) is not None


def test_the_case_of_an_escape_does_not_count() -> None:
    secret = Secret("it", "pässwörd-geheim")

    assert find_leak([("body", b'"p\\u00E4ssw\\u00F6rd-geheim"')], [secret]) is not None


def test_half_a_surrogate_pair_in_a_secret_is_no_trouble() -> None:
    assert find_leak([("body", b"a body")], [Secret("it", "abcdefgh\ud83d")]) is None


@pytest.mark.parametrize(
    ("allowed", "text"),
    [
        (SHAPED, f"it is {SHAPED}"),
        ("abcd0123456789efgh", "Authorization: Bearer abcd0123456789efgh"),
        (f"see {SHAPED} there", f"it is {SHAPED}"),
        (WORDS, f"it is {WORDS}"),
    ],
)
def test_what_is_allowed_is_no_leak(allowed: str, text: str) -> None:
    known = [Secret("it", WORDS)]

    assert find_leak([("body", text.encode())], known) is not None
    assert find_leak([("body", text.encode())], known, [allowed]) is None
    assert find_leak([("body", f"{text} sk-zyxwvutsrq9876543210".encode())], known, [allowed]) is not None


def test_texts_of_different_choices_do_not_make_a_key_together() -> None:
    body = delta("sk-abcdefgh", 0) + delta("ij0123456789", 1)

    assert find_leak([("response body", body * 2)], ()) is None


def test_a_large_answer_is_searched_in_a_moment() -> None:
    body = delta('say "hello"') * 60_000
    secrets = [Secret(str(number), f"{number:030}x") for number in range(20)]

    start = time.process_time()
    leak = find_leak([("response body", body)], secrets)

    assert leak is None
    assert len(body) > 4_000_000
    assert time.process_time() - start < 5
