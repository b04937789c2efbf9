from __future__ import annotations

import os
from pathlib import Path

import pytest

from aquila.file_lock import FileLock, is_locked


def test_an_exclusive_lock_keeps_everybody_else_out(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock") as one, FileLock(tmp_path / "lock") as other:
        assert one.try_lock()
        assert not other.try_lock()
        assert not other.try_lock(shared=True)
        assert is_locked(tmp_path / "lock")
    assert not is_locked(tmp_path / "lock")


def test_shared_locks_tolerate_each_other_and_no_exclusive_one(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / "lock") as one,
        FileLock(tmp_path / "lock") as other,
        FileLock(tmp_path / "lock") as third,
    ):
        assert one.try_lock(shared=True)
        assert other.try_lock(shared=True)
        assert not third.try_lock()
        one.close()
        assert not third.try_lock()
        other.close()
        assert third.try_lock()


def test_waiting_for_a_lock_ends_in_time(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock") as one, FileLock(tmp_path / "lock") as other:
        one.lock(timeout=0)
        with pytest.raises(TimeoutError, match="locked by another process"):
            other.lock(timeout=0.05)


def test_a_file_that_is_missing_is_not_locked_and_not_made(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "lock")
    assert not (tmp_path / "lock").exists()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_that_closes_the_lock_leaves_it_to_its_parent(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    assert lock.try_lock()
    child = os.fork()
    if child == 0:
        lock.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert is_locked(tmp_path / "lock")
    lock.close()
    assert not is_locked(tmp_path / "lock")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_unlocking_drops_the_lock_that_a_forked_child_still_has_open(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with FileLock(tmp_path / "lock") as lock:
        assert lock.try_lock()
        child = os.fork()
        if child == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    assert not is_locked(tmp_path / "lock")
    os.close(writer)
    os.close(reader)
    os.waitpid(child, 0)
