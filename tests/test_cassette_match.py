from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette.drift import differences, explain
from aquila.cassette.jsonbody import leaves
from aquila.cassette.match import Index, normal_url, request_key
from aquila.transport.base import Request
from tests.tapes import interaction, request


def body(text: str) -> Request:
    return Request(method="POST", url="https://e.test/v1", body=text.encode())


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
        ("http://e.test/?key=abcdef", "http://e.test/?key=[redacted]"),
        ("http://user:pass@e.test/", "http://e.test/"),
        ("http://[broken", "http://[broken"),
    ],
)
def test_urls_are_compared_in_one_form(url: str, normal: str) -> None:
    assert normal_url(url) == normal


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), JSON, max_size=4), st.randoms())
def test_the_order_of_keys_never_counts(value: dict[str, object], shuffle: random.Random) -> None:
    items = list(value.items())
    shuffle.shuffle(items)

    assert request_key(body(json.dumps(value))) == request_key(body(json.dumps(dict(items), indent=1)))


@settings(deadline=None)
@given(
    st.dictionaries(st.text(max_size=3), JSON, max_size=4),
    st.dictionaries(st.text(max_size=3), JSON, max_size=4),
)
def test_a_drift_report_is_empty_only_for_equal_requests(
    one: dict[str, object], other: dict[str, object]
) -> None:
    first, second = body(json.dumps(one)), body(json.dumps(other))

    assert (differences(first, second) == []) == (request_key(first) == request_key(second))


def test_equal_requests_are_answered_in_the_order_they_were_recorded() -> None:
    index = Index([interaction(seq=0), interaction(request("Other"), seq=1), interaction(seq=2)])

    found = [index.claim(request_key(request())) for _ in range(3)]

    assert [item and item.seq for item in found] == [0, 2, None]
    assert index.unplayed() == {1}


def test_a_played_answer_is_its_own_reason() -> None:
    index = Index([interaction(request("Other")), interaction()])
    index.claim(request_key(request()))

    drift = explain(request(), index)

    assert (drift.reason, drift.number, drift.lines) == ("already_played", 2, ())


def test_an_empty_cassette_is_its_own_reason() -> None:
    assert explain(request(), Index(())).reason == "empty"


def test_a_miss_names_the_path_the_character_and_the_words() -> None:
    prompt = "Long words before it. " * 100 + "Answer in {}, please."
    index = Index(
        [
            interaction(request("Something else altogether")),
            interaction(request(prompt.format("English"), temperature=0.2)),
            interaction(
                replace(request(prompt.format("French"), temperature=0.7), url="https://other.test/")
            ),
        ]
    )

    drift = explain(request(prompt.format("French"), temperature=0.7), index)

    assert (drift.reason, drift.number) == ("no_match", 2)
    assert drift.lines == (
        f"$.messages[0].content: at character 2210: ...{prompt[2180:2210]}[-English-]{{+French+}}, please.",
        "$.temperature: 0.2 -> 0.7",
    )


def test_the_nearest_is_one_that_is_still_unplayed() -> None:
    index = Index([interaction(), interaction()])
    index.claim(request_key(request()))

    assert explain(request("Hallo"), index).number == 2


@pytest.mark.parametrize(
    ("recorded", "sent", "line"),
    [
        ('{"a": 1}', '{"a": 1, "tools": [{"name": "f"}]}', '$.tools[0].name: not recorded, now "f"'),
        ('{"a": 1, "n": null}', '{"a": 1}', "$.n: recorded as null, now absent"),
        ('{"a": "one\\ntwo"}', '{"a": "one\\nthree"}', "$.a: at character 4: one\\n[-two-]{+three+}"),
        ('{"a": "x"}', '{"a": "x y"}', "$.a: at character 1: x{+ y+}"),
        ('{"a": 1}', '{"a": true}', "$.a: 1 -> true"),
        ('{"a b": 1}', '{"a b": 2}', '$["a b"]: 1 -> 2'),
        ("plain text", "plain words", "body: at character 6: plain [-text-]{+words+}"),
    ],
)
def test_each_kind_of_difference_has_its_words(recorded: str, sent: str, line: str) -> None:
    assert differences(body(recorded), body(sent)) == [line]


def test_bytes_differ_at_a_byte() -> None:
    one, other = (replace(body(""), body=data) for data in (b"\xff\x00\x01", b"\xff\x00\x02\x03"))

    assert differences(one, other) == ["body: 3 bytes recorded, 4 sent, different from byte 2 on"]


def test_several_changes_in_one_text_are_listed_each() -> None:
    before = "One fish. " + "Nothing to see here. " * 5 + "Red fish."
    after = before.replace("One", "Two").replace("Red", "Blue")

    (line,) = differences(body(json.dumps({"a": before})), body(json.dumps({"a": after})))

    assert "at character 0: [-One-]{+Two+}" in line
    assert f"at character {before.index('Red')}: " in line
    assert "[-Red-]{+Blue+}" in line


def test_a_change_in_a_huge_text_shows_where_it_begins() -> None:
    before, after = "a " * 3000 + "end", "b " * 3000 + "end"

    (line,) = differences(body(json.dumps({"a": before})), body(json.dumps({"a": after})))

    assert line.startswith("$.a: at character 0: [-a a a")
    assert len(line) < 1000


def test_a_change_inside_one_huge_word_is_shown_and_not_its_beginning() -> None:
    before, after = ("data:image/png;base64," + "A" * 5000 + end for end in ("BBB", "CCC"))

    (line,) = differences(body(json.dumps({"a": before})), body(json.dumps({"a": after})))

    assert line == f"$.a: at character 5022: ...{'A' * 30}[-BBB-]{{+CCC+}}"


def test_leaves_are_the_whole_value() -> None:
    value = {"a": [1, {"b": None}], "c": {}, "d e": []}

    assert list(leaves(value)) == [("$.a[0]", 1), ("$.a[1].b", None), ("$.c", {}), ('$["d e"]', [])]
