from __future__ import annotations

import json
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette.body.jsonbody import leaves, pretty
from aquila.cassette.matching.match import Index, as_written, normal_url, request_key
from aquila.cassette.matching.rules import DEFAULT_RULES, Rules
from tests.talks import JSON, body
from tests.tapes import interaction, request


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}'),
        ('{"a": "é"}', '{"a": "\\u00e9"}'),
        ('{"temperature": 1}', '{"temperature": 1.0}'),
        ('["a"]', '[ "a" ]\n'),
    ],
)
def test_the_form_of_a_body_does_not_count(one: str, other: str) -> None:
    assert request_key(body(one)) == request_key(body(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a": null}', "{}"),
        ('{"stop": ["a", "b"]}', '{"stop": ["b", "a"]}'),
        ('{"a": 1}', '{"a": true}'),
        ('{"a": 1}', '{"a": "1"}'),
        ('{"messages": [{"role": "system", "content": "Be kind"}]}', '{"messages": []}'),
        ('{"tools": [1]}', '{"tools": [2]}'),
        ("plain", "plain "),
    ],
)
def test_the_meaning_of_a_body_counts(one: str, other: str) -> None:
    assert request_key(body(one)) != request_key(body(other))


def test_the_method_counts_and_headers_do_not() -> None:
    sent = request()

    assert request_key(replace(sent, headers={})) == request_key(sent)
    assert request_key(replace(sent, method="PUT")) != request_key(sent)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTPS://API.Example.test:443", "https://api.example.test/"),
        ("http://e.test:80/v1#part", "http://e.test/v1"),
        ("http://e.test:8080/v1?b=2&a=1", "http://e.test:8080/v1?a=1&b=2"),
        ("http://e.test/?api_key=abcdef", "http://e.test/?api_key=[redacted]"),
        ("http://e.test/?step=b&step=a&n=1", "http://e.test/?n=1&step=b&step=a"),
        ("http://user:pass@e.test/", "http://e.test/"),
        ("http://[broken", "http://[broken"),
    ],
)
def test_urls_are_compared_in_one_form(url: str, normal: str) -> None:
    assert normal_url(url) == normal


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4), st.randoms())
def test_the_order_of_keys_never_counts(value: dict[str, object], shuffle: random.Random) -> None:
    items = list(value.items())
    shuffle.shuffle(items)

    assert request_key(body(json.dumps(value))) == request_key(body(json.dumps(dict(items), indent=1)))


PIECES = st.lists(
    st.sampled_from([
        "\u201c", "é", "sk-abc****xx", "Key: ", "key provided: ", "****", "**", "org-AAAAAAAAAAAA123456a",
        "organization ", "project ", "proj_aAAAAAAAAAAA123456", '"password": "x"', "\n", "\\", "\u2028", "\x7f", "a",
    ]),
    max_size=6,
).map("".join)  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(["password", "headers", "n"]), PIECES, min_size=1), st.booleans())
def test_a_masked_key_behind_an_escape_is_the_same_in_every_form(
    value: dict[str, object], as_ascii: bool
) -> None:
    sent = body(json.dumps({**value, "inner": json.dumps(value)}, ensure_ascii=as_ascii))
    written = as_written(sent, DEFAULT_RULES)
    recorded = replace(written, body=(pretty(written.body) or "").encode())

    assert request_key(recorded) == request_key(sent)


def test_half_a_surrogate_pair_in_the_url_or_the_method_is_no_trouble() -> None:
    sent = replace(request(), url="https://e.test/\udc80", method="P\udc80")

    assert request_key(as_written(sent, DEFAULT_RULES)) == request_key(sent)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["api_key", "a", "token", "password"]), JSON | st.text(min_size=8), max_size=3
    )
)
def test_a_request_and_its_recording_have_one_key(value: dict[str, object]) -> None:
    sent = body(json.dumps({"inner": json.dumps(value), **value}))
    written = as_written(sent, DEFAULT_RULES)
    recorded = replace(written, body=(pretty(written.body) or "").encode())

    assert request_key(recorded) == request_key(sent)


def test_what_cannot_be_compared_as_json_is_compared_as_bytes() -> None:
    deep = "[" * 900 + "]" * 900

    assert request_key(body(deep)) == request_key(body(deep))
    assert request_key(body(deep)) != request_key(body(deep + "x"))


def test_rules_read_whatever_is_sent() -> None:
    rules = Rules.of(ignore=["$..a"], ignore_text=["a"])
    one, other = (body("[" * 900 + number + "]" * 900) for number in "12")

    assert request_key(one, rules) == request_key(one, rules)
    assert request_key(one, rules) != request_key(other, rules)


