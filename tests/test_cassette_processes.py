"""Several processes that record the same cassette."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from aquila.cassette.file.disk import read, write
from aquila.cassette.file.exclusive import exclusive
from aquila.cassette.file.format import assemble, render
from aquila.cassette.journal import VARIABLE
from aquila.cassette.matching.match import request_key
from aquila.cassette.matching.rules import DEFAULT_RULES
from aquila.cassette.mode import Mode
from aquila.cassette.store import Store
from aquila.errors import CassetteError
from tests.tapes import interaction, request
from tests.test_cassette_store import prompts

RECORD = """
import anyio, sys
from pathlib import Path
from aquila.cassette import wrap
from aquila.settings import read_settings
from tests.tapes import EchoTransport, read, request

async def main():
    settings = read_settings({"AQUILA_CASSETTE_DIR": sys.argv[1]}, cwd=Path(sys.argv[1]))
    inner = EchoTransport()
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(20):
        prompt = f"{sys.argv[2]}{number}"
        await read(wrap(lambda: inner, "a", settings=settings, mode=sys.argv[3]), request(prompt))

anyio.run(main)
"""


REWRITE = """
import sys, threading
from pathlib import Path
from aquila.cassette.store import open_store
from tests.tapes import interaction, request

def put(prompt):
    store = open_store(Path(sys.argv[1]), rewrite=True)
    slot = store.reserve(prompt, {}, mode="rewrite")
    print("open", flush=True)
    sys.stdin.readline()
    store.finish(slot, interaction(request(prompt)))
    print("done", flush=True)

