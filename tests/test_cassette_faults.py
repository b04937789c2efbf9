from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

import aquila
import aquila.testing
from aquila.cassette import Disconnect, Garble, ReplayTransport, SlowFirstByte, Status, Timeout, Truncate, use
from aquila.cassette.fault_plan import FaultPlan
from aquila.cassette.faults import Fault
from aquila.cassette.file.disk import read as read_cassette
from aquila.cassette.replay import Player
from aquila.errors import (
    AquilaError,
    ConfigError,
    ConnectionFailed,
    ConnectTimeout,
    FirstChunkTimeout,
    IdleTimeout,
    ProtocolError,
    RateLimitError,
    SilenceTimeout,
    StreamTruncated,
    TotalTimeout,
)
from tests.tapes import interaction, read, request
from tests.test_cassette_replay import save
from tests.wire import answer

CHUNKS = [(10 * place, data) for place, data in enumerate(answer("Hel", "lo", "!"), start=1)]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))


@pytest.fixture
def client(tmp_path: Path) -> aquila.Client:
    """A client whose requests are those of the cassette `a`: Hi twice, Ho once."""
    return aquila.Client(
        base_url="https://api.example.test/v1", api_key="example-credential-1", model="m", retry=2
    )


async def record_answers(client: aquila.Client, *prompts: str) -> None:
    scripted = aquila.testing.ScriptedTransport(aquila.testing.Answer(chunks=answer("Hel", "lo", "!")))
    with use("a", mode="rewrite"):
        for prompt in prompts:
            await client.ask(prompt, transport=scripted)


async def texts(stream: aquila.Stream) -> tuple[list[str], AquilaError | None]:
    """Give what was read, and the error it ended in."""
    seen: list[str] = []
    try:
        async with stream as entered:
            async for event in entered:
                seen += [event.text] if isinstance(event, aquila.Chunk) else []
    except AquilaError as error:
        return seen, error
    return seen, None


async def test_a_connection_breaks_after_so_many_chunks_and_what_had_come_is_kept(
    client: aquila.Client,
) -> None:
    await record_answers(client, "Hi")

    with use("a", mode="none", faults=[Disconnect(after_chunks=3)]):
        seen, error = await texts(client.stream("Hi"))

    assert isinstance(error, ConnectionFailed)
    assert seen == ["Hel", "lo"]
    assert error.partial is not None
    assert error.partial.text == "Hello"


async def test_a_fault_before_content_is_retried_and_the_retry_gets_the_recorded_answer(
    client: aquila.Client,
) -> None:
    await record_answers(client, "Hi")

    for fault in (Disconnect(), Disconnect(after_chunks=None), Status(code=503), Truncate(after_bytes=0)):
        with use("a", mode="none", faults=[fault]) as cassette:
            told = await client.ask("Hi")
        assert told.text == "Hello!", fault
        assert cassette.unplayed() == ()


async def test_a_status_carries_retry_after_and_its_back_off_takes_no_time_in_a_replay(
    client: aquila.Client,
) -> None:
    await record_answers(client, "Hi")
    began = time.monotonic()

    with use("a", mode="none", faults=[Status(code=429, retry_after=30)]):
        events = [event async for event in client.stream("Hi")]

    (again,) = [event for event in events if isinstance(event, aquila.Retrying)]
    assert again.delay == 30
    assert isinstance(again.error, RateLimitError)
    assert again.error.retry_after == 30
    assert time.monotonic() - began < 10


async def test_a_fault_strikes_as_often_as_it_says(client: aquila.Client) -> None:
    await record_answers(client, "Hi")

    with (
        use("a", mode="none", faults=[Status(code=500, times=3)]),
        pytest.raises(aquila.InternalServerError) as caught,
    ):
        await client.ask("Hi")

    assert caught.value.attempts == 3


@pytest.mark.parametrize(
    ("clock", "error", "attempts"),
    [
        ("connect", ConnectTimeout, 3),
        ("silence", SilenceTimeout, 1),
        ("first_chunk", FirstChunkTimeout, 1),
        ("idle", IdleTimeout, 1),
        ("total", TotalTimeout, 1),
    ],
)
async def test_each_clock_can_run_out(
    client: aquila.Client, clock: str, error: type[AquilaError], attempts: int
) -> None:
    await record_answers(client, "Hi")

    with (
        use("a", mode="none", faults=[Timeout(clock=clock, seconds=7, times=attempts)]),
        pytest.raises(error) as caught,
    ):  # type: ignore[arg-type]
        await client.ask("Hi")

    assert getattr(caught.value, "seconds", None) == 7
    assert caught.value.attempts == attempts


async def test_a_clock_can_run_out_in_the_middle(client: aquila.Client) -> None:
    await record_answers(client, "Hi")

    with use("a", mode="none", faults=[Timeout(clock="idle", after_chunks=2)]):
        seen, error = await texts(client.stream("Hi"))

    assert isinstance(error, IdleTimeout)
    assert seen == ["Hel"]


async def test_a_truncated_body_is_no_success(client: aquila.Client) -> None:
    await record_answers(client, "Hi")
    whole = b"".join(answer("Hel", "lo", "!"))
    cut = whole.index(b"lo")

    with use("a", mode="none", faults=[Truncate(after_bytes=cut)]):
        seen, error = await texts(client.stream("Hi"))

    assert isinstance(error, StreamTruncated)
    assert seen == ["Hel"]


