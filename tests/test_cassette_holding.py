from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from aquila.cassette import wrap
from aquila.cassette.file.disk import read as read_cassette
from aquila.cassette.holding import Hold, hold, release
from aquila.settings import Settings, read_settings
from tests.tapes import EchoTransport, read, record, request


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"AQUILA_CASSETTE_DIR": str(tmp_path)}, cwd=tmp_path)


@contextmanager
def a_test(*, passes: bool) -> Iterator[Hold]:
    """Hold recordings as the plugin does during a test."""
    held = Hold()
    hold(held)
    try:
        yield held
    finally:
        release(held)
    _ = held.keep() if passes else held.drop()


async def ask(settings: Settings, *prompts: str, mode: str, source: EchoTransport | None = None) -> None:
    source = source or EchoTransport()
    transport = wrap(lambda: source, "a", settings=replace(settings, cassettes=mode))
    for prompt in prompts:
        await read(transport, request(prompt))
    await transport.aclose()


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
