from __future__ import annotations

from itertools import combinations

import pytest
import yaml

from aquila.cassette.file.format import assemble, render
from aquila.cassette.file.parse import load
from aquila.cassette.file.removal import without
from tests.tapes import HELLO, interaction, request

PROMPTS = ("A", "B", "C", "D")
ITEMS = [render(interaction(request(prompt), chunks=[(1, HELLO[2])])) for prompt in PROMPTS]


def prompts(data: bytes) -> list[str]:
    keys = {interaction(request(prompt)).key: prompt for prompt in PROMPTS}
    return [keys[item.key] for item in load(data, "a.yaml")]


@pytest.mark.parametrize(
    "positions", [set(some) for size in (0, 1, 2, 3) for some in combinations(range(4), size)]
)
def test_what_stays_keeps_every_byte(positions: set[int]) -> None:
    data = assemble(ITEMS).encode()

    assert (
        without(data, "a.yaml", positions)
        == assemble(item for number, item in enumerate(ITEMS) if number not in positions).encode()
    )


def test_a_comment_and_a_style_of_a_persons_own_stay() -> None:
    text = assemble(ITEMS[:2]).replace("version: 1\n", "# mine\nversion:   1\n") + "x-note: kept  # too\n"

    shorter = without(text.encode(), "a.yaml", {1}).decode()

    assert shorter == "# mine\nversion:   1\ninteractions:\n" + ITEMS[0] + "x-note: kept  # too\n"


def test_nothing_left_is_an_empty_cassette() -> None:
    assert load(without(assemble(ITEMS).encode(), "a.yaml", range(4)), "a.yaml") == ()


def test_a_file_of_vcrpy_keeps_its_form() -> None:
    document = yaml.safe_load(assemble(ITEMS))
    text = yaml.dump(document)
    assert text.rstrip().endswith("version: 1")

    shorter = without(text.encode(), "a.yaml", {0, 3})

    assert prompts(shorter) == ["B", "C"]
    assert shorter.decode().rstrip().endswith("version: 1")
    assert not set(shorter.decode().splitlines()) - set(text.splitlines())


def test_windows_line_ends_stay() -> None:
    text = assemble(ITEMS).replace("\n", "\r\n").encode()

    shorter = without(text, "a.yaml", {0})

    assert prompts(shorter) == ["B", "C", "D"]
    assert shorter.count(b"\n") == shorter.count(b"\r\n")


def test_interactions_that_share_lines_are_written_anew() -> None:
    data = yaml.dump(yaml.safe_load(assemble(ITEMS)), default_flow_style=True, width=10**6).encode()

    assert prompts(without(data, "a.yaml", {1})) == ["A", "C", "D"]


def test_line_breaks_that_only_yaml_counts_mislead_nobody() -> None:
    text = assemble(["# \u2028\u2028\u2028\n" + ITEMS[0], *ITEMS[1:]]).encode()

    assert prompts(without(text, "a.yaml", {1})) == ["A", "C", "D"]
