"""Which calls share a cassette, and what one process records into it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest

from aquila.cassette import Scope, use, wrap
from aquila.cassette.file.disk import read as read_cassette
from aquila.errors import CassetteError, CassetteMismatch, ConfigError, ConnectionFailed
from aquila.settings import Settings, read_settings
from aquila.testing import Answer, ScriptedTransport
from aquila.transport.base import Transport
from tests.tapes import HELLO, EchoTransport, read, record, request, scripted

DOWN = ConnectionFailed("no route to host")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"AQUILA_CASSETTE_DIR": str(tmp_path)}, cwd=tmp_path)


async def call(
    inner: Transport, settings: Settings, prompt: str, cassette: Scope | str = "a", mode: str | None = None
) -> bytes:
    """One call, with a cassette of its own or a Client's; gives the second chunk, which tells when it was recorded."""
    shared = isinstance(cassette, Scope)
    transport = wrap(
        lambda: inner,
        None if shared else cassette,
        settings=settings,
        mode=mode,
        scope=cassette if shared else None,
    )
    try:
        return (await read(transport, request(prompt)))[1]
    finally:
        await transport.aclose()


def serials(*numbers: int) -> list[bytes]:
    return [f"data: {number}\n\n".encode() for number in numbers]


def ends(settings: Settings) -> list[str]:
    return [item.end for item in read_cassette(settings.cassette_dir / "a.yaml") or ()]


def recorded(settings: Settings) -> list[bytes]:
    return [item.chunks[1].data for item in read_cassette(settings.cassette_dir / "a.yaml") or ()]


async def test_the_calls_of_a_client_play_each_interaction_once(settings: Settings) -> None:
    await record(settings.cassette_dir / "a.yaml", EchoTransport(), *map(request, "AAA"))
    client = Scope("a", "none")

    answers = [await call(EchoTransport(), settings, "A", client) for _ in range(3)]

    assert answers == serials(1, 2, 3)
    with pytest.raises(CassetteMismatch, match="already played"):
        await call(EchoTransport(), settings, "A", client)


@pytest.mark.parametrize("mode", ["none", "once"])
async def test_a_client_may_be_used_by_many_threads(settings: Settings, mode: str) -> None:
    if mode == "none":
        await record(settings.cassette_dir / "a.yaml", EchoTransport(), *map(request, "A" * 16))
    client, inner, answers = Scope("a", mode), EchoTransport(), []

    def work() -> None:
        answers.append(anyio.run(call, inner, settings, "A", client))

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await anyio.to_thread.run_sync(thread.join)

    assert sorted(answers) == sorted(recorded(settings)) == sorted(serials(*range(1, 17)))


@pytest.mark.parametrize("mode", ["once", "all", "rewrite", "new_episodes"])
async def test_a_client_records_all_its_calls_the_equal_ones_too(settings: Settings, mode: str) -> None:
    inner, client = EchoTransport(), Scope("a", mode)

    answers = [await call(inner, settings, prompt, client) for prompt in "ABA"]

    assert answers == recorded(settings) == serials(1, 2, 3)


async def test_a_client_decides_at_its_first_request_whether_once_replays(settings: Settings) -> None:
    await record(settings.cassette_dir / "a.yaml", EchoTransport(), request("A"))
    inner, client = EchoTransport(), Scope("a", "once")

    assert await call(inner, settings, "A", client) == serials(1)[0]
    (settings.cassette_dir / "a.yaml").unlink()
    with pytest.raises(CassetteMismatch):
        await call(inner, settings, "B", client)

    assert inner.sent == 0


async def test_a_client_recording_all_replaces_only_what_was_there_before(settings: Settings) -> None:
    await record(settings.cassette_dir / "a.yaml", scripted(b"", b"old"), *map(request, "AB"))
    inner, client = EchoTransport(), Scope("a", "all")

    for prompt in "AAC":
        await call(inner, settings, prompt, client)

    assert recorded(settings) == [*serials(1), b"old", *serials(2, 3)]


