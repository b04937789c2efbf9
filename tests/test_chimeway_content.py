from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquila.errors import ConfigError
from chimeway.content import Content, checked, filled
from chimeway.errors import NotifierInvalid

PARAMS: dict[str, Any] = {
    "name": "Ada",
    "user": {"name": "Ada L.", "tags": ["a", "b"], "1": "one"},
    "items": [{"title": "First"}, {"title": "Second"}],
    "price": 3.14159,
    "count": 7,
    "at": datetime(2026, 1, 2, tzinfo=UTC),
    "nothing": None,
    "by_number": {5: "five"},
}


def text_of(text: str, params: Any = None) -> str:
    return filled(Content(text=text), PARAMS if params is None else params, where="Welcome.email").text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("no blank", "no blank"),
        ("Hello, {name}!", "Hello, Ada!"),
        ("{user.name} {user.tags[1]} {user[name]} {user.1}", "Ada L. b Ada L. one"),
        ("{items[0].title}, {items.1.title}", "First, Second"),
        ("{{name}} and {{}}", "{name} and {}"),
        ("{price:.2f} {count:04} {name:>5}", "3.14 0007   Ada"),
        ("{at:%d.%m.%Y}", "02.01.2026"),
        ("{nothing}", "None"),
        ("{by_number[5]}", "five"),
    ],
)
def test_blanks_are_filled_from_the_parameters(text: str, wanted: str) -> None:
    assert text_of(text) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{who}", "there is no parameter 'who'"),
        ("{user.age}", "there is no 'age' for {user.age}"),
        ("{items[2]}", "there is no '2'"),
        ("{items[-1]}", "looks for '-1' in a list"),
        ("{items.first}", "write its index in brackets"),
        ("{name[0]}", "looks for '0' in a text"),
        ("{name.__class__}", "looks for '__class__' in a text"),
        ("{at.year}", "looks for 'year' in a value of type datetime; pass a mapping"),
        ("{count.__class__.__mro__}", "in a value of type int"),
        ("{user.__class__}", "there is no '__class__'"),
        ("{}", "has no name"),
        ("{0}", "there is no parameter '0'"),
        ("{name!r}", "has a conversion"),
        ("{name:{count}}", "the format of {name} has a blank"),
        ("{name:d}", "the format 'd' of {name} does not fit a value of type str"),
        ("{name", "expected '}'"),
        ("a } b", "Single '}'"),
        ("{user..name}", "cannot be read"),
        ("{user[}", "expected"),
    ],
)
def test_what_cannot_be_filled_is_named(text: str, words: str) -> None:
    with pytest.raises(NotifierInvalid) as raised:
        text_of(text)

    assert words in str(raised.value)
    assert str(raised.value).startswith("Welcome.email.text cannot be filled: ")
    assert "the parameters are at, by_number, count" in str(raised.value)
    assert isinstance(raised.value, ConfigError)


def test_no_value_is_in_an_error() -> None:
    class Loud:
        def __format__(self, form: str) -> str:
            raise ValueError("the value is sk-secret")

    for params in ({"name": "sk-secret"}, {"name": Loud()}):
        with pytest.raises(NotifierInvalid) as raised:
            text_of("{name:d}", params)
        assert "sk-secret" not in str(raised.value)
        assert raised.value.__suppress_context__


def test_what_a_value_says_is_not_filled_again() -> None:
    assert text_of("{name}", {"name": "{count} {{x}} {"}) == "{count} {{x}} {"


def test_values_in_html_are_escaped_whatever_they_are() -> None:
    class Sneaky:
        def __str__(self) -> str:
            return "<script>"

    content = Content(html='<p title="{a}">{b.c[0]} {d} {a:>5}</p>', text="{a}")
    params = {"a": "\"'&", "b": {"c": ["<b>"]}, "d": Sneaky()}

    whole = filled(content, params, where="x")

    assert whole.html == '<p title="&quot;&#x27;&amp;">&lt;b&gt; &lt;script&gt;   &quot;&#x27;&amp;</p>'
    assert whole.text == "\"'&"


def test_values_in_a_subject_stay_on_its_line() -> None:
    whole = filled(Content(subject="About {x}"), {"x": "a\r\nBcc: eve@example.com\u2028b"}, where="x")

    assert whole.subject == "About a Bcc: eve@example.com b"