print("ready", flush=True)
for number in range(2):
    sys.stdin.readline()
    put(sys.argv[2] + str(number))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A cassette that holds A and B."""
    write(
        tmp_path / "a.yaml",
        assemble(render(interaction(request(text), seq=n)) for n, text in enumerate("AB")),
    )
    return tmp_path / "a.yaml"


def another_process(path: Path) -> Store:
    """What `open_store` gives in another process."""
    store = Store(path)
    store.refresh(empty=False)
    return store


def put(store: Store, prompt: str, mode: Mode | None = None) -> None:
    store.finish(store.reserve(prompt, {}, mode=mode), interaction(request(prompt)))


@pytest.mark.parametrize("mode", ["new_episodes", "all"])
def test_processes_that_record_at_the_same_time_lose_nothing(path: Path, mode: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RECORD, path.parent, name, mode],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for name in "xyz"
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"

    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()

    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0, 0, 0]
    expected = [f"{name}{number}" for name in "xyz" for number in range(20)]
    assert sorted(prompts(path)) == sorted(["A", "B", *expected])
    assert sorted(item.seq or 0 for item in read(path) or ()) == list(range(62))
    assert list(path.parent.iterdir()) == [path]


def test_what_another_process_has_written_stays_in_its_place(path: Path) -> None:
    ours, theirs = another_process(path), another_process(path)
    first, second = ours.reserve("1", {}), ours.reserve("2", {})
    put(theirs, "theirs")

    ours.finish(second, interaction(request("second")))
    put(theirs, "theirs too")
    ours.finish(first, interaction(request("first")))

    assert prompts(path) == ["A", "B", "theirs", "first", "second", "theirs too"]
    assert sorted(item.seq or 0 for item in read(path) or ()) == list(range(6))


def test_an_interaction_is_replaced_although_the_file_has_changed(path: Path) -> None:
    ours, theirs = another_process(path), another_process(path)
    key = request_key(request("A"))
    slot = ours.reserve(key, ours.replaceable(DEFAULT_RULES))
    put(theirs, "theirs")

    ours.finish(slot, interaction(request("A"), source="ours"))

    assert prompts(path) == ["A", "B", "theirs"]
    assert [item.source for item in read(path) or ()] == ["ours", None, None]


def test_two_that_replace_the_same_interaction_both_stay(path: Path) -> None:
    ours, theirs = another_process(path), another_process(path)
    key = request_key(request("A"))
    slot = ours.reserve(key, ours.replaceable(DEFAULT_RULES))
    again = theirs.reserve(key, theirs.replaceable(DEFAULT_RULES))
    theirs.finish(again, interaction(request("A"), chunks=[(1, b"theirs")]))

    ours.finish(slot, interaction(request("A"), chunks=[(1, b"ours")]))

    assert prompts(path) == ["A", "A", "B"]
    assert [item.body for item in read(path) or ()][:2] == [b"theirs", b"ours"]


def test_what_somebody_took_out_of_the_file_stays_out(path: Path) -> None:
    ours = another_process(path)
    put(ours, "C")
    write(path, assemble(render(item) for item in (read(path) or ())[1:]))

    put(ours, "D")

    assert prompts(path) == ["B", "C", "D"]


def test_an_abandoned_answer_that_ends_after_all_is_corrected_among_others(path: Path) -> None:
    ours, theirs = another_process(path), another_process(path)
    slot = ours.reserve("c", {})
    ours.finish(slot, interaction(request("C"), end="abandoned"))
    put(theirs, "theirs")

    ours.finish(slot, interaction(request("C"), end="complete"))

    assert prompts(path) == ["A", "B", "C", "theirs"]
    assert {item.end for item in read(path) or ()} == {"complete"}


def test_a_file_that_broke_during_the_recording_is_not_recorded_over(path: Path) -> None:
    ours = another_process(path)
    good = path.read_text()
    path.write_text("<<<<<<< HEAD\n")

    with pytest.raises(CassetteError, match="unresolved merge conflict"):
        put(ours, "C")
    assert path.read_text() == "<<<<<<< HEAD\n"

    write(path, good)
    put(ours, "D")
    assert prompts(path) == ["A", "B", "C", "D"]


def test_rewriting_drops_what_was_there_when_it_began_and_nothing_newer(path: Path) -> None:
    ours, theirs = Store(path), another_process(path)
    ours.refresh(empty=True)
    put(theirs, "before")

    put(ours, "C", mode="rewrite")
    put(theirs, "after")
    put(ours, "D", mode="rewrite")

    assert prompts(path) == ["before", "C", "after", "D"]


def hold(
    path: Path, held: multiprocessing.synchronize.Event, enough: multiprocessing.synchronize.Event
) -> None:
    with exclusive(path):
        held.set()
        enough.wait(10)


def test_a_save_waits_for_another_process_and_a_request_does_not(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, enough = context.Event(), context.Event()
    process = context.Process(target=hold, args=(path, held, enough))
    process.start()
    assert held.wait(20)
    ours = another_process(path)
    slot = ours.reserve("c", {})
    saving = threading.Thread(target=ours.finish, args=(slot, interaction(request("C"))))

    saving.start()
    saving.join(0.1)
    assert saving.is_alive()
    ours.reserve("d", {})
    ours.replaceable(DEFAULT_RULES)
    assert prompts(path) == ["A", "B"]

    enough.set()
    saving.join(10)
    process.join(10)
    assert prompts(path) == ["A", "B", "C"]


def test_the_lock_of_a_killed_process_is_no_obstacle(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, never = context.Event(), context.Event()
    process = context.Process(target=hold, args=(path, held, never))
    process.start()
    assert held.wait(20)
    process.kill()
    process.join(10)

    put(another_process(path), "C")

    assert prompts(path) == ["A", "B", "C"]
    assert list(path.parent.iterdir()) == [path]


class Rewriting:
    """A process that rewrites a cassette in two calls, step by step."""

    def __init__(self, path: Path, name: str, journal: Path | None) -> None:
        told = {VARIABLE: f"{os.getpid()}:{journal}"} if journal is not None else {}
        self._process = subprocess.Popen(
            [sys.executable, "-c", REWRITE, path, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **told},
        )  # fmt: skip
        self._hear()

    def step(self) -> None:
        """Open the file; the next time save it."""
        self._say()
        self._hear()

    def end(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def _say(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def _hear(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline()


def test_the_processes_of_a_run_rewrite_a_file_once_among_them(path: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.touch()
    first, second = (Rewriting(path, name, journal) for name in "xy")

    for process in (first, second, first, second):
        # The second one opens the file when the first has rewritten it.
        process.step()
        process.step()

    for process in (first, second):
        process.end()
    assert prompts(path) == ["x0", "y0", "x1", "y1"]


def test_processes_that_began_together_lose_nothing_without_a_run_too(path: Path) -> None:
    first, second = (Rewriting(path, name, None) for name in "xy")
    for process in (first, second):
        process.step()

    for process in (second, first):
        process.step()
    for process in (first, second):
        process.step()
        process.step()
        process.end()

    assert sorted(prompts(path)) == ["x0", "x1", "y0", "y1"]