@pytest.mark.aquila_unplayed("ignore")
async def test_a_call_may_name_its_own_cassette_and_the_client_wins_over_the_block(
    settings: Settings,
) -> None:
    for name in ("client", "block", "own"):
        path = settings.cassette_dir / f"{name}.yaml"
        await record(path, scripted(b"", name.encode()), *map(request, "AA"))
    client = Scope("client", "none")

    with use("block", mode="none"):
        assert await call(EchoTransport(), settings, "A", client) == b"client"
        assert await call(EchoTransport(), settings, "A", "own", "none") == b"own"


def test_a_bad_name_or_mode_of_a_client_is_told_when_it_is_made() -> None:
    with pytest.raises(ConfigError, match="below the cassette folder"):
        Scope("../a")
    with pytest.raises(ConfigError, match="'twice' is unknown"):
        Scope("a", "twice")


@pytest.mark.parametrize("mode", ["once", "all", "rewrite"])
async def test_calls_of_one_process_that_name_the_same_cassette_all_reach_the_file(
    settings: Settings, mode: str
) -> None:
    inner = EchoTransport()

    for prompt in "ABA":
        await call(inner, settings, prompt, mode=mode)

    assert recorded(settings) == serials(1, 2, 3)


ONCE = """
import anyio, sys
from pathlib import Path
from aquila.cassette import wrap
from aquila.settings import read_settings
from tests.tapes import EchoTransport, read, request

async def main():
    settings = read_settings({"AQUILA_CASSETTE_DIR": sys.argv[1]}, cwd=Path(sys.argv[1]))
    inner = EchoTransport()
    for prompt in "AB":
        await read(wrap(lambda: inner, "a", settings=settings, mode="once"), request(prompt))
    print(inner.sent)

anyio.run(main)
"""


def test_what_one_process_recorded_once_the_next_replays(settings: Settings) -> None:
    command = [sys.executable, "-c", ONCE, settings.cassette_dir]

    sent = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]

    assert sent == ["2\n", "0\n"]


async def test_once_makes_no_file_of_a_failed_connection(settings: Settings) -> None:
    with pytest.raises(ConnectionFailed):
        await call(ScriptedTransport(DOWN), settings, "A", mode="once")
    assert list(settings.cassette_dir.iterdir()) == []

    await call(EchoTransport(), settings, "A", mode="once")
    assert ends(settings) == ["complete"]


async def test_once_makes_no_file_of_an_answer_that_its_reader_cut(settings: Settings) -> None:
    with anyio.move_on_after(0.05):
        await call(scripted(HELLO[0], 3600.0), settings, "A", mode="once")
    assert list(settings.cassette_dir.iterdir()) == []

    response = await wrap(lambda: scripted(*HELLO), "a", settings=settings, mode="once").send(request())
    await anext(response.chunks)
    await response.aclose()
    assert list(settings.cassette_dir.iterdir()) == []


async def test_once_keeps_a_failure_that_an_answer_followed(settings: Settings) -> None:
    inner = ScriptedTransport(DOWN, Answer(chunks=HELLO), DOWN)
    transport = wrap(lambda: inner, "a", settings=settings, mode="once")

    with pytest.raises(ConnectionFailed):
        await read(transport, request())
    await read(transport, request())
    with pytest.raises(ConnectionFailed):
        await read(transport, request())
    await transport.aclose()

    assert ends(settings) == ["error", "complete", "error"]


async def test_the_other_modes_record_a_failed_connection(settings: Settings) -> None:
    with pytest.raises(ConnectionFailed):
        await call(ScriptedTransport(DOWN), settings, "A", mode="all")

    assert ends(settings) == ["error"]


@pytest.mark.parametrize("mode", ["none", "once", "new_episodes", "all", "rewrite"])
async def test_a_file_that_cannot_be_looked_at_is_told_in_one_line(settings: Settings, mode: str) -> None:
    (settings.cassette_dir / "file").touch()
    (settings.cassette_dir / "loop.yaml").symlink_to("loop.yaml")
    inner = EchoTransport()

    for name in ("x" * 300, "file/a", "loop"):
        with pytest.raises(CassetteError) as caught:
            await call(inner, settings, "A", name, mode)
        assert f"{name}.yaml cannot be read (" in str(caught.value)
        assert "\n" not in str(caught.value)
    assert inner.sent == 0
