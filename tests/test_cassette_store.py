from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aquila.cassette.file.disk import read, write
from aquila.cassette.file.format import assemble, render
from aquila.cassette.holding import Hold
from aquila.cassette.matching.match import request_key
from aquila.cassette.matching.rules import DEFAULT_RULES
from aquila.cassette.store import open_store
from aquila.errors import CassetteError
from tests.tapes import interaction, request


def prompts(path: Path) -> list[str]:
    found = read(path)
    assert found is not None
    return [item.request.body.decode().partition('"content": "')[2].partition('"')[0] for item in found]


def test_the_file_keeps_the_order_in_which_requests_started(tmp_path: Path) -> None:
    store = open_store(tmp_path / "deep" / "a.yaml")
    first, second = store.reserve("1", {}), store.reserve("2", {})

    store.finish(second, interaction(request("Second")))
    assert prompts(store.path) == ["Second"]
    store.finish(first, interaction(request("First")))

    assert prompts(store.path) == ["First", "Second"]
    assert [item.seq for item in read(store.path) or ()] == [0, 1]


def test_an_equal_interaction_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, assemble(render(interaction(request(text))) for text in ("A", "B", "C")))
    store = open_store(path)
    replaceable = store.replaceable(DEFAULT_RULES)
    key = request_key(request("B"))

    for end in ("complete", "cut"):
        store.finish(store.reserve(key, replaceable), interaction(request("B"), end=end, source="new"))

    assert prompts(path) == ["A", "B", "C", "B"]
    assert [item.source for item in read(path) or ()] == [None, "new", None, "new"]


def test_a_replaced_interaction_stays_until_the_new_one_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, assemble([render(interaction(request("A")))]))
    store = open_store(path)

    store.release(store.reserve(request_key(request("A")), store.replaceable(DEFAULT_RULES)))
    store.finish(store.reserve("b", {}), interaction(request("B")))

    assert prompts(path) == ["A", "B"]


def test_rewriting_begins_empty_once_and_only_with_the_first_save(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, assemble([render(interaction(request("Old")))]))

    store = open_store(path, rewrite=True)
    store.release(store.reserve("x", {}, mode="rewrite"))
    assert prompts(path) == ["Old"]
    for text in ("A", "B"):
        store = open_store(path, rewrite=True)
        store.finish(store.reserve(text, {}, mode="rewrite"), interaction(request(text)))
        del store

    assert prompts(path) == ["A", "B"]


def test_a_file_changed_by_another_process_is_read_again(tmp_path: Path) -> None:
    store = open_store(tmp_path / "a.yaml")
    store.finish(store.reserve("a", {}), interaction(request("A")))

    store.path.unlink()
    again = open_store(tmp_path / "a.yaml")
    again.finish(again.reserve("b", {}), interaction(request("B")))

    assert again is store
    assert prompts(store.path) == ["B"]


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"

    def work(number: int) -> None:
        store = open_store(path)
        store.finish(store.reserve(str(number), {}), interaction(request(str(number))))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(int, prompts(path))) == list(range(16))


def test_a_broken_file_is_never_recorded_over(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("<<<<<<< HEAD\n")

    with pytest.raises(CassetteError, match=r"a\.yaml, line 1: unresolved merge conflict"):
        open_store(path)

    assert path.read_text() == "<<<<<<< HEAD\n"


def test_writing_leaves_an_ordinary_utf8_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"

    write(path, "é")

    assert path.read_bytes() == "é".encode()
    assert list(tmp_path.iterdir()) == [path]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CassetteError) as caught:
        open_store(tmp_path / "file" / "a.yaml")

    assert str(tmp_path / "file") in str(caught.value)
    assert "AQUILA_CASSETTE_DIR" in str(caught.value)


def test_a_name_may_be_as_long_as_the_file_system_allows_and_no_longer(tmp_path: Path) -> None:
    longest = tmp_path / f"{'x' * 250}.yaml"
    store = open_store(longest)
    store.finish(store.reserve("a", {}), interaction())
    assert [path.name for path in tmp_path.iterdir()] == [longest.name]

    for path in (tmp_path / f"{'x' * 251}.yaml", tmp_path / ("x" * 256) / "a.yaml"):
        with pytest.raises(CassetteError, match=r"\(File name too long\); give it a shorter name$"):
            open_store(path)


def test_files_that_a_killed_process_left_behind_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    for number in range(1000):
        (tmp_path / f".a.yaml.{os.getpid()}-{number}.tmp").touch()

    write(path, "new")

    assert path.read_text() == "new"


FULL_DISK = """
import resource, sys
from pathlib import Path
from aquila.cassette.file.disk import write
from aquila.errors import CassetteError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
path = Path(sys.argv[1])
try:
    write(path, "x" * 2000)
except CassetteError as error:
    print(error)
"""


def test_a_full_disk_keeps_the_good_file_and_names_cause_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("good")

    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)

    assert done.stdout == (
        f"cassette {path} cannot be written (File too large); free disk space or raise the file size limit "
        "(ulimit -f) and run again; the file that was there is unchanged\n"
    )
    assert path.read_text() == "good"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unchanged_file_is_parsed_once(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, assemble([render(interaction())]))

    assert read(path) is read(path)
    write(path, assemble([render(interaction(request("Other")))]))
    assert prompts(path) == ["Other"]
    assert read(tmp_path / "none.yaml") is None


def test_a_place_that_is_given_back_is_taken_by_the_retry(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, assemble(render(interaction(request("A"), source=old)) for old in ("old 1", "old 2")))
    store, key = open_store(path), request_key(request("A"))
    replaceable = store.replaceable(DEFAULT_RULES)
    both = [store.reserve(key, replaceable), store.reserve(key, replaceable)]

    for slot in both:
        store.release(slot)
    store.finish(store.reserve(key, replaceable), interaction(request("A"), source="new"))

    assert [item.source for item in read(path) or ()] == ["new", "old 2"]


def test_a_place_may_be_given_back_after_the_test_has_failed(tmp_path: Path) -> None:
    held = Hold()
    store = open_store(tmp_path / "a.yaml")
    slot = store.reserve("a", {}, verdict=held.verdict)

    held.drop()
    store.drop()
    store.release(slot)

    assert not store.path.exists()


def test_a_broken_file_may_be_rewritten_but_not_what_breaks_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("<<<<<<< HEAD\n")
    store = open_store(path, rewrite=True)
    slot = store.reserve("a", {}, mode="rewrite")
    path.write_text("<<<<<<< HEAD, again\n")

    with pytest.raises(CassetteError, match="unresolved merge conflict"):
        store.finish(slot, interaction(request("A")))
    assert path.read_text() == "<<<<<<< HEAD, again\n"

    path.write_text("<<<<<<< HEAD\n")
    del store, slot
    again = open_store(path, rewrite=True)
    again.finish(again.reserve("b", {}, mode="rewrite"), interaction(request("B")))
    assert prompts(path) == ["B"]


def test_a_save_keeps_the_permissions_of_the_file(tmp_path: Path) -> None:
    path, beside = tmp_path / "a.yaml", tmp_path / "b.yaml"
    write(path, "version: 1\ninteractions: []\n")
    path.chmod(0o600)
    store = open_store(path)

    store.finish(store.reserve("a", {}), interaction(request("A")))
    write(beside, "", like=path)

    assert prompts(path) == ["A"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in (path, beside)] == [0o600, 0o600]