@pytest.mark.parametrize(
    ("rules", "one", "other", "equal"),
    [
        (
            {"ignore": ["$.metadata.run_id"]},
            '{"metadata": {"run_id": 1}}',
            '{"metadata": {"run_id": 2}}',
            True,
        ),
        ({"ignore": ["$.metadata.run_id"]}, '{"metadata": {"run_id": 1}}', '{"metadata": {}}', True),
        ({"ignore": ["$.metadata.run_id"]}, '{"metadata": {"run_id": 1}}', "{}", False),
        ({"ignore": ["$.a"]}, '{"a": 1, "b": 1}', '{"a": 1, "b": 2}', False),
        ({"ignore": ["$.a[0]"]}, '{"a": [1, 2]}', '{"a": [3, 2]}', True),
        ({"ignore": ["$.a[*]"]}, '{"a": [1, 2]}', '{"a": [1]}', False),
        ({"ignore": ["$..ts"]}, '{"a": [{"ts": 1, "b": 1}]}', '{"a": [{"ts": 2, "b": 1}]}', True),
        ({"ignore_text": [r"\d+"]}, '{"a": ["at 12:30"]}', '{"a": ["at 9:05"]}', True),
        ({"ignore_text": [r"\d+"]}, '{"a": ["at 12:30"]}', '{"a": ["at 12"]}', False),
        ({"ignore_text": [r"\d+"]}, '{"a": 12}', '{"a": 13}', False),
        ({"ignore_text": [r"\d+"]}, '{"a1": ""}', '{"a2": ""}', False),
        ({"ignore_text": [r"\d+"]}, "plain 1", "plain 2", True),
        ({"redact": ["X-Tenant"]}, '{"x-tenant": "one-tenant"}', '{"x-tenant": "other-tenant"}', True),
    ],
)
def test_rules_say_what_does_not_count(
    rules: dict[str, list[str]], one: str, other: str, equal: bool
) -> None:
    found = Rules.of(**rules)  # type: ignore[arg-type] # one of its lists

    assert (request_key(body(one), found) == request_key(body(other), found)) is equal
    assert request_key(body(one)) != request_key(body(other))


def test_a_secret_parameter_of_a_rule_does_not_count() -> None:
    one, other = (replace(request(), url=f"https://e.test/?tenant={name}") for name in ("a", "b"))

    assert request_key(one) != request_key(other)
    assert request_key(one, Rules.of(redact=["tenant"])) == request_key(other, Rules.of(redact=["tenant"]))


def test_equal_requests_are_answered_in_the_order_they_were_recorded() -> None:
    index = Index([interaction(), interaction(request("Other")), interaction()])

    assert [index.claim(request_key(request())) for _ in range(3)] == [0, 2, None]
    assert index.claim(request_key(request("Nobody's"))) is None
    assert (index.unplayed(), index.waiting()) == ((1,), (1,))


def test_an_interaction_given_back_comes_again_in_its_place() -> None:
    index = Index([interaction() for _ in range(4)])
    key = request_key(request())
    claimed = [index.claim(key) for _ in range(3)]

    index.give_back(2)
    index.give_back(0)
    index.give_back(0)

    assert claimed == [0, 1, 2]
    assert index.waiting() == (0, 2, 3)
    assert index.unplayed() == (3,)
    assert [index.claim(key) for _ in range(4)] == [0, 2, 3, None]


def test_many_threads_claim_each_interaction_once() -> None:
    index = Index([interaction() for _ in range(2000)])
    key = request_key(request())
    start = threading.Barrier(8)

    def claim_all(_: int) -> list[int]:
        start.wait()
        return list(iter(lambda: index.claim(key), None))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            found = [place for places in threads.map(claim_all, range(8)) for place in places]
    finally:
        sys.setswitchinterval(interval)

    assert sorted(found) == list(range(2000))


def test_rules_hold_for_what_is_recorded() -> None:
    rules = Rules.of(ignore=["$.user"])
    index = Index([interaction(request(user="a")), interaction(request(user="b"))], rules)

    assert [index.claim(request_key(request(user="c"), rules)) for _ in range(3)] == [0, 1, None]
    assert index.rules is rules


def test_default_rules_take_the_keys_that_are_there() -> None:
    item = replace(interaction(), key="known already")

    assert Index([item]).claim("known already") == 0
    assert Index([item], Rules.of(ignore=["$.a"])).claim(request_key(request())) == 0


def test_an_index_of_a_thousand_long_prompts_is_made_at_once() -> None:
    items = [replace(interaction(), key=str(number)) for number in range(1000)]
    long = replace(items[0].request, body=b'{"a": "' + b"word " * 6000 + b'"}')

    start = time.process_time()
    Index([replace(item, request=long) for item in items])

    assert time.process_time() - start < 0.2


def test_leaves_are_the_whole_value() -> None:
    value = {"a": [1, {"b": None}], "c": {}, "d e": []}

    assert list(leaves(value)) == [("$.a[0]", 1), ("$.a[1].b", None), ("$.c", {}), ('$["d e"]', [])]


def test_texts_after_one_that_ends_in_a_secret_count() -> None:
    keys = {
        request_key(
            replace(request(), body=json.dumps([{"text": '{"password": "' + cut}, {"text": city}]).encode())
        )
        for city in ("Paris", "Rome")
        for cut in ("hun", "hunter2")
    }

    assert len(keys) == 2
