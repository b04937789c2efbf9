from __future__ import annotations

import os
from pathlib import Path

from aquila.cassette.file.leftovers import remove_leftovers
from aquila.cassette.store import open_store
from aquila.file_lock import FileLock
from tests.tapes import interaction, request

HALF_WRITTEN, LOCK = f".{'0123456789abcdef'}.tmp", f".{'fedcba9876543210'}.lock"
HOURS_AGO = 2 * 3600


def make(folder: Path, *names: str, age: float = HOURS_AGO) -> None:
    now = (folder.parent).stat().st_ctime
    for name in names:
        (folder / name).write_text("")
        os.utime(folder / name, (now - age, now - age))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_next_save_removes_what_killed_processes_left_behind(tmp_path: Path) -> None:
    make(tmp_path, HALF_WRITTEN, LOCK, ".b.yaml.tmp", "c.tmp", ".d.lock")
    store = open_store(tmp_path / "a.yaml")

    store.finish(store.reserve("a", {}), interaction(request("A")))

    assert names(tmp_path) == {"a.yaml", ".b.yaml.tmp", "c.tmp", ".d.lock"}


def test_what_a_living_process_may_still_need_stays(tmp_path: Path) -> None:
    make(tmp_path, HALF_WRITTEN, LOCK, age=60)
    now = (tmp_path / LOCK).stat().st_mtime_ns

    remove_leftovers(tmp_path, now)
    assert names(tmp_path) == {HALF_WRITTEN, LOCK}
    with FileLock(tmp_path / LOCK) as lock:
        assert lock.try_lock()
        remove_leftovers(tmp_path, now + HOURS_AGO * 10**9)
        assert names(tmp_path) == {LOCK}
    remove_leftovers(tmp_path, now + HOURS_AGO * 10**9)
    assert names(tmp_path) == set()


def test_a_folder_that_is_gone_is_tidy(tmp_path: Path) -> None:
    remove_leftovers(tmp_path / "gone", 0)