async def test_garbled_bytes_are_no_success(client: aquila.Client) -> None:
    await record_answers(client, "Hi")

    with use("a", mode="none", faults=[Garble(chunk=2)]):
        seen, error = await texts(client.stream("Hi"))

    assert isinstance(error, ProtocolError)
    assert seen == ["Hel"]


async def test_a_slow_first_byte_trips_the_reader_s_own_clock(client: aquila.Client) -> None:
    await record_answers(client, "Hi")

    with use("a", mode="none", faults=[SlowFirstByte(seconds=30)]):
        seen, error = await texts(client.stream("Hi", timeout=aquila.Timeouts(first_chunk=0.05)))

    assert isinstance(error, FirstChunkTimeout)
    assert seen == []


@pytest.mark.parametrize("speed", [0.0, 1.0, 10.0])
async def test_a_slow_first_byte_is_slow_at_any_speed(tmp_path: Path, speed: float) -> None:
    path = save(tmp_path / "a.yaml", interaction(chunks=CHUNKS, total_ms=70))
    slept: list[float] = []
    now = [100.0]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    replay = ReplayTransport(
        path, speed=speed, faults=[SlowFirstByte(seconds=5)], clock=lambda: now[0], sleep=sleep
    )
    await read(replay, request())

    assert slept[0] == 5
    assert now[0] - 100 == pytest.approx(5 + (0.07 / speed if speed else 0))


async def test_a_fault_is_addressed_by_the_number_or_the_key_of_an_interaction(
    client: aquila.Client, tmp_path: Path
) -> None:
    await record_answers(client, "Hi", "Ho")
    _, second = read_cassette(tmp_path / "a.yaml") or ()
    for at in (2, second.key[:8]):
        with use("a", mode="none", faults=[Disconnect(after_chunks=2, interaction=at)]):
            assert (await texts(client.stream("Hi")))[1] is None
            assert isinstance((await texts(client.stream("Ho")))[1], ConnectionFailed)


async def test_a_file_is_not_changed_by_faults(client: aquila.Client, tmp_path: Path) -> None:
    await record_answers(client, "Hi")
    before = (tmp_path / "a.yaml").read_bytes()

    with use("a", mode="none", faults=[Garble(), Status(code=500)]):
        await texts(client.stream("Hi"))
        await texts(client.stream("Hi"))

    assert (tmp_path / "a.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Disconnect(interaction=0), "count from 1"),
        (lambda: Disconnect(interaction="abc"), "too short"),
        (lambda: Disconnect(times=0), "times=0"),
        (lambda: Timeout(clock="lunch"), "clock='lunch' is unknown; use one of connect"),  # type: ignore[arg-type]
        (lambda: Status(code=42), "code=42"),
        (lambda: Status(code=429, retry_after=-1), "retry_after=-1 must be 0 or more seconds"),
        (lambda: Disconnect(after_chunks=-1), "after_chunks=-1 must be a whole number, 0 or more"),
        (lambda: Timeout(after_chunks=-1), "after_chunks=-1"),
        (lambda: Timeout(seconds=-1), "seconds=-1"),
        (lambda: Truncate(after_bytes=-1), "after_bytes=-1"),
        (lambda: Garble(chunk=-1), "chunk=-1"),
        (lambda: SlowFirstByte(seconds=-1), "seconds=-1 must be 0 or more seconds"),
        (lambda: SlowFirstByte(seconds=float("nan")), "seconds=nan"),
        (lambda: FaultPlan(["429"]), "faults holds '429'; use Disconnect"),  # type: ignore[list-item]
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(make: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()  # type: ignore[operator]


def test_a_plan_tells_which_faults_have_not_struck() -> None:
    faults: Sequence[Fault] = (Disconnect(interaction=2), Garble(times=2))
    plan, answered = FaultPlan(faults), interaction(chunks=CHUNKS)

    assert plan.take(1, answered) is faults[1]
    assert plan.waiting() == faults
    assert plan.take(2, answered) is faults[0]
    assert plan.take(3, answered) is faults[1]
    assert plan.take(4, answered) is None
    assert plan.waiting() == ()


@pytest.mark.parametrize(
    "fault",
    [
        Disconnect(after_chunks=len(CHUNKS) + 1),
        Timeout(after_chunks=len(CHUNKS) + 1),
        Truncate(after_bytes=sum(len(data) for _, data in CHUNKS)),
        Garble(chunk=len(CHUNKS)),
        Garble(chunk=len(CHUNKS) - 1),
        SlowFirstByte(seconds=0),
    ],
)
def test_a_fault_that_would_change_nothing_has_not_struck(fault: Fault) -> None:
    no_quotation_mark = (70, b"data: [DONE]\n\n")
    plan = FaultPlan([fault])

    assert plan.take(1, interaction(chunks=[*CHUNKS[:-1], no_quotation_mark])) is None
    assert plan.waiting() == (fault,)


async def test_an_interaction_that_a_fault_gave_back_counts_once(tmp_path: Path) -> None:
    path = save(tmp_path / "a.yaml", interaction(chunks=CHUNKS, cost_usd=Decimal("0.25")))
    player = Player(path, faults=[Status(code=503, times=2)])

    statuses = [player.claim(request()).interaction.status for _ in range(3)]

    assert statuses == [503, 503, 200]
    assert (player.plays, player.saved_usd) == (1, Decimal("0.25"))
