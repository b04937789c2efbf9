from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette.body.json_path import parse_path, path_text, without
from aquila.cassette.matching.project_rules import project_rules
from aquila.cassette.matching.rules import Rules, counting_text, ignored_spans
from aquila.errors import ConfigError

DOCUMENT = """{
  "metadata": {"run_id": 7, "user": "a"},
  "messages": [{"name": "n", "content": "one"}, {"name": "m", "content": "two"}],
  "odd name": {"timestamp": 1},
  "nested": [[{"timestamp": 2}], {"run-id": 3}]
}"""


@pytest.mark.parametrize(
    ("path", "places"),
    [
        ("$.metadata.run_id", ["$.metadata.run_id"]),
        ("$.messages[*].name", ["$.messages[0].name", "$.messages[1].name"]),
        ("$.messages[0].content", ["$.messages[0].content"]),
        ("$.messages[7].content", []),
        ("$.messages.content", []),
        ("$..timestamp", ['$["odd name"].timestamp', "$.nested[0][0].timestamp"]),
        ('$["odd name"]', ['$["odd name"]']),
        ("$['odd name'].timestamp", ['$["odd name"].timestamp']),
        ("$.nested..run-id", ['$.nested[1]["run-id"]']),
        ("$.metadata.*", ["$.metadata.run_id", "$.metadata.user"]),
        ('$["\\u006detadata"]["user"]', ["$.metadata.user"]),
        ("$..[0].content", ["$.messages[0].content"]),
    ],
)
def test_a_path_points_at_places(path: str, places: list[str]) -> None:
    found = [path_text(place) for place in parse_path(path).locations(json.loads(DOCUMENT))]

    assert found == places


def test_an_ignored_field_goes_and_an_ignored_item_keeps_its_place() -> None:
    paths = map(parse_path, ["$.a", "$.b[0]", "$..c", "$.b[0].c"])

    assert without({"a": 1, "b": [{"c": 1}, {"c": 2, "d": 3}]}, paths) == {"b": ["[ignored]", {"d": 3}]}


@pytest.mark.parametrize(
    "path",
    ["", "$", "metadata", "$.", "$a", "$.a[", "$.a[-1]", "$.a[1:2]", "$[?(@.x)]", "$...a", "$.a..", "$.a b", '$["a]', "$.a\n"],
)  # fmt: skip
def test_a_bad_path_is_refused_with_examples(path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Rules.of(ignore=[path])

    assert repr(path) in str(caught.value)
    assert "$.messages[*].name" in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"ignore": "$.a"}, "ignore is one text; give a list"),
        ({"ignore": [1]}, "ignore holds a value of type int; give texts"),
        ({"ignore_text": ["(a"]}, "'(a' is not a regular expression (missing )"),
        ({"ignore_text": ["a{99999999999}"]}, "'a{99999999999}' is not a regular expression"),
        ({"ignore_text": [rb"a"]}, "ignore_text holds a value of type bytes; give regular expressions"),
        ({"ignore_text": [re.compile(b"a")]}, "ignore_text holds a value of type bytes"),
        ({"redact": [" "]}, "redact holds an empty name; give the names of headers"),
        ({"redact": None}, "redact is a value of type NoneType; give a list"),
        ({"match_on": ["body"]}, "match_on holds 'body', which is no function"),
        ({"ignore": ['$["\\q"]']}, '"\\q" is not a JSON text'),
    ],
)
def test_a_bad_rule_is_told(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        Rules.of(**wrong)  # type: ignore[arg-type] # it is the types that are wrong


def test_a_secret_of_a_wrong_type_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        Rules.of(secrets=[b"hush-hush-hush"])  # type: ignore[list-item] # as above

    assert "hush" not in str(caught.value)
    assert "secrets holds a value of type bytes" in str(caught.value)


def test_secrets_are_not_shown_and_empty_ones_are_unset() -> None:
    rules = Rules.of(secrets=["hush-hush-hush", ""])

    assert rules.secrets == ("hush-hush-hush",)
    assert "hush" not in repr(rules)


def test_texts_that_are_no_secrets_are_listed(tmp_path: Path) -> None:
    assert Rules.of(allow=["sk-example", ""]).allow == ("sk-example",)
    assert project(tmp_path, '[tool.aquila.cassettes]\nallow = ["sk-example"]\n').allow == ("sk-example",)


def test_names_have_no_case() -> None:
    assert Rules.of(redact=["X-Corp-Auth", " tenant "]).redact == {"x-corp-auth", "tenant"}


@pytest.mark.parametrize(
    "name", ["content", "Text", "arguments", "input", "output", "messages", "role", "delta", "instructions"]
)
def test_names_that_hold_the_texts_of_prompts_and_answers_are_refused(name: str) -> None:
    with pytest.raises(
        ConfigError, match=f"redact holds '{name}', .* put a placeholder into the prompt instead"
    ):
        Rules.of(redact=[name])


def test_merged_rules_do_what_both_do() -> None:
    def agree(one: object, other: object) -> None: ...

    one = Rules.of(ignore=["$.a"], redact=["x"], secrets=["s"], match_on=[agree])
    other = Rules.of(ignore=["$.a", "$.b"], ignore_text=[r"\d+"], redact=["y"])

    assert one.merged(other) == Rules.of(
        ignore=["$.a", "$.b"], ignore_text=[r"\d+"], redact=["x", "y"], secrets=["s"], match_on=[agree]
    )
    assert Rules().merged(Rules()) == Rules() == Rules.of()


def test_only_rules_of_comparison_change_keys() -> None:
    assert not Rules.of(secrets=["s"], match_on=[print]).changes_keys
    assert all(
        rules.changes_keys
        for rules in (Rules.of(ignore=["$.a"]), Rules.of(ignore_text=["a"]), Rules.of(redact=["a"]))
    )


def test_ignored_text_is_replaced_where_it_is_found() -> None:
    patterns = (re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"\d\d-\d\dT"), re.compile("x*"))

    assert counting_text("On 2026-11-22T08 and 2026-01-02.", patterns) == "On [ignored]08 and [ignored]."


