from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aquila.cassette.file.disk import write
from aquila.cassette.file.format import assemble, render
from aquila.cassette.run_report import (
    NAME,
    FolderFile,
    RunReport,
    UsedCassette,
    file_digest,
    list_folder,
    load,
    save,
)
from aquila.errors import CassetteError
from tests.tapes import interaction

REPORT = RunReport(
    finished_at=datetime(2026, 11, 22, 10, 24, 1, tzinfo=UTC),
    complete=True,
    folder="/project/cassettes",
    used=(UsedCassette(path="jobs/é.yaml", interactions=3, played=(0, 2), digest="ab" * 32),),
    files=(FolderFile(path="jobs/é.yaml", digest="ab" * 32),),
)


def test_a_report_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    save(REPORT, tmp_path / "state")

    assert load(tmp_path / "state") == REPORT
    assert [path.name for path in (tmp_path / "state").iterdir() if "tmp" in path.name] == []
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_report_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    save(REPORT, tmp_path)
    later = RunReport(REPORT.finished_at, complete=False, folder="/other", used=())

    save(later, tmp_path)

    assert load(tmp_path) == later


def test_without_a_run_there_is_no_report(tmp_path: Path) -> None:
    assert load(tmp_path / "state") is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "the file: Invalid JSON"),
        ('{"finished_at": "2026', "the file: Invalid JSON"),
        ("[]", "the file: "),
        ("{}", "finished_at: Field required"),
        (json.dumps({"finished_at": "2026-11-22T10:24:01Z", "complete": True, "folder": "x", "used": [{"path": 3}]}),
         "used.0.path: Input should be a valid string"),
    ],
)  # fmt: skip
def test_a_broken_report_says_what_to_do(tmp_path: Path, text: str, place: str) -> None:
    (tmp_path / NAME).write_text(text)

    with pytest.raises(CassetteError, match="delete it and run the tests again") as caught:
        load(tmp_path)

    assert f"run report {tmp_path / NAME} is broken ({place}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_report_that_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()

    with pytest.raises(CassetteError, match="cannot be read"):
        load(tmp_path)
    with pytest.raises(CassetteError, match="cannot be written"):
        save(REPORT, tmp_path)


def test_a_digest_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a")
    before = file_digest(path)
    path.write_text("b")

    assert file_digest(path) != before
    assert file_digest(str(path)) == file_digest(path)
    assert file_digest(tmp_path / "none") == ""
    with pytest.raises(CassetteError, match="cannot be read"):
        file_digest(tmp_path)


def test_the_report_of_an_older_release_is_read(tmp_path: Path) -> None:
    used = {"path": "a.yaml", "interactions": 1, "played": [0], "digest": "ab"}
    old = {"finished_at": "2026-11-22T10:24:01Z", "complete": True, "folder": "/x", "used": [used]}
    (tmp_path / NAME).write_text(json.dumps(old))

    report = load(tmp_path)

    assert report is not None
    assert (report.files, report.used[0].recorded) == ((), False)


def test_a_name_that_is_not_utf8_is_told(tmp_path: Path) -> None:
    report = RunReport(REPORT.finished_at, complete=True, folder="/caf\udce9", used=())

    with pytest.raises(CassetteError, match="is not UTF-8"):
        save(report, tmp_path)


def test_the_list_of_a_folder_has_only_cassettes_of_aquila(tmp_path: Path) -> None:
    text = assemble([render(interaction())])
    write(tmp_path / "compose.yaml", "services: {}\n")
    write(tmp_path / "broken.yaml", text[: len(text) // 2])
    write(tmp_path / "foreign.yaml", text[: text.index("    aquila:")])
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    write(tmp_path / ".hidden.yaml", text)
    (tmp_path / "jobs").mkdir()
    write(tmp_path / "jobs" / "é.yaml", text)

    assert list_folder(tmp_path) == (FolderFile("jobs/é.yaml", file_digest(tmp_path / "jobs" / "é.yaml")),)
    assert list_folder(tmp_path / "none") == ()


def test_a_pipe_has_no_digest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")

    assert file_digest(tmp_path / "pipe.yaml") == ""
