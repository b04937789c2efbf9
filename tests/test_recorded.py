"""What the local model really said, replayed with no model at all."""

from __future__ import annotations

import json

import pytest

import aquila
import jobs
from aquila.events import Event
from aquila.transport import LocalTransport, OpenAITransport
from aquila.transport.base import Request
from tests.project_cassettes import ROOT

pytestmark = pytest.mark.usefixtures("project_cassettes")

DEFAULTS: dict[str, object] = {"model": "local", "temperature": 0.0, "max_output_tokens": 60}


@pytest.fixture(autouse=True)
def no_transport(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    """A replay that reaches for a real transport fails."""

    async def refuse(self: object, request: Request) -> None:
        raise AssertionError(f"a replay sent a request to {request.url}")

    if not pytestconfig.getoption("--aquila-record"):
        monkeypatch.setattr(LocalTransport, "send", refuse)
        monkeypatch.setattr(OpenAITransport, "send", refuse)


async def test_text() -> None:
    answer = await aquila.Client(**DEFAULTS).ask(  # type: ignore[arg-type]
        "What is a lighthouse?", instructions="Answer in one sentence.", cassette="client/text"
    )

    assert "lighthouse" in answer.text.lower()
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.output_tokens


async def test_text_comes_in_the_chunks_in_which_it_was_recorded() -> None:
    stream = aquila.stream("Count from one to ten.", cassette="client/chunks", **DEFAULTS)  # type: ignore[arg-type]

    chunks = [event.text async for event in stream if isinstance(event, aquila.Chunk)]

    assert len(chunks) > 10
    assert "".join(chunks) == (await stream).text


async def test_an_answer_of_few_tokens_is_cut_and_says_so() -> None:
    answer = await aquila.ask(
        "Tell a long story.", model="local", temperature=0.0, max_output_tokens=5, cassette="client/cut"
    )

    assert (answer.status, answer.finish_reason) == ("incomplete", "length")


async def test_a_conversation_goes_on() -> None:
    client = aquila.Client(**DEFAULTS, cassette="client/conversation")  # type: ignore[arg-type]

    first = await client.ask("Name one ocean.")
    second = await client.ask("Name another one.", messages=first.messages)

    assert second.text != first.text
    assert [message.role for message in second.messages] == ["user", "assistant", "user", "assistant"]


async def test_json_that_follows_a_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "country": {"type": "string"}},
        "required": ["city", "country"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": schema}}

    answer = await aquila.ask(
        "Paris is the capital of France. Give the city and the country.",
        extra_body={"response_format": form},
        cassette="client/schema",
        **DEFAULTS,  # type: ignore[arg-type]
    )

    assert set(json.loads(answer.text)) == {"city", "country"}


async def test_sinks_see_what_the_reader_sees() -> None:
    seen: list[Event] = []

    stream = aquila.stream(
        "Say hello.",
        sink=aquila.sink.callback(seen.append),
        cassette="client/sinks",
        **DEFAULTS,  # type: ignore[arg-type]
    )

    assert [event async for event in stream] == seen


async def test_a_summary_job_replays_what_the_model_said_of_the_demo_s_document() -> None:
    document = (ROOT / "examples" / "library.txt").read_text()

    summary = await jobs.generate_summary(document, model="local")

    assert "library" in summary


async def test_a_prompt_job_replays_too() -> None:
    text = await jobs.stream_prompt(
        "What is a lighthouse?", model="local", temperature=0.0, max_output_tokens=60
    )

    assert "lighthouse" in text.lower()
