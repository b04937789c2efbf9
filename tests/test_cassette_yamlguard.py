from __future__ import annotations

from textwrap import dedent

import pytest

from aquila.cassette.file.parse import load
from tests.tape_files import WRITTEN, refusal

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefghijk", "bcdefghijkl", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{after}: &{after} {{<<: [{', '.join([f'*{before}'] * 9)}], {before}: 1}}\n"
    for before, after in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(LAUGHS, "line 8: not valid YAML (its aliases stand for more than", id="aliases"),
        pytest.param(MERGES, "line 8: not valid YAML (its aliases stand for more than", id="merges"),
        pytest.param("a: &a [*a]\n", "line 1: not valid YAML (an alias stands inside what it names", id="recursion"),
        pytest.param(f"version: 1\ninteractions: {'[' * 99_999}", "line 2: not valid YAML (nested more than 200", id="flow"),
        pytest.param("- " * 99_999, "line 1: not valid YAML (nested more than 200", id="block"),
        pytest.param('{"a":' * 99_999, "line 1: not valid YAML (nested more than 200", id="JSON"),
        pytest.param(
            '{"version": 1, "interactions": [' + '{"a":' * 700 + "1" + "}" * 700 + "]}", "line 1: interaction", id="deep JSON"
        ),
        pytest.param(
            f"version: 1\ninteractions: []\nx: &x {'y' * 10**6}\nz: [{', '.join(['*x'] * 99)}]\n", "aliases stand for more", id="scalar"
        ),
    ],
)  # fmt: skip
def test_a_file_made_to_exhaust_the_machine_is_refused(text: str, problem: str) -> None:
    assert problem in refusal(text.encode())


def test_aliases_that_other_tools_write_are_read() -> None:
    text = (
        dedent(WRITTEN).strip().format(kind="text/plain", body="a")
        + "\n    x: &x {a: 1}\n    y: {<<: *x, a: 2}\n"
    )

    assert load(text.encode(), "x.yaml")[0].body == b"a\n"
