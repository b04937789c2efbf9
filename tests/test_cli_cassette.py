from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aquila.cassette.file.disk import write
from aquila.cassette.interaction import Failure
from aquila.cli.cassette import app
from aquila.errors import ConfigError
from tests.tapes import interaction, request
from tests.test_cassette_replay import save


def ls(*arguments: str | Path) -> tuple[int, list[str]]:
    done = CliRunner().invoke(app, ["ls", *map(str, arguments)], catch_exceptions=False)
    return done.exit_code, done.output.splitlines()


def test_each_cassette_has_a_line_and_the_whole_a_total(tmp_path: Path) -> None:
    recorded_at = datetime.now(UTC) - timedelta(days=40, hours=1)  # noqa: TID251 - ages are told against today
    usage = {"input": 1200, "output": 34, "cached": 0}
    cost = Decimal("0.00042")
    save(
        tmp_path / "jobs" / "explain.yaml",
        interaction(model="tiny-1", usage=usage, cost_usd=cost, recorded_at=recorded_at),
        interaction(request("B"), model="tiny-2", end="cut"),
    )
    failure = Failure(error="ConnectionFailed", message="refused")
    save(tmp_path / "down.yaml", interaction(status=599, chunks=(), end="error", failure=failure))
    save(tmp_path / "none.yaml")
    size = (tmp_path / "jobs" / "explain.yaml").stat().st_size

    code, lines = ls(tmp_path)

    assert code == 0
    assert [line.split() for line in lines[:-1]] == [
        ["NAME", "INTERACTIONS", "TURNS", "MODEL", "TOKENS", "COST", "SIZE", "AGE", "END"],
        ["down", "1", "0", "-", "0", "-", str((tmp_path / "down.yaml").stat().st_size), "B", "-", "ConnectionFailed"],
        ["jobs/explain", "2", "2", "tiny-1,", "tiny-2", "1,234", "$0.00042", f"{size / 1000:.1f}", "kB", "40d",
         "1", "complete,", "1", "cut"],
        ["none", "0", "0", "-", "0", "-", "28", "B", "-", "empty"],
    ]  # fmt: skip
    assert lines[-1].startswith("3 cassettes, 3 interactions, 1,234 tokens, $0.00042, ")


def test_a_machine_reads_the_same_facts_as_json(tmp_path: Path) -> None:
    recorded_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    usage = {"input": 10, "output": 2, "cached": 0}
    save(
        tmp_path / "jobs" / "explain.yaml",
        interaction(model="tiny-1", usage=usage, cost_usd=Decimal("0.5"), recorded_at=recorded_at),
    )
    write(tmp_path / "bad.yaml", "version: 7\n")

    done = CliRunner().invoke(app, ["ls", "--json", str(tmp_path)])

    bad, good = json.loads(done.output)
    assert done.exit_code == 1
    assert bad["name"] == "bad"
    assert "expected 1" in bad["broken"]
    assert {name: good[name] for name in ("name", "interactions", "turns", "models", "tokens", "ends", "edited", "broken")} == {
        "name": "jobs/explain", "interactions": 1, "turns": 1, "models": ["tiny-1"], "tokens": 12,
        "ends": {"complete": 1}, "edited": False, "broken": None,
    }  # fmt: skip
    assert Decimal(good["cost_usd"]) == Decimal("0.5")
    assert good["recorded_at"] == "2026-01-02T03:04:05+00:00"
    assert good["bytes"] == (tmp_path / "jobs" / "explain.yaml").stat().st_size


def test_names_cannot_move_the_cursor(tmp_path: Path) -> None:
    save(tmp_path / "a\x1b[2J\nb.yaml", interaction(model="tiny\x1b[2J"))

    _, lines = ls(tmp_path)

    assert "\x1b" not in "".join(lines)
    assert lines[1].startswith("a␛[2J b ")


def test_a_broken_cassette_is_listed_with_the_reason_and_fails(tmp_path: Path) -> None:
    save(tmp_path / "good.yaml", interaction())
    write(tmp_path / "bad.yaml", "version: 7\n")

    code, lines = ls(tmp_path)

    assert code == 1
    assert lines[1].split()[:2] == ["good", "1"]
    assert lines[2].startswith(f"bad: broken: {tmp_path / 'bad.yaml'}, ")
    assert "is 7, expected 1" in lines[2]
    assert lines[3].endswith(", 1 broken")


def test_what_cannot_be_read_is_broken_and_the_others_are_listed(tmp_path: Path) -> None:
    save(tmp_path / "good.yaml", interaction())
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "gone.yaml").symlink_to("nowhere.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")

    code, lines = ls(tmp_path)

    assert code == 1
    assert lines[1].split()[:2] == ["good", "1"]
    assert [line.split(":")[:2] for line in lines[2:-1]] == [
        ["folder", " broken"],
        ["gone", " broken"],
        ["loop", " broken"],
        ["pipe", " broken"],
    ]
    assert lines[3].endswith(
        "gone.yaml cannot be read: it is a link to a file that does not exist; remove it"
    )
    assert lines[5].endswith("pipe.yaml cannot be read: it is a pipe; remove it")
    assert lines[-1].endswith(", 4 broken")


def test_absurd_costs_are_listed(tmp_path: Path) -> None:
    save(tmp_path / "a.yaml", interaction(cost_usd=Decimal("1e308")), interaction(cost_usd=Decimal("1e308")))

    code, lines = ls(tmp_path)

    assert code == 0
    assert "$2.00E+308" in lines[1]


def test_an_edited_cassette_is_marked(tmp_path: Path) -> None:
    path = save(tmp_path / "a.yaml", interaction())
    write(path, path.read_text().replace("data: [DONE]", "data: edited"))

    assert ls(tmp_path)[1][1].endswith("complete (edited)")


def test_without_a_folder_it_lists_the_configured_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path / "nothing-yet"))

    assert ls() == (0, ["0 cassettes, 0 interactions, 0 tokens, 0 B"])


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        ls(tmp_path / "typo")