@pytest.mark.parametrize(
    ("url", "params", "wanted"),
    [
        (
            "https://x.example/{a}?q={b}",
            {"a": "1/2", "b": "ä&c=d #"},
            "https://x.example/1%2F2?q=%C3%A4%26c%3Dd%20%23",
        ),
        (
            "{base}/posts/{id}",
            {"base": "https://x.example/a?b=c", "id": 7},
            "https://x.example/a?b=c/posts/7",
        ),
        ("{base}", {"base": "/posts/7"}, "/posts/7"),
        ("app://{id}", {"id": "../x"}, "app://..%2Fx"),
        ("https://x.example/{a}", {"a": "\ud800"}, "https://x.example/%3F"),
    ],
)
def test_values_in_a_link_are_percent_encoded(url: str, params: dict[str, Any], wanted: str) -> None:
    assert filled(Content(url=url), params, where="x").url == wanted


@pytest.mark.parametrize(
    "base", ["javascript:alert(1)", "//evil.example", "data:x", "https://x\n", "", "https://x y"]
)
def test_a_value_that_a_link_begins_with_must_be_one(base: str) -> None:
    with pytest.raises(NotifierInvalid, match="begins with is no link"):
        filled(Content(url="{base}/x"), {"base": base}, where="x")


def test_a_prompt_is_filled_and_data_is_not() -> None:
    whole = filled(
        Content(prompt="Greet {name}", instructions="In {count} words", data={"x": "{name}"}),
        PARAMS,
        where="x",
    )

    assert (whole.prompt, whole.instructions, whole.data) == ("Greet Ada", "In 7 words", {"x": "{name}"})


@pytest.mark.parametrize(
    "content",
    [
        Content(),
        Content(subject="s", text="t"),
        Content(text="t", html="", url=""),
        Content(
            text="t", data={"a": [1, {"b": None}]}, text_from="write", prompt="p", instructions="i", model="m"
        ),
    ],
)
def test_a_content_comes_back_from_its_json(content: Content) -> None:
    assert Content.from_dict(content.to_dict()) == content
    assert hash(Content.from_dict(content.to_dict())) == hash(content)


def test_what_was_left_out_is_not_stored() -> None:
    assert Content(text="t").to_dict() == {"text": "t"}


def test_what_a_newer_version_stored_is_read() -> None:
    assert Content.from_dict({"text": "t", "colour": "red"}) == Content(text="t")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Content(text=7), "w.text is text, not int"),  # type: ignore[arg-type]
        (Content(subject=None), "w.subject is text, not NoneType"),  # type: ignore[arg-type]
        (Content(html=b"x"), "w.html is text, not bytes"),  # type: ignore[arg-type]
        (Content(data=[1]), "w.data is a mapping of JSON values, not list"),  # type: ignore[arg-type]
        (Content(data={"a": {"b": object()}}), r"w.data.a.b is of type object"),
        (
            Content(text="x" * 1_000_001),
            r"w has 1,000,\d+ characters as JSON, and at most 1,000,000 are kept",
        ),
        (Content(data={"x": ["y" * 600_000] * 2}), "at most 1,000,000"),
    ],
)
def test_what_cannot_be_kept_is_refused(content: Content, words: str) -> None:
    with pytest.raises(NotifierInvalid, match=words):
        checked(content, where="w")


def test_what_is_kept_is_what_both_databases_hold() -> None:
    kept = checked(Content(text="a\x00\ud800", data={"at": PARAMS["at"], "t": (1, 2)}), where="w")

    assert kept == Content(text="a\ufffd\ufffd", data={"at": "2026-01-02T00:00:00+00:00", "t": [1, 2]})


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_any_text_is_filled_or_refused_and_nothing_else(
    text: str, value: str, params: dict[str, str]
) -> None:
    content = Content(subject=text, text=text, html=text, url=text)
    try:
        whole = filled(content, {**params, "a": value}, where="x")
    except NotifierInvalid:
        return
    assert isinstance(whole.text, str)


@given(st.text())
def test_whatever_a_value_says_it_opens_no_tag_and_no_line(value: str) -> None:
    whole = filled(
        Content(subject="s {a} s", html="<p>{a}</p>", url="https://x.example/{a}"), {"a": value}, where="x"
    )

    assert whole.html is not None
    assert whole.url is not None
    assert whole.html.count("<") == 2
    assert len(whole.subject.splitlines()) == 1
    assert whole.url.count("/") == 3
