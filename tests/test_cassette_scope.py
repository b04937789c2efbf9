from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest

from aquila.cassette import resolve_mode, use, wrap
from aquila.cassette.file.disk import read as read_cassette
from aquila.errors import CassetteMismatch, CassetteMissing, ConfigError
from aquila.settings import Settings, read_settings
from aquila.transport.base import Transport
from tests.tapes import EchoTransport, interaction, read, record, request, scripted
from tests.test_cassette_replay import save


class Source:
    """Makes the inner transport and counts how often."""

    def __init__(self) -> None:
        self.made = 0
        self.transport = EchoTransport()

    def __call__(self) -> Transport:
        self.made += 1
        return self.transport


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings({"AQUILA_CASSETTE_DIR": str(tmp_path)}, cwd=tmp_path)


@pytest.fixture
def source() -> Source:
    return Source()


async def ask(
    source: Source, settings: Settings, *prompts: str, name: str | None = "a", mode: str | None = None
) -> list[bytes]:
    """One call: its requests, in sequence, and of each answer the second chunk, which tells when it was recorded."""
    transport = wrap(source, name, settings=settings, mode=mode)
    try:
        return [(await read(transport, request(prompt)))[1] for prompt in prompts]
    finally:
        await transport.aclose()


def serials(*numbers: int) -> list[bytes]:
    return [f"data: {number}\n\n".encode() for number in numbers]


def recorded(settings: Settings, name: str = "a") -> list[bytes]:
    return [item.chunks[1].data for item in read_cassette(settings.cassette_dir / f"{name}.yaml") or ()]


@pytest.mark.parametrize(
    ("explicit", "environment", "testing", "mode"),
    [
        ("all", "once", True, "all"),
        (None, "once", True, "once"),
        (None, None, True, "none"),
        (None, None, False, "off"),
    ],
)
def test_the_explicit_mode_wins_then_the_environment_then_the_occasion(
    settings: Settings, explicit: str | None, environment: str | None, testing: bool, mode: str
) -> None:
    assert resolve_mode(explicit, replace(settings, cassettes=environment, testing=testing)) == mode


def test_an_unknown_mode_is_refused(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="'twice' is unknown; use one of off, none, once"):
        resolve_mode("twice", settings)
    with pytest.raises(ConfigError), use("a", mode="twice"):
        pass


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../a", "a/../../b", "a\\b", "c:a", "a\0"])
def test_a_name_that_leads_out_of_the_folder_is_refused(
    settings: Settings, source: Source, name: str
) -> None:
    with pytest.raises(ConfigError, match="below the cassette folder"):
        wrap(source, name, settings=settings)
    with pytest.raises(ConfigError), use(name):
        pass


async def test_a_name_is_a_path_below_the_folder(settings: Settings, source: Source) -> None:
    await ask(source, settings, "A", name="jobs/explain", mode="once")
    await ask(source, settings, "A", name="jobs/plain.yaml", mode="once")

    assert sorted(path.name for path in (settings.cassette_dir / "jobs").iterdir()) == [
        "explain.yaml",
        "plain.yaml",
    ]


async def test_off_is_the_inner_transport_itself(settings: Settings, source: Source) -> None:
    transport = wrap(source, "a", settings=settings, mode="off")

    assert transport is source.transport
    assert wrap(source, None, settings=settings) is source.transport


NO_YAML = """
import sys
sys.modules["yaml"] = None
from aquila.cassette import use, wrap
from aquila.errors import ConfigError
from aquila.settings import read_settings
from aquila.transport.base import Request

settings = read_settings({})
with use("a", mode="off"):
    assert wrap(lambda: "inner", None, settings=settings) == "inner"
assert wrap(lambda: "inner", "a", settings=settings) == "inner"
try:
    wrap(lambda: "inner", "a", settings=settings, mode="none")
except ConfigError as error:
    print(error)
assert "vcr" not in sys.modules
"""


def test_production_needs_no_yaml_and_a_replay_says_what_it_needs() -> None:
    done = subprocess.run([sys.executable, "-c", NO_YAML], capture_output=True, text=True, check=True)

    assert done.stdout == "cassettes need PyYAML; pip install 'aquila-llm[cassettes]'\n"


async def test_none_replays_and_makes_no_transport(settings: Settings, source: Source) -> None:
    with pytest.raises(CassetteMissing):
        await ask(source, settings, "A")
    await ask(Source(), settings, "A", "A", mode="once")

    assert await ask(source, settings, "A", "A") == serials(1, 2)
    assert await ask(source, settings, "A") == serials(1), "each call has a player of its own"
    with pytest.raises(CassetteMismatch):
        await ask(source, settings, "B")
    assert source.made == 0


