from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from aquila.cassette import Scope, wrap
from aquila.cassette.file.disk import read as read_cassette
from aquila.cassette.holding import Held, Hold, Verdict, hold, release
from aquila.cassette.watch import WATCHING, Watch
from aquila.settings import Settings, read_settings
from tests.tapes import EchoTransport, read, record, request


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"AQUILA_CASSETTE_DIR": str(tmp_path)}, cwd=tmp_path)


@contextmanager
def a_test(*, passes: bool) -> Iterator[Hold]:
    """Hold recordings as the plugin does during a test."""
    held, around = Hold(), WATCHING.test
    hold(held)
    WATCHING.test = Watch()
    try:
        yield held
    finally:
        WATCHING.test = around
        release(held)
    _ = held.keep() if passes else held.drop()


async def ask(settings: Settings, *prompts: str, mode: str, source: EchoTransport | None = None) -> None:
    source = source or EchoTransport()
    transport = wrap(lambda: source, "a", settings=replace(settings, cassettes=mode))
    for prompt in prompts:
        await read(transport, request(prompt))
    await transport.aclose()


def send_in_a_fork(scope: Scope, settings: Settings, prompt: str) -> None:
    """Record a request in a forked process, without an event loop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Newer Pythons warn of threads.
        child = os.fork()
    if child:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return
    status = 1
    try:
        deck = scope.deck(replace(settings, cassettes="once"))
        assert deck is not None
        assert deck.find(request(prompt)) is None
        recorder = deck.recorder
        tape = recorder.begin(request(prompt))
        tape.answered(200, {"content-type": "text/plain"})
        tape.parts.append((tape.clock(), b"answer"))
        recorder.end(tape, "complete")
        status = 0
    finally:
        os._exit(status)


def serials(path: Path) -> list[bytes]:
    return [item.chunks[1].data for item in read_cassette(path) or ()]


async def test_a_failing_test_keeps_the_good_file_and_leaves_what_it_recorded_beside_it(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "a.yaml"
    await record(path, EchoTransport(), request("A"), request("B"))
    before = path.read_bytes()

    for mode in ("rewrite", "all", "new_episodes"):
        with a_test(passes=False):
            await ask(settings, "A", "C", mode=mode)
        assert path.read_bytes() == before, mode

    assert (tmp_path / "a.yaml.partial").exists()


async def test_a_failing_test_makes_no_file_and_the_next_run_records_again(
    settings: Settings, tmp_path: Path
) -> None:
    for passes in (False, False, True):
        with a_test(passes=passes):
            await ask(settings, "A", "B", mode="once")
        assert (tmp_path / "a.yaml").exists() is passes
        assert (tmp_path / "a.yaml.partial").exists() is not passes

    assert serials(tmp_path / "a.yaml") == [b"data: 1\n\n", b"data: 2\n\n"]


async def test_nothing_is_in_the_cassette_before_the_verdict(settings: Settings, tmp_path: Path) -> None:
    with a_test(passes=True):
        await ask(settings, "A", mode="once")
        assert not (tmp_path / "a.yaml").exists()
        assert serials(tmp_path / "a.yaml.partial") == [b"data: 1\n\n"]

    assert serials(tmp_path / "a.yaml") == [b"data: 1\n\n"]


@pytest.mark.parametrize(("mode", "found"), [("once", [1, 2, 3]), ("rewrite", [1, 2, 3]), ("all", [1, 2, 3])])
async def test_several_calls_of_a_test_make_one_recording(
    settings: Settings, tmp_path: Path, mode: str, found: list[int]
) -> None:
    source = EchoTransport()
    with a_test(passes=True):
        await ask(settings, "A", mode=mode, source=source)
        await ask(settings, "A", mode=mode, source=source)
        await ask(settings, "B", mode=mode, source=source)

    assert serials(tmp_path / "a.yaml") == [f"data: {number}\n\n".encode() for number in found]


async def test_an_answer_that_ends_after_the_test_has_failed_is_not_written(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "a.yaml"
    await record(path, EchoTransport(), request("A"))
    before = path.read_bytes()
    with a_test(passes=False):
        transport = wrap(EchoTransport, "a", settings=replace(settings, cassettes="rewrite"))
        response = await transport.send(request("A"))
        await anext(response.chunks)
        await ask(settings, "B", mode="rewrite")

    async for _ in response.chunks:
        continue
    await response.aclose()

    assert path.read_bytes() == before


async def test_what_was_recorded_after_a_failed_test_is_written_at_once(
    settings: Settings, tmp_path: Path
) -> None:
    with a_test(passes=False):
        await ask(settings, "A", mode="rewrite")

    transport = wrap(EchoTransport, "a", settings=settings, mode="all")
    await read(transport, request("B"))

    assert len(serials(tmp_path / "a.yaml")) == 1


async def test_two_cassettes_of_a_test_are_both_kept(settings: Settings, tmp_path: Path) -> None:
    with a_test(passes=True):
        for name in ("x", "y"):
            transport = wrap(EchoTransport, name, settings=replace(settings, cassettes="once"))
            await read(transport, request(name))

    assert (tmp_path / "x.yaml").exists()
    assert (tmp_path / "y.yaml").exists()


async def test_a_mode_that_the_code_itself_names_records_at_once(settings: Settings, tmp_path: Path) -> None:
    with a_test(passes=False):
        transport = wrap(EchoTransport, "a", settings=settings, mode="once")
        await read(transport, request("A"))
        await transport.aclose()
        replay = wrap(EchoTransport, "a", settings=settings, mode="none")
        assert (await read(replay, request("A")))[1] == b"data: 1\n\n"

    assert len(serials(tmp_path / "a.yaml")) == 1


async def test_a_test_may_replay_what_it_has_just_recorded(settings: Settings) -> None:
    with a_test(passes=False):
        await ask(settings, "A", mode="once")
        await ask(settings, "A", mode="none")
        source = EchoTransport()
        await ask(settings, "A", "B", mode="new_episodes", source=source)

    assert source.sent == 1


async def test_a_client_that_outlives_a_failed_test_goes_on_with_a_whole_cassette(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WATCHING, "run", Watch())
    for mode in ("once", "rewrite", "all"):
        source = EchoTransport()
        with a_test(passes=False):
            watch, WATCHING.test = WATCHING.test, None  # As while a module's fixture is set up.
            shared = Scope("a")
            WATCHING.test = watch
            chosen = replace(settings, cassettes=mode)
            transport = wrap(lambda source=source: source, None, settings=chosen, scope=shared)
            await read(transport, request("one"))
        with a_test(passes=True):
            await read(transport, request("two"))
        shared.close()

        assert serials(tmp_path / "a.yaml") == [b"data: 1\n\n", b"data: 2\n\n"], mode


async def test_a_cassette_that_is_told_to_wait_does_so_wherever_it_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WATCHING, "run", Watch())
    with a_test(passes=False):
        monkeypatch.setattr(WATCHING, "test", None)
        shared = Scope("a", "rewrite", waits=True)
        await read(wrap(EchoTransport, None, settings=settings, scope=shared), request("one"))
        shared.close()

    assert not (tmp_path / "a.yaml").exists()


async def test_what_was_dropped_is_counted(settings: Settings, tmp_path: Path) -> None:
    with a_test(passes=True) as held:
        await ask(settings, "A", "B", mode="once")
        assert held.drop() == ((tmp_path / "a.yaml.partial",), 2)
        assert held.drop() == ((), 0)


@pytest.mark.parametrize("passes", [True, False])
async def test_an_answer_whose_verdict_falls_while_it_is_being_saved_abides_by_it(
    settings: Settings, tmp_path: Path, passes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, source = tmp_path / "a.yaml", EchoTransport()
    await record(path, source, request("A"))

    class Late(Hold):
        def add(self, store: Held, verdict: Verdict) -> bool:
            _ = self.keep() if passes else self.drop()
            return super().add(store, verdict)

    held = Late()
    monkeypatch.setattr(WATCHING, "test", Watch())
    hold(held)
    try:
        shared, chosen = Scope("a"), replace(settings, cassettes="all")
        await read(wrap(lambda: source, None, settings=chosen, scope=shared), request("A"))
    finally:
        release(held)
    deck = shared.deck(chosen)
    assert deck is not None
    assert deck.recordings == passes

    first = b"data: 2\n\n" if passes else b"data: 1\n\n"
    assert serials(path) == [first]
    assert not (tmp_path / "a.yaml.partial").exists()
    with a_test(passes=True):
        await ask(settings, "B", mode="new_episodes", source=source)
    assert serials(path) == [first, b"data: 3\n\n"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
async def test_a_forked_child_records_at_once_and_the_parent_loses_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    path, shared, source = tmp_path / "a.yaml", Scope("a"), EchoTransport()
    transport = wrap(lambda: source, None, settings=replace(settings, cassettes="once"), scope=shared)
    with a_test(passes=True):
        await read(transport, request("A"))
        send_in_a_fork(shared, settings, "B")
        send_in_a_fork(Scope("b"), settings, "B")
        assert len(read_cassette(path) or ()) == 1
        assert len(read_cassette(tmp_path / "b.yaml") or ()) == 1
        await read(transport, request("C"))

    prompts = [item.request.body.decode() for item in read_cassette(path) or ()]
    assert sorted(next(text for text in "ABC" if f'"{text}"' in prompt) for prompt in prompts) == [
        "A",
        "B",
        "C",
    ]


@pytest.mark.parametrize("mode", ["once", "rewrite", "all", "new_episodes"])
async def test_a_recording_that_lost_its_beginning_with_a_failed_test_writes_nothing(
    settings: Settings, tmp_path: Path, mode: str
) -> None:
    path = tmp_path / "a.yaml"
    if mode != "once":
        await record(path, EchoTransport(), request("one"), request("two"))
    before = path.read_bytes() if mode != "once" else None
    shared = Scope("a")
    transport = wrap(EchoTransport, None, settings=replace(settings, cassettes=mode), scope=shared)

    with a_test(passes=False):
        await read(transport, request("three"))
    with a_test(passes=True):
        await read(transport, request("four"))
    await read(transport, request("five"))
    shared.close()

    assert (path.read_bytes() if path.exists() else None) == before


async def test_a_recording_that_began_in_a_test_that_passed_goes_on_at_once(
    settings: Settings, tmp_path: Path
) -> None:
    shared, source = Scope("a"), EchoTransport()
    transport = wrap(lambda: source, None, settings=replace(settings, cassettes="rewrite"), scope=shared)
    with a_test(passes=True):
        await read(transport, request("one"))
    with a_test(passes=False):
        await read(transport, request("two"))
    await read(transport, request("three"))
    shared.close()

    assert serials(tmp_path / "a.yaml") == [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]


async def test_what_waits_is_not_written_with_what_does_not(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    await record(path, EchoTransport(), request("A"))
    with a_test(passes=False):
        await ask(settings, "A", "B", mode="all")
        at_once = wrap(EchoTransport, "a", settings=settings, mode="new_episodes")
        await read(at_once, request("C"))
        await at_once.aclose()
        assert len(serials(path.with_name("a.yaml.partial"))) == 2

    prompts = [item.request.body.decode() for item in read_cassette(path) or ()]
    assert [prompt for prompt in prompts if '"A"' in prompt] == prompts[:1]
    assert [prompt for prompt in prompts if '"C"' in prompt] == prompts[1:]
    assert len(prompts) == 2


@pytest.mark.parametrize("passes", [True, False])
async def test_an_answer_that_ends_after_the_verdict_abides_by_it(
    settings: Settings, tmp_path: Path, passes: bool
) -> None:
    with a_test(passes=passes):
        transport = wrap(EchoTransport, "a", settings=replace(settings, cassettes="rewrite"))
        response = await transport.send(request("A"))
        await anext(response.chunks)
    with a_test(passes=not passes):
        async for _ in response.chunks:
            continue
        await response.aclose()

    assert (tmp_path / "a.yaml").exists() is passes


async def test_the_partial_file_of_a_failed_test_goes_when_a_later_one_is_kept(
    settings: Settings, tmp_path: Path
) -> None:
    with a_test(passes=False):
        await ask(settings, "A", mode="once")
    assert (tmp_path / "a.yaml.partial").exists()

    with a_test(passes=True):
        await ask(settings, "A", mode="once")

    assert (tmp_path / "a.yaml").exists()
    assert not (tmp_path / "a.yaml.partial").exists()
