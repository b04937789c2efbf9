from __future__ import annotations

import contextlib
import pickle
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette import RecordTransport, ReplayTransport
from aquila.cassette.file.disk import make_folder, write
from aquila.cassette.file.format import assemble, render
from aquila.cassette.interaction import Interaction
from aquila.errors import (
    AquilaError,
    CassetteError,
    CassetteMismatch,
    CassetteMissing,
    ConfigError,
    ConnectionFailed,
    ConnectTimeout,
)
from aquila.testing import Answer, ScriptedTransport
from tests.tapes import HELLO, EchoTransport, interaction, read, record, replay, request, scripted


def save(path: Path, *interactions: Interaction) -> Path:
    make_folder(path)
    write(path, assemble(render(item) for item in interactions))
    return path


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.late = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + self.late


async def test_a_replay_gives_what_was_recorded(tmp_path: Path) -> None:
    inner = ScriptedTransport(
        Answer(status=503, headers={"retry-after": "2"}, chunks=[b"busy"]), Answer(chunks=HELLO)
    )
    recorded = await record(tmp_path / "a.yaml", inner, request(), request())
    transport = ReplayTransport(tmp_path / "a.yaml")

    first = await transport.send(request())
    assert (first.status, first.headers) == (503, {"retry-after": "2"})
    assert [chunk async for chunk in first.chunks] == recorded[0]
    assert await read(transport, request()) == recorded[1] == list(HELLO)
    assert len(inner.requests) == 2
    await transport.aclose()


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=1, max_size=100), st.lists(st.integers(0, 100), max_size=5))
def test_any_chunks_survive_recording_and_replaying(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, cuts: list[int]
) -> None:
    bounds = [0, *sorted(cut for cut in cuts if cut < len(body)), len(body)]
    chunks = [body[start:end] for start, end in pairwise(bounds)]
    path = tmp_path_factory.mktemp("tapes") / "a.yaml"

    async def both() -> list[list[bytes]]:
        await record(path, scripted(*chunks), request())
        return await replay(path, request())

    assert anyio.run(both) == [chunks]


async def test_an_instant_replay_waits_for_nothing_but_lets_others_run(tmp_path: Path) -> None:
    path = save(tmp_path / "a.yaml", interaction(chunks=[(60_000, b"a"), (90_000, b"b")], total_ms=90_000))
    seen: list[bytes] = []

    async def watch() -> None:
        while len(seen) < 2:
            order.append(len(seen))
            await anyio.lowlevel.checkpoint()

    order: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        response = await ReplayTransport(path).send(request())
        while (chunk := await anext(response.chunks, None)) is not None:
            seen.append(chunk)

    assert set(order) == {0, 1}


@pytest.mark.parametrize(
    ("speed", "times"), [(1, [0.02, 0.03, 0.13, 0.2]), (10, [0.002, 0.003, 0.013, 0.02])]
)
async def test_a_timed_replay_keeps_one_absolute_schedule(
    tmp_path: Path, speed: float, times: list[float]
) -> None:
    path = save(tmp_path / "a.yaml", interaction(chunks=[(30, b"a"), (130, b"b")], head_ms=20, total_ms=200))
    time = Time()
    transport = ReplayTransport(path, speed=speed, clock=time.clock, sleep=time.sleep)

    response = await transport.send(request())
    seen = [time.now - 100]
    while await anext(response.chunks, None) is not None:
        seen.append(time.now - 100)

    assert [*seen, time.now - 100] == pytest.approx(times)


async def test_lateness_does_not_add_up(tmp_path: Path) -> None:
    path = save(
        tmp_path / "a.yaml", interaction(chunks=[(100 * n, b"x") for n in range(1, 11)], total_ms=1000)
    )
    time = Time()
    time.late = 0.05

    await read(ReplayTransport(path, speed=1, clock=time.clock, sleep=time.sleep), request())

    assert time.now - 100 < 1.1


@pytest.mark.parametrize(
    "error",
    [ConnectionFailed("no route to host"), ConnectTimeout("no connection within 10 s", seconds=10.0)],
    ids=["ConnectionFailed", "ConnectTimeout"],
)
async def test_a_failed_connection_fails_again(tmp_path: Path, error: AquilaError) -> None:
    with contextlib.suppress(type(error)):
        await record(tmp_path / "a.yaml", ScriptedTransport(error), request())

    with pytest.raises(type(error)) as caught:
        await replay(tmp_path / "a.yaml", request())

    assert str(caught.value) == str(error)
    assert getattr(caught.value, "seconds", None) == getattr(error, "seconds", None)


