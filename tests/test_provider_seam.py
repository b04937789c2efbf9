"""The gates that a context's requests pass: below retries, below cassettes, told of every answer and its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import pytest

import aquila
from aquila.errors import AquilaError, ConnectionFailed, RateLimitError
from aquila.events import Chunk, Event, UsageUpdate
from aquila.lessons import lessons_of
from aquila.testing import Answer, ScriptedTransport
from aquila.transport import BorrowedTransport, Request
from aquila.transport.gated import GatedTransport, behind_gates
from aquila.transport.gates import Fate, gated
from tests import wire

QUICK = aquila.Retry(max_retries=1, min_backoff=0.001)


class Counter:
    """A gate that writes down what it hears."""

    def __init__(self, *, ends_at: int | None = None, refuses: bool = False) -> None:
        self.heard: list[str] = []
        self.events: list[Event] = []
        self.whole = False
        self.requests: list[tuple[Request, str]] = []
        self._ends_at = ends_at
        self._refuses = refuses

    async def enter(self, request: Request, base_url: str) -> Counter:
        if self._refuses:
            raise RateLimitError("no", status_code=429)
        self.requests.append((request, base_url))
        self.heard.append("enter")
        return self

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        self.heard.append(f"{status}")

    def note(self, events: Sequence[Event], *, whole: bool) -> None:
        self.events += events
        self.whole = whole
        if whole or self._ends_at is None:
            return
        if sum(isinstance(event, Chunk) for event in self.events) >= self._ends_at:
            raise AquilaError("enough")

    def close(self, fate: Fate) -> None:
        self.heard.append(fate)


async def test_a_request_passes_the_gate_and_the_permit_hears_of_its_answer() -> None:
    counter = Counter()
    with gated(counter):
        response = await aquila.ask("hi", model="m", transport=ScriptedTransport(Answer.text("a", "b")))

    assert response.text == "ab"
    assert counter.heard == ["enter", "200", "answered"]
    assert [str(event) for event in counter.events if isinstance(event, Chunk)] == ["a", "b"]
    assert [event.usage.total_tokens for event in counter.events if isinstance(event, UsageUpdate)] == [3]
    request, base_url = counter.requests[0]
    assert request.model == "m"
    assert request.url.startswith(base_url)


async def test_outside_of_the_block_nothing_is_gated() -> None:
    counter = Counter()
    with gated(counter):
        pass
    await aquila.ask("hi", model="m", transport=ScriptedTransport(Answer.text("a")))

    assert counter.heard == []


async def test_a_repeated_request_passes_the_gate_again() -> None:
    counter = Counter()
    script = ScriptedTransport(ConnectionFailed("down"), Answer.text("a"))
    with gated(counter):
        await aquila.ask("hi", model="m", transport=script, retry=QUICK)

    assert counter.heard == ["enter", "refused", "enter", "200", "answered"]


async def test_an_error_status_is_a_refusal() -> None:
    counter = Counter()
    with gated(counter), pytest.raises(RateLimitError):
        await aquila.ask("hi", model="m", transport=ScriptedTransport(Answer(status=429)), retry=0)

    assert counter.heard == ["enter", "429", "refused"]


async def test_a_gate_that_refuses_keeps_the_request_from_being_sent_and_the_gates_before_it_hear_so() -> (
    None
):
    before, script = Counter(), ScriptedTransport(Answer.text("a"))
    with gated(before), gated(Counter(refuses=True)), pytest.raises(RateLimitError):
        await aquila.ask("hi", model="m", transport=script, retry=0)

    assert script.requests == []
    assert before.heard == ["enter", "unsent"]


async def test_a_permit_that_has_enough_ends_the_answer_behind_what_came() -> None:
    counter, script = Counter(ends_at=2), ScriptedTransport(Answer.text("a", "b", "c", "d"))
    seen: list[str] = []
    with gated(counter), pytest.raises(AquilaError, match="enough") as caught:
        async for event in aquila.stream("hi", model="m", transport=script):
            seen += [event.text] if isinstance(event, Chunk) else []

    assert seen == ["a", "b"]
    assert caught.value.partial is not None
    assert caught.value.partial.text == "ab"
    assert (script.open, counter.heard[-1]) == (0, "answered")


async def test_a_whole_answer_stays_whole() -> None:
    counter = Counter(ends_at=1)
    script = ScriptedTransport(Answer(chunks=[b"".join(wire.answer("a", "b"))]))
    with gated(counter):
        assert (await aquila.ask("hi", model="m", transport=script)).text == "ab"
    assert counter.whole


async def test_a_stream_that_its_reader_leaves_is_told_as_answered() -> None:
    counter = Counter()
    with gated(counter):
        async with aquila.stream(
            "hi", model="m", transport=ScriptedTransport(Answer.text("a", "b"))
        ) as stream:
            async for event in stream:
                if isinstance(event, Chunk):
                    break

    assert counter.heard == ["enter", "200", "answered"]


async def test_a_reader_that_is_cancelled_before_an_answer_has_abandoned_its_request() -> None:
    class Slow(ScriptedTransport):
        async def send(self, request: Request) -> None:  # type: ignore[override]
            await anyio.sleep_forever()

    counter = Counter()
    with gated(counter), anyio.move_on_after(0.05):
        await aquila.ask("hi", model="m", transport=Slow())

    assert counter.heard == ["enter", "abandoned"]


async def test_a_replay_passes_no_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    counter, script = Counter(), ScriptedTransport(Answer.text("a"))
    with gated(counter):
        with aquila.cassette.use("tape", mode="rewrite"):
            recorded = await aquila.ask("hi", model="m", transport=script)
        heard = list(counter.heard)
        with aquila.cassette.use("tape", mode="none"):
            replayed = await aquila.ask("hi", model="m", transport=script)

    assert (recorded.text, replayed.text, len(script.requests)) == ("a", "a", 1)
    assert heard == counter.heard == ["enter", "200", "answered"]


async def test_an_embedding_passes_the_gate() -> None:
    counter = Counter()
    body = b'{"data": [{"index": 0, "embedding": [1.0]}], "model": "e"}'
    script = ScriptedTransport(Answer(headers={"content-type": "application/json"}, chunks=[body]))
    with gated(counter):
        await aquila.embed("hi", transport=script)

    assert counter.heard == ["enter", "200", "answered"]


def test_without_gates_a_transport_is_itself_and_with_them_it_has_the_same_lessons() -> None:
    lasting = ScriptedTransport()
    borrowed = BorrowedTransport(lasting)
    assert behind_gates(borrowed, "http://x") is borrowed
    with gated(Counter()):
        present = behind_gates(borrowed, "http://x")

    assert isinstance(present, GatedTransport)
    assert lessons_of(present) is lessons_of(borrowed)
