from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aquila.cassette.journal import VARIABLE, Entry, Journal

CHILD = """
import os, sys
from pathlib import Path
from aquila.cassette.journal import JOURNAL
os.environ.clear()
for position in range(int(sys.argv[2])):
    JOURNAL.note("played", Path(sys.argv[1]), position)
"""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    file = tmp_path / "run.jsonl"
    file.touch()
    return Journal(file)


def child(journal: Journal, path: Path, count: int, owner: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", CHILD, str(path), str(count)]
    return subprocess.Popen(
        command, env={VARIABLE: f"{owner}:{journal.file}", "PYTHONPATH": ":".join(sys.path)}
    )


def test_what_is_noted_is_read_from_a_place_on(journal: Journal, tmp_path: Path) -> None:
    journal.note("opened", tmp_path / "a.yaml")
    size = journal.size()
    journal.note("played", tmp_path / "a.yaml", 2)

    assert [entry.kind for entry in journal.entries()] == ["opened", "played"]
    (last,) = journal.entries(size)
    assert (last.path, last.position, last.owner) == (str(tmp_path / "a.yaml"), 2, last.pid)
    assert list(journal.of_children()) == [], "it is no child of its own"


def test_only_the_children_of_a_process_are_its_children(journal: Journal, tmp_path: Path) -> None:

    children = [child(journal, tmp_path / "a.yaml", 200, os.getpid()) for _ in range(3)]
    stranger = child(journal, tmp_path / "b.yaml", 5, owner=1)
    for process in (*children, stranger):
        assert process.wait(60) == 0

    entries = list(journal.of_children())

    assert len(entries) == 600, "no line is lost or mixed with another"
    assert {entry.path for entry in entries} == {str(tmp_path / "a.yaml")}
    assert len(list(journal.entries())) == 605


def test_a_line_that_is_still_being_written_is_left(journal: Journal, tmp_path: Path) -> None:
    journal.note("rewritten", tmp_path / "a.yaml")
    assert journal.file is not None
    with journal.file.open("ab") as file:
        file.write(b'{"kind": "rewritten", "path"')

    assert [entry.kind for entry in journal.entries()] == ["rewritten"]
    assert journal.has_rewritten(tmp_path / "a.yaml")
    assert not journal.has_rewritten(tmp_path / "b.yaml")


def test_without_a_run_nothing_is_noted_and_without_its_file_nothing_fails(tmp_path: Path) -> None:
    for journal in (Journal(None), Journal(tmp_path / "gone" / "run.jsonl")):
        journal.note("opened", tmp_path / "a.yaml")
        assert list[Entry](journal.entries()) == []
        assert journal.size() == 0


def test_a_torn_line_is_left_out(journal: Journal, tmp_path: Path) -> None:
    assert journal.file is not None
    for torn in (b'{"kind": "rewritten", "pa', b"\xff\n", b"5\n", b'{"kind": "played"}\n'):
        with journal.file.open("ab") as file:
            file.write(torn)
    journal.note("rewritten", tmp_path / "a.yaml")

    assert [entry.kind for entry in journal.entries()] == ["rewritten"]
    assert journal.has_rewritten(tmp_path / "a.yaml")


def test_what_was_rewritten_is_remembered_and_what_is_new_is_read(journal: Journal, tmp_path: Path) -> None:
    assert journal.file is not None
    for name in ("a.yaml", "b.yaml"):
        assert not journal.has_rewritten(tmp_path / name)
        journal.note("rewritten", tmp_path / name)
        assert journal.has_rewritten(tmp_path / name)

    journal.file.write_bytes(b" " * journal.size())
    assert journal.has_rewritten(tmp_path / "a.yaml"), "nothing is read twice"
    other = tmp_path / "other.jsonl"
    other.touch()
    journal.file = other
    assert not journal.has_rewritten(tmp_path / "a.yaml"), "another run"


def test_a_child_that_outlives_the_run_leaves_no_file(journal: Journal, tmp_path: Path) -> None:
    assert journal.file is not None
    journal.file.unlink()

    journal.note("opened", tmp_path / "a.yaml")

    assert not journal.file.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_is_a_child() -> None:
    code = """
import os
from aquila.cassette.journal import JOURNAL
parent, (reading, writing) = os.getpid(), os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        os.write(writing, str(JOURNAL.owner).encode())
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
assert JOURNAL.owner is None
assert os.read(reading, 99) == str(parent).encode()
"""
    environment = {"PYTHONPATH": ":".join(sys.path)}

    subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=True)