async def test_a_broken_connection_breaks_again_after_the_same_chunks(tmp_path: Path) -> None:
    with contextlib.suppress(ConnectionFailed):
        await record(tmp_path / "a.yaml", scripted(HELLO[0], ConnectionFailed("reset by peer")), request())
    response = await ReplayTransport(tmp_path / "a.yaml").send(request())

    assert await anext(response.chunks) == HELLO[0]
    with pytest.raises(ConnectionFailed, match="reset by peer"):
        await anext(response.chunks)


async def test_a_reader_may_stop_where_it_stopped_but_not_read_on(tmp_path: Path) -> None:
    recording = await RecordTransport(scripted(*HELLO), tmp_path / "a.yaml").send(request())
    await anext(recording.chunks)
    await recording.aclose()

    response = await ReplayTransport(tmp_path / "a.yaml").send(request())
    assert await anext(response.chunks) == HELLO[0]
    with pytest.raises(CassetteError, match=r"ended by its reader after 1 chunk, .*=rewrite"):
        await anext(response.chunks)
    await response.aclose()
    assert [chunk async for chunk in response.chunks] == []


async def test_a_missing_file_is_told_with_how_to_record_it(tmp_path: Path) -> None:
    with pytest.raises(CassetteMissing) as caught:
        await replay(tmp_path / "a.yaml", request())

    said = str(caught.value)
    assert f"{tmp_path / 'a.yaml'} does not exist; record it: pytest tests/test_cassette_replay.py::" in said
    assert said.endswith("test_a_missing_file_is_told_with_how_to_record_it --aquila-record=once")
    assert caught.value.reason == "cassette_not_found"


async def test_outside_of_pytest_the_command_is_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")

    with pytest.raises(CassetteMissing, match=r"AQUILA_CASSETTES=once <your command>$"):
        await replay(tmp_path / "a.yaml", request())


async def test_a_drifted_prompt_is_told_with_its_words(tmp_path: Path) -> None:
    path = save(tmp_path / "a.yaml", interaction(request("Answer in English", seed=1)))

    with pytest.raises(CassetteMismatch) as caught:
        await replay(path, request("Answer in French", seed=2))

    said = str(caught.value)
    assert "the nearest is 1, which differs in $.messages[0].content: at character 10: Answer in " in said
    assert "[-English-]{+French+} (and 1 more)" in said
    assert "test_a_drifted_prompt_is_told_with_its_words --aquila-record=rewrite" in said
    assert (caught.value.reason, caught.value.number) == ("no_match", 1)
    assert caught.value.diff.splitlines()[1] == "$.seed: 1 -> 2"
    assert pickle.loads(pickle.dumps(caught.value)).__notes__ == [caught.value.diff]  # noqa: S301
    assert not caught.value.retryable


async def test_a_request_sent_too_often_is_told_apart_from_a_drifted_one(tmp_path: Path) -> None:
    path = save(tmp_path / "a.yaml", interaction(request("Other")), interaction())

    with pytest.raises(CassetteMismatch, match="equals interaction 2, which is already played"):
        await replay(path, request(), request())


async def test_an_empty_list_of_interactions_matches_nothing(tmp_path: Path) -> None:
    with pytest.raises(CassetteMismatch, match="holds no interactions"):
        await replay(save(tmp_path / "a.yaml"), request())


async def test_a_broken_file_is_not_a_missing_one(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "version: 1\ninteractions: [\n")

    with pytest.raises(CassetteError, match=r"a\.yaml, line 3: not valid YAML"):
        await replay(tmp_path / "a.yaml", request())


async def test_fifty_parallel_requests_get_each_answer_once(tmp_path: Path) -> None:
    prompts = [f"prompt {number % 25}" for number in range(50)]
    recorded = await record(tmp_path / "a.yaml", EchoTransport(), *(request(prompt) for prompt in prompts))
    transport = ReplayTransport(tmp_path / "a.yaml")
    answers: dict[int, list[bytes]] = {}

    async def ask(number: int) -> None:
        answers[number] = await read(transport, request(prompts[number]))

    async with anyio.create_task_group() as tasks:
        for number in reversed(range(50)):
            tasks.start_soon(ask, number)

    assert sorted(answers.values()) == sorted(recorded)
    for number in range(25):
        # Equal requests are answered first in, first out: the later number has asked first.
        assert answers[number + 25] == recorded[number]
        assert answers[number] == recorded[number + 25]


def test_a_negative_speed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="speed=-1"):
        ReplayTransport(tmp_path / "a.yaml", speed=-1)