@settings(deadline=None)
@given(
    st.text("ab1 ", max_size=20), st.lists(st.sampled_from(["a", r"\d+", "a*b", "", " .", "b?1"]), max_size=4)
)
def test_ignored_spans_are_ordered_apart_and_never_empty(text: str, patterns: list[str]) -> None:
    spans = ignored_spans(text, map(re.compile, patterns))

    bounds = [bound for span in spans for bound in span]
    assert bounds == sorted(bounds)
    assert all(start < end for start, end in spans)


def project(root: Path, text: str) -> Rules:
    (root / "pyproject.toml").write_text(text, "utf-8")
    return project_rules(root)


def test_a_project_has_rules_in_its_pyproject(tmp_path: Path) -> None:
    found = project(
        tmp_path,
        """[tool.aquila.cassettes]
        ignore = ["$.metadata.run_id"]
        ignore_text = ['\\d{4}-\\d\\d-\\d\\d']
        redact = ["X-Tenant"]
        """,
    )

    assert found == Rules.of(
        ignore=["$.metadata.run_id"], ignore_text=[r"\d{4}-\d\d-\d\d"], redact=["x-tenant"]
    )


@pytest.mark.parametrize(
    "text", ["", "[tool.aquila]\n", "[tool.other]\ncassettes = 1\n", "[tool.aquila.cassettes]\n"]
)
def test_a_project_that_says_nothing_has_the_defaults(tmp_path: Path, text: str) -> None:
    assert project(tmp_path, text) == Rules()


def test_a_folder_without_pyproject_has_the_defaults(tmp_path: Path) -> None:
    assert project_rules(tmp_path) == Rules()


def test_a_changed_pyproject_is_read_again(tmp_path: Path) -> None:
    first = project(tmp_path, '[tool.aquila.cassettes]\nredact = ["a"]\n')
    path = tmp_path / "pyproject.toml"
    before = path.stat().st_mtime_ns

    project(tmp_path, '[tool.aquila.cassettes]\nredact = ["b"]\n')
    os.utime(path, ns=(before + 10**9, before + 10**9))
    second = project_rules(tmp_path)

    assert (first.redact, second.redact) == ({"a"}, {"b"})
    assert project_rules(tmp_path) is second


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[tool.aquila.cassettes]\nignored = []\n", "'ignored' is unknown; use ignore, ignore_text, redact"),
        ('[tool.aquila.cassettes]\nignore = "$.a"\n', "ignore is '$.a'; make it a list of texts"),
        ("[tool.aquila.cassettes]\nredact = [1]\n", "redact is [1]; make it a list of texts"),
        ('[tool.aquila.cassettes]\nignore = ["a"]\n', "[tool.aquila.cassettes]: 'a' is not a JSON path"),
        ("[tool.aquila]\ncassettes = 3\n", "tool.aquila.cassettes is 3; make it a table"),
        ("[tool\n", "is not valid TOML"),
    ],
)
def test_a_wrong_table_is_told_with_its_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        project(tmp_path, text)

    assert str(tmp_path / "pyproject.toml") in str(caught.value)
    assert says in str(caught.value)


def test_a_pyproject_that_is_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").mkdir()

    with pytest.raises(ConfigError, match="cannot be read"):
        project_rules(tmp_path)