async def test_once_records_a_whole_call_where_there_is_no_file(settings: Settings, source: Source) -> None:
    assert await ask(source, settings, "A", "B", "A", mode="once") == serials(1, 2, 3)

    assert source.made == 1
    assert recorded(settings) == serials(1, 2, 3)


async def test_once_only_replays_a_file_that_was_there(settings: Settings, source: Source) -> None:
    await record(settings.cassette_dir / "a.yaml", EchoTransport(), *map(request, "ABA"))

    for _ in range(2):
        assert await ask(source, settings, "A", "B", "A", mode="once") == serials(1, 2, 3)
    with pytest.raises(CassetteMismatch):
        await ask(source, settings, "C", mode="once")
    assert source.made == 0


async def test_new_episodes_replays_what_it_has_and_records_the_rest(
    settings: Settings, source: Source
) -> None:
    await ask(source, settings, "A", mode="once")

    assert await ask(source, settings, "A", "B", "A", mode="new_episodes") == serials(1, 2, 3)

    assert recorded(settings) == serials(1, 2, 3)


async def test_all_records_again_in_the_place_of_equal_interactions(
    settings: Settings, source: Source
) -> None:
    await ask(source, settings, "A", "B", mode="once")

    assert await ask(source, settings, "A", "C", mode="all") == serials(3, 4)

    assert recorded(settings) == serials(3, 2, 4)


async def test_rewrite_begins_empty_and_then_appends(settings: Settings, source: Source) -> None:
    save(settings.cassette_dir / "a.yaml", interaction(request("Old")))

    await ask(source, settings, "A", mode="rewrite")
    await ask(source, settings, "B", mode="rewrite")

    assert recorded(settings) == serials(1, 2)


async def test_parallel_calls_with_one_name_lose_nothing(settings: Settings, source: Source) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(partial(ask, source, settings, f"prompt {number % 10}", mode="rewrite"))

    assert sorted(recorded(settings)) == sorted(serials(*range(1, 21)))


async def test_a_block_shares_one_player_among_its_calls_and_child_tasks(
    settings: Settings, source: Source
) -> None:
    await ask(Source(), settings, "A", "A", "A", mode="once")
    found: list[list[bytes]] = []

    async def child() -> None:
        found.append(await ask(source, settings, "A", name=None))

    with use("a"):
        await child()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
            tasks.start_soon(child)
        with pytest.raises(CassetteMismatch, match="already played"):
            await child()

    assert sorted(found) == [serials(1), serials(2), serials(3)]
    assert source.made == 0


async def test_blocks_nest_and_a_call_may_name_its_own(settings: Settings, source: Source) -> None:
    await ask(Source(), settings, "A", mode="once", name="outer")
    await ask(scripted_source(b"", b"inner"), settings, "A", mode="once", name="inner")
    await ask(scripted_source(b"", b"own"), settings, "A", mode="once", name="own")

    with use("outer"):
        with use("inner"):
            assert await ask(source, settings, "A", name=None) == [b"inner"]
            assert await ask(source, settings, "A", name="own") == [b"own"]
        assert await ask(source, settings, "A", name=None) == serials(1)
    assert await ask(source, settings, "A", name=None) == serials(1)
    assert source.made == 1


def scripted_source(*chunks: bytes) -> Source:
    source = Source()
    source.transport = scripted(*chunks)  # type: ignore[assignment]
    return source


async def test_a_block_records_and_keeps_an_answer_nobody_finished(
    settings: Settings, source: Source
) -> None:
    with use("a", mode="all"):
        response = await wrap(source, None, settings=settings).send(request())
        await anext(response.chunks)

    (found,) = read_cassette(settings.cassette_dir / "a.yaml") or ()
    assert found.end == "abandoned"
    await response.aclose()


async def test_a_cassette_transport_leaves_closing_to_the_owner_of_the_inner_one(
    tmp_path: Path, settings: Settings
) -> None:
    closed: list[bool] = []

    class Owned(EchoTransport):
        async def aclose(self) -> None:
            closed.append(True)

    transport = wrap(Owned, "a", settings=settings, mode="all")
    await read(transport, request())
    await transport.aclose()

    assert closed == []


async def test_the_record_transport_is_a_plain_all(tmp_path: Path, settings: Settings) -> None:
    await record(tmp_path / "a.yaml", EchoTransport(), request("A"))

    assert await ask(Source(), settings, "A") == serials(1)
