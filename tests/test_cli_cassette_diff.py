from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aquila.cassette.file.disk import write
from aquila.cassette.interaction import Interaction
from aquila.cli.cassette import app
from aquila.endpoint.scripted import chat_text
from tests.tapes import interaction, request
from tests.test_cassette_replay import save


def diff(*arguments: str | Path) -> tuple[int, list[str]]:
    done = CliRunner().invoke(app, ["diff", *map(str, arguments)], catch_exceptions=False)
    return done.exit_code, done.output.splitlines()


def asked(prompt: str, answer: str = "Hi", **fields: Any) -> Interaction:
    chunks = [(1, data) for data in chat_text([answer], "stop")]
    return interaction(request(prompt, **fields), chunks=chunks)


def test_cassettes_that_say_the_same_are_equal(tmp_path: Path) -> None:
    left = save(tmp_path / "a.yaml", asked("A"), asked("B"))
    right = save(tmp_path / "b.yaml", asked("B"), asked("A"))

    assert diff(left, right) == (0, ["both say the same: 2 interactions"])


def test_differences_are_told_by_pair(tmp_path: Path) -> None:
    left = save(tmp_path / "a.yaml", asked("A"), asked("Tell me of the sea", temperature=0.2))
    right = save(
        tmp_path / "b.yaml", asked("Tell me of the sea", "Ho", temperature=0.7), asked("A"), asked("C")
    )

    code, lines = diff(left, right)

    assert code == 1
    assert lines[0] == "A 2, B 1  POST https://api.example.test/v1/chat/completions"
    assert lines[1].split(maxsplit=1) == ["request", "$.temperature: 0.2 -> 0.7"]
    assert lines[2].split()[:2] == ["answer", "text:"]
    assert lines[3:] == [
        "only in B: 3  POST https://api.example.test/v1/chat/completions",
        "1 equal, 1 changed, 0 only in A, 1 only in B",
    ]


def test_many_differences_are_counted(tmp_path: Path) -> None:
    left = save(tmp_path / "a.yaml", asked("A", metadata={f"n{n}": n for n in range(30)}))
    right = save(tmp_path / "b.yaml", asked("A", metadata={f"n{n}": -1 for n in range(30)}))

    assert diff(left, right)[1][-2].endswith("and 18 more differences; --json shows all")
    document = json.loads("\n".join(diff(left, right, "--json")[1]))
    assert len(document["pairs"][0]["request"]) == 30


def test_json_tells_which_interactions_belong_together(tmp_path: Path) -> None:
    left, right = save(tmp_path / "a.yaml", asked("A")), save(tmp_path / "b.yaml", asked("A"), asked("B"))

    code, lines = diff(left, right, "--json")

    assert code == 1
    assert json.loads("\n".join(lines)) == {
        "a": str(left), "b": str(right), "equal": False, "only_left": [], "only_right": [2],
        "pairs": [{"left": 1, "right": 1, "request": [], "answer": []}],
    }  # fmt: skip


def test_what_cannot_be_read_is_trouble(tmp_path: Path) -> None:
    good, bad = save(tmp_path / "a.yaml", asked("A")), tmp_path / "bad.yaml"
    write(bad, "version: 7\n")

    for arguments in ((good, bad), (bad, good), (good, tmp_path / "nothing.yaml")):
        code, lines = diff(*arguments)
        assert code == 2
        assert len(lines) == 1
        assert lines[0].startswith("aquila: ")


def test_a_model_cannot_move_the_cursor(tmp_path: Path) -> None:
    left = save(tmp_path / "a.yaml", asked("A", "\x1b[2Jone"))
    right = save(tmp_path / "b.yaml", asked("A", "\x9b31mtwo"))

    text = "\n".join(diff(left, right)[1])

    assert not set(text) & {"\x1b", "\x9b"}


def test_what_the_project_ignores_is_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = save(tmp_path / "a.yaml", asked("A", run_id="one"))
    right = save(tmp_path / "b.yaml", asked("A", run_id="two"))
    monkeypatch.chdir(tmp_path)

    write(tmp_path / "pyproject.toml", "[tool.aquila.cassettes]\n")
    assert diff(left, right)[0] == 1
    write(tmp_path / "pyproject.toml", '[tool.aquila.cassettes]\nignore = ["$.run_id"]\n')
    assert diff(left, right)[0] == 0
