from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from aquila.cassette.file.disk import write
from aquila.cassette.file.format import assemble, render
from aquila.cassette.run_report import RunReport, UsedCassette, file_digest, list_folder, save
from aquila.cli import cassette_prune
from aquila.errors import CassetteError
from tests.tapes import interaction, request

app = typer.Typer()
app.command("prune", help=cassette_prune.HELP)(cassette_prune.prune)
ITEMS = [render(interaction(request(prompt))) for prompt in "ABC"]


class Project:
    """A cassette folder with a.yaml (the second of three unplayed), b.yaml (unplayed) and c.yaml (not opened)."""

    def __init__(self, folder: Path) -> None:
        self.a, self.b, self.c = (folder / "jobs" / f"{name}.yaml" for name in "abc")
        self.folder = folder
        self.a.parent.mkdir(parents=True)
        for path in (self.a, self.b, self.c):
            write(path, assemble(ITEMS))
        self.report(complete=True)

    def report(self, *, complete: bool, recorded: bool = False) -> None:
        used = (
            UsedCassette(str(self.a), 3, (0, 2), file_digest(self.a)),
            UsedCassette("jobs/b.yaml", 3, (), file_digest(self.b)),
        )
        if recorded:
            used = tuple(replace(one, recorded=True) for one in used)
        ended = datetime(2026, 11, 22, tzinfo=UTC)
        save(
            RunReport(ended, complete, str(self.folder), used, list_folder(self.folder)),
            Path(os.environ["AQUILA_STATE_DIR"]),
        )

    def left(self) -> list[str]:
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "cassettes")


LISTED = [
    "jobs/a.yaml: 1 of 3 interactions not played: 2",
    "jobs/b.yaml: nothing of it was played",
    "jobs/c.yaml: no test opened it",
]


def run(*arguments: str, typed: str = "") -> tuple[int, list[str]]:
    done = CliRunner().invoke(app, arguments, input=typed, catch_exceptions=False)
    return done.exit_code, done.output.splitlines()


def test_away_from_a_terminal_it_lists_and_fails(project: Project) -> None:
    code, lines = run()

    assert code == 1
    assert lines == [*LISTED, "1 interaction and 2 files to remove; nothing was removed: pass --yes"]
    assert project.a.read_text() == assemble(ITEMS)
    assert project.left() == ["a.yaml", "b.yaml", "c.yaml"]


def test_yes_removes_and_what_stays_keeps_its_bytes(project: Project) -> None:
    code, lines = run("--yes")

    assert code == 0
    assert lines == [*LISTED, "removed 1 interaction and 2 files"]
    assert project.a.read_text() == assemble([ITEMS[0], ITEMS[2]])
    assert project.left() == ["a.yaml"]


@pytest.mark.parametrize(
    ("typed", "code", "left"), [("y\n", 0, ["a.yaml"]), ("\n", 1, ["a.yaml", "b.yaml", "c.yaml"])]
)
def test_on_a_terminal_it_asks(
    project: Project, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, left: list[str]
) -> None:
    monkeypatch.setattr(cassette_prune, "_is_terminal", lambda: True)

    assert run(typed=typed)[0] == code
    assert project.left() == left


def test_orphans_may_stay(project: Project) -> None:
    assert run("--yes", "--no-orphans") == (0, [*LISTED[:2], "removed 1 interaction and 1 file"])
    assert project.left() == ["a.yaml", "c.yaml"]


def test_a_second_time_finds_nothing(project: Project) -> None:
    run("--yes")
    save(
        RunReport(datetime(2026, 11, 22, tzinfo=UTC), complete=True, folder=str(project.folder), used=(
            UsedCassette(str(project.a), 2, (0, 1), file_digest(project.a)),
        )),
        Path(os.environ["AQUILA_STATE_DIR"]),
    )  # fmt: skip

    assert run() == (0, ["nothing to remove"])


def test_a_run_that_was_not_whole_proves_nothing(project: Project) -> None:
    project.report(complete=False)

    with pytest.raises(CassetteError, match=r"of 2026-11-22 00:00, was not whole: .* or pass --force"):
        run("--yes")
    assert project.left() == ["a.yaml", "b.yaml", "c.yaml"]
    assert run("--yes", "--force")[0] == 0


def test_without_a_run_there_is_nothing_to_go_by() -> None:
    with pytest.raises(CassetteError, match="no test run has left a report; run all tests first: pytest"):
        run()


def test_a_file_that_has_changed_since_the_run_is_left_as_it_is(project: Project) -> None:
    write(project.a, assemble(ITEMS[:2]))

    code, lines = run("--yes")

    assert code == 1
    assert "jobs/a.yaml: has changed since the run; run the tests again" in lines
    assert project.a.read_text() == assemble(ITEMS[:2])
    assert project.left() == ["a.yaml"]


def test_a_linked_cassette_stays_a_link(project: Project, tmp_path: Path) -> None:
    project.a.rename(tmp_path / "real.yaml")
    project.a.symlink_to(tmp_path / "real.yaml")

    run("--yes")

    assert project.a.is_symlink()
    assert (tmp_path / "real.yaml").read_text() == assemble([ITEMS[0], ITEMS[2]])


def test_after_a_recording_there_is_nothing_to_remove(project: Project) -> None:
    project.c.unlink()
    project.report(complete=True, recorded=True)

    assert run("--yes") == (0, ["nothing to remove"])
    assert project.left() == ["a.yaml", "b.yaml"]


def test_what_came_after_the_run_or_is_another_tools_stays_and_is_told(project: Project) -> None:
    write(project.folder / "new.yaml", assemble(ITEMS))
    write(project.folder / "compose.yaml", "services: {}\n")
    write(
        project.folder / "vcr.yaml",
        ITEMS[0].partition("    aquila:")[0].join(["version: 1\ninteractions:\n", ""]),
    )
    os.mkfifo(project.folder / "pipe.yaml")

    code, lines = run("--yes")

    assert code == 0
    assert lines == [
        *LISTED,
        "compose.yaml: stays: Aquila did not write it, or it is broken",
        "new.yaml: stays: it was not there when the run ended, or not as it is now; run the tests again",
        "vcr.yaml: stays: Aquila did not write it, or it is broken",
        "removed 1 interaction and 2 files",
    ]
    assert project.left() == ["a.yaml", "compose.yaml", "new.yaml", "vcr.yaml"]


def test_many_files_that_stay_are_counted(project: Project) -> None:
    for number in range(25):
        write(project.folder / f"{number:02}.yaml", "services: {}\n")

    _, lines = run()

    assert sum(": stays: " in line for line in lines) == 20
    assert "and 5 files more that stay" in lines


def test_names_in_its_list_cannot_move_the_cursor(project: Project) -> None:
    write(project.folder / "a\x1b[2J\nb.yaml", "services: {}\n")

    assert "a␛[2J b.yaml: stays: Aquila did not write it, or it is broken" in run()[1]
