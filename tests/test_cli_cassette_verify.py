from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from aquila.cassette.file.disk import write
from aquila.cassette.file.format import assemble, render
from aquila.cli.cassette_verify import HELP, verify
from aquila.errors import ConfigError
from tests.project_cassettes import ROOT
from tests.tapes import interaction

app = typer.Typer()
app.command("verify", help=HELP)(verify)
GOOD = assemble([render(interaction())])


def run(*arguments: str | Path) -> tuple[int, list[str]]:
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    return done.exit_code, done.output.splitlines()


def test_a_good_folder_passes(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", GOOD)
    (tmp_path / "b").mkdir()
    write(tmp_path / "b" / "c.yaml", GOOD)

    assert run(tmp_path) == (0, ["2 cassettes, 0 problems"])


def test_each_problem_has_a_line_with_path_line_and_remedy(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "version: 1\ninteractions: 3\n")
    write(tmp_path / "b.yaml", GOOD)

    assert run(tmp_path) == (1, [
        f"{tmp_path / 'a.yaml'}:2: interactions is not a list; correct it, restore the file from git or record it again",
        "2 cassettes, 1 problem",
    ])  # fmt: skip


def test_a_warning_fails_only_when_strict(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", assemble([render(interaction(end="cut"))]))

    code, lines = run(tmp_path / "a.yaml")

    assert code == 0
    assert ": warning: the answer was cut" in lines[0]
    assert lines[1] == "1 cassette, 0 problems, 1 warning"
    assert run("--strict", tmp_path / "a.yaml")[0] == 1


def test_the_folder_of_the_settings_is_the_one_unless_a_path_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path / "none-yet"))

    assert run() == (0, ["0 cassettes, 0 problems"])


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no .*typo"):
        run(tmp_path / "typo")


def test_a_link_to_nothing_in_a_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")

    code, lines = run(tmp_path)

    assert code == 1
    assert lines[0].startswith(f"{tmp_path / 'a.yaml'}:1: it is a link to a file that does not exist; remove")
    assert run(tmp_path / "a.yaml")[1][0] == lines[0]


def test_what_is_no_file_is_a_problem_and_nothing_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").mkdir()
    (tmp_path / "c.yaml").symlink_to("c.yaml")

    code, lines = run(tmp_path)

    assert code == 1
    assert [line.partition(":1: ")[2].partition(";")[0] for line in lines[:-1]] == [
        "it is a pipe",
        "it is a folder",
        "it is a link that leads to itself",
    ]


def test_a_files_name_cannot_move_the_cursor(tmp_path: Path) -> None:
    write(tmp_path / "a\x1b[2J\nb\u202ec.yaml", "version: 2\ninteractions: []\n")

    _, lines = run(tmp_path)

    assert lines[0].startswith(f"{tmp_path}/a␛[2J b<U+202E>c.yaml:1: version is 2")
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("days", "words"),
    [("0", "greater than or equal to 1"), ("-1", "greater than or equal to 1"), ("99999999999", "to 36500")],
)
def test_an_age_that_is_none_is_a_wrong_command_line(tmp_path: Path, days: str, words: str) -> None:
    code, lines = run("--max-age", days, tmp_path)

    assert code == 2
    assert words in " ".join(" ".join(lines).replace("│", "").split())


def test_age_counts_in_days(tmp_path: Path) -> None:
    recorded_at = datetime.now(UTC) - timedelta(days=40)  # noqa: TID251 - ages are told against today
    write(
        tmp_path / "a.yaml", assemble([render(interaction(recorded_at=recorded_at.replace(microsecond=0)))])
    )

    assert run("--max-age", "50", tmp_path)[0] == 0
    assert run("--max-age", "30", tmp_path)[0] == 1


def test_a_secret_of_the_environment_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYROLL_API_KEY", "xk-77-correct-horse")
    write(
        tmp_path / "a.yaml",
        assemble([render(interaction(chunks=[(0, b"data: xk-77-correct-horse\n\ndata: [DONE]\n\n")]))]),
    )

    code, lines = run(tmp_path)

    assert code == 1
    assert "the value of PAYROLL_API_KEY is in the response body" in lines[0]
    assert "correct-horse" not in "".join(lines)


def test_json_is_for_machines(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "version: 2\ninteractions: []\n")

    code, lines = run("--json", tmp_path)

    assert code == 1
    assert json.loads("\n".join(lines)) == [{
        "path": str(tmp_path / "a.yaml"), "line": 1, "what": "version is 2, expected 1",
        "remedy": "correct it, restore the file from git or record it again", "is_warning": False,
    }]  # fmt: skip


def test_the_hook_for_pre_commit_names_the_command_and_finds_cassettes() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())

    assert (hook["id"], hook["entry"]) == ("aquila-cassettes", "aquila cassette verify")
    files = re.compile(hook["files"])
    assert [bool(files.search(path)) for path in ("cassettes/a.yaml", "tests/cassettes/x/y.yaml", "docs/a.yaml")] == [
        True, True, False,
    ]  # fmt: skip
