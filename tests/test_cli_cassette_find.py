from __future__ import annotations

import os
from pathlib import Path

import pytest

from aquila.cli.cassette_find import check_number, find_cassette, read_cassette
from aquila.errors import AquilaError, CassetteError, CassetteMissing, ConfigError
from tests.tapes import interaction
from tests.test_cassette_replay import save


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path / "tapes"))
    return tmp_path / "tapes"


@pytest.mark.parametrize("name", ["jobs/explain", "jobs/explain.yaml"])
def test_a_name_is_looked_up_below_the_cassette_folder(folder: Path, name: str) -> None:
    path = save(folder / "jobs" / "explain.yaml", interaction())

    assert find_cassette(name) == path


def test_a_path_is_taken_as_it_is(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "elsewhere" / "a.yml", interaction())
    monkeypatch.chdir(tmp_path / "elsewhere")

    assert find_cassette(str(path)) == path
    assert find_cassette("a.yml") == Path("a.yml")
    assert find_cassette("../elsewhere/a.yml").samefile(path)


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("jobs/explian", "did you mean jobs/explain?"),
        ("explain", "did you mean jobs/explain?"),
        ("wholly other", "`aquila cassette ls` lists those there are"),
        ("x" * 5000, "`aquila cassette ls`"),
        ("nul\0", "`aquila cassette ls`"),
    ],
)
def test_an_unknown_name_is_told_with_those_it_is_near_to(folder: Path, asked: str, near: str) -> None:
    save(folder / "jobs" / "explain.yaml", interaction())

    with pytest.raises(CassetteMissing, match=r"there is no cassette") as caught:
        find_cassette(asked)

    assert near in str(caught.value)


def test_a_folder_is_no_cassette(folder: Path) -> None:
    (folder / "jobs").mkdir(parents=True)

    with pytest.raises(CassetteMissing):
        find_cassette(str(folder / "jobs"))


def test_a_broken_cassette_is_an_error(folder: Path) -> None:
    folder.mkdir()
    (folder / "bad.yaml").write_text("version: 7\n")

    with pytest.raises(CassetteError, match="expected 1"):
        read_cassette("bad")


def test_what_is_read_has_its_size(folder: Path) -> None:
    path = save(folder / "a.yaml", interaction(), interaction())

    found = read_cassette("a")

    assert (found.path, found.size, len(found.interactions)) == (path, path.stat().st_size, 2)


@pytest.mark.parametrize(("held", "words"), [(2, "holds 2"), (0, "is empty")])
def test_a_number_beyond_the_last_is_refused(held: int, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_number(3, [interaction()] * held)


def test_a_number_that_there_is_and_none_at_all_are_taken() -> None:
    try:
        check_number(2, [interaction()] * 2)
        check_number(None, [])
    except AquilaError as error:
        pytest.fail(str(error))


def test_what_is_no_file_is_named_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    (tmp_path / "link.yaml").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.yaml")

    with pytest.raises(
        CassetteMissing, match=r"link\.yaml cannot be read: it is a link to a file that does not exist"
    ):
        find_cassette("link")
    with pytest.raises(
        CassetteMissing, match=r"pipe\.yaml cannot be read: it is a pipe; remove it or name another"
    ):
        find_cassette(str(tmp_path / "pipe.yaml"))
