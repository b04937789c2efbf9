from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from aquila.cassette import Scope, use
from aquila.cassette.blocks import for_the_test, in_effect
from aquila.errors import CassetteError
from aquila.settings import Settings, read_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"AQUILA_CASSETTE_DIR": str(tmp_path)}, cwd=tmp_path)


def name_in_effect(settings: Settings) -> str | None:
    scope = in_effect(settings)
    return scope.name if scope is not None else None


def in_a_plain_thread(function: Callable[[], object]) -> object:
    found: list[object] = []

    def run() -> None:
        try:
            found.append(function())
        except CassetteError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


async def test_child_tasks_and_threads_of_the_loop_are_inside(settings: Settings) -> None:
    found: list[str | None] = []

    async def child() -> None:
        found.append(name_in_effect(settings))
        found.append(await to_thread.run_sync(name_in_effect, settings))

    with use("a"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)

    assert found == ["a", "a"]


def test_a_plain_thread_finds_the_block(settings: Settings) -> None:
    with use("a"):
        assert in_a_plain_thread(lambda: name_in_effect(settings)) == "a"
        with ThreadPoolExecutor() as pool:
            assert pool.submit(name_in_effect, settings).result() == "a"
    assert in_a_plain_thread(lambda: name_in_effect(settings)) is None


def test_a_plain_thread_finds_the_innermost_of_nested_blocks(settings: Settings) -> None:
    with use("outer"):
        with use("inner"):
            assert in_a_plain_thread(lambda: name_in_effect(settings)) == "inner"
        assert in_a_plain_thread(lambda: name_in_effect(settings)) == "outer"


def test_a_plain_thread_beside_two_blocks_is_told_to_choose(settings: Settings) -> None:
    def other() -> None:
        with use("other"):
            ready.set()
            done.wait(30)

    ready, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    with use("own"):
        thread.start()
        ready.wait(30)
        error = in_a_plain_thread(lambda: name_in_effect(settings))
        own = name_in_effect(settings)
        inside = contextvars.copy_context()
        carried = in_a_plain_thread(lambda: inside.run(name_in_effect, settings))
        done.set()
        thread.join()

    assert "cassettes are in use side by side: other, own; pass cassette= to the call" in str(error)
    assert (own, carried) == ("own", "own"), "who has a context is never in doubt"


async def test_a_task_beside_a_block_in_the_same_thread_is_outside(settings: Settings) -> None:
    found: list[str | None] = []
    entered, looked = anyio.Event(), anyio.Event()

    async def bystander() -> None:
        await entered.wait()
        found.append(name_in_effect(settings))
        looked.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bystander)
        with use("a"):
            entered.set()
            await looked.wait()

    assert found == [None]


async def test_two_tasks_with_blocks_that_overlap_keep_to_their_own(settings: Settings) -> None:
    found: dict[str, list[str | None]] = {"a": [], "b": []}
    turns = [anyio.Event() for _ in range(3)]

    async def first() -> None:
        with use("a"):
            turns[0].set()
            await turns[1].wait()
            found["a"].append(name_in_effect(settings))
        turns[2].set()

    async def second() -> None:
        await turns[0].wait()
        with use("b"):
            turns[1].set()
            found["b"].append(name_in_effect(settings))
            await turns[2].wait()
            found["b"].append(name_in_effect(settings))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first)
        tasks.start_soon(second)

    assert found == {"a": ["a"], "b": ["b", "b"]}


def test_the_cassette_of_a_test_holds_where_no_block_does(settings: Settings) -> None:
    with for_the_test(Scope("test")):
        assert name_in_effect(settings) == "test"
        assert in_a_plain_thread(lambda: name_in_effect(settings)) == "test"
        with use("block"):
            assert name_in_effect(settings) == "block"
            assert in_a_plain_thread(lambda: name_in_effect(settings)) == "block"
    assert name_in_effect(settings) is None


def test_blocks_that_are_off_concern_no_thread(settings: Settings) -> None:
    def other() -> None:
        with use("other", mode="off"):
            ready.set()
            done.wait(30)

    ready, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    with use("own"):
        thread.start()
        ready.wait(30)
        found = in_a_plain_thread(lambda: name_in_effect(settings))
        done.set()
        thread.join()

    assert found == "own"
