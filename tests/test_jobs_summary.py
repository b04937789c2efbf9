from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from job_model import Model, followed, text_of
from job_workers import WorkerProcess, until, until_state, working

import jobs
from aquila.errors import ConfigError, ConnectionFailed
from aquila.response import Response
from jobs.broker import runtime
from jobs.chunking import count_tokens
from jobs.summary import Summariser
from jobs.tables import steps

pytest_plugins = ["job_fixtures"]

#: Nine paragraphs of 25 tokens.
DOCUMENT = "\n\n".join(f"Paragraph {number}. " + "word " * 17 for number in range(9))
PART = re.compile(r"part (\d+) of (\d+)")


def say(prompt: str) -> str:
    """Summarise as a model would: shortly."""
    found = PART.search(prompt)
    return f"s{found[1]}" if found else "The whole."


class Asked:
    def __init__(self, answer: str = "short") -> None:
        self.prompts: list[str] = []
        self.answer = answer

    async def ask(self, prompt: str) -> Response:
        self.prompts.append(prompt)
        return Response(text=self.answer)


async def test_a_text_that_fits_is_summarised_in_one_call() -> None:
    asked = Asked()

    summary = await Summariser(asked.ask, 100).summarise("A text.")

    assert (summary.response.text, summary.chunks) == ("short", 1)
    assert asked.prompts == ["Summarise the following:\n\nA text."]


@pytest.mark.parametrize("text", [5, None, ["a"], b"a"])
async def test_what_is_no_text_is_refused_before_anything_is_asked(text: Any) -> None:
    asked = Asked()

    with pytest.raises(ConfigError, match=f"text: a summary is made of a text, not of {type(text).__name__}"):
        await Summariser(asked.ask, 100).summarise(text)

    assert asked.prompts == []


async def test_a_long_text_is_read_in_parts_and_their_summaries_become_one() -> None:
    asked = Asked()

    summary = await Summariser(asked.ask, 80).summarise(DOCUMENT)

    assert summary.chunks == 3
    *parts, last = asked.prompts
    assert [PART.findall(prompt) for prompt in parts] == [[(str(number), "3")] for number in (1, 2, 3)]
    read = "\n\n".join(prompt.partition(":\n\n")[2] for prompt in parts)
    assert read.split() == DOCUMENT.split()
    assert all(count_tokens(prompt) <= 80 + 20 for prompt in parts)
    assert last.endswith("summaries of the parts of one text:\n\nshort\n\nshort\n\nshort")


async def test_summaries_that_are_too_long_together_are_summarised_in_groups_first() -> None:
    asked = Asked("word " * 20)

    summary = await Summariser(asked.ask, 60).summarise(DOCUMENT * 2)

    assert summary.chunks == 9
    assert sum("neighbouring" in prompt for prompt in asked.prompts) == 4 + 2 + 1
    assert "summaries of the parts" in asked.prompts[-1]
    assert len(asked.prompts) == 9 + 7 + 1


async def test_summaries_longer_than_any_prompt_come_to_an_end() -> None:
    asked = Asked("word " * 1000)

    await Summariser(asked.ask, 1).summarise("a b c d e f g h i j " * 3)

    assert "summaries of the parts" in asked.prompts[-1]


async def test_an_error_in_a_part_is_the_summary_s() -> None:
    async def ask(prompt: str) -> Response:
        raise ConnectionFailed("away")

    with pytest.raises(ConnectionFailed):
        await Summariser(ask, 30).summarise(DOCUMENT)


@pytest.mark.parametrize("chunk_tokens", [0, -1, True, 2.5])
async def test_a_chunk_that_holds_nothing_is_refused(chunk_tokens: int) -> None:
    with pytest.raises(ConfigError, match=r"chunk_tokens=.* must be a whole number from 1, or None"):
        await jobs.generate_summary("A text.", chunk_tokens=chunk_tokens)


@pytest.mark.usefixtures("place")
async def test_only_the_last_summary_is_heard_and_it_is_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(say)
    async with model.serving(monkeypatch), working():
        handle = await jobs.generate_summary.asend(DOCUMENT, "doc-1", chunk_tokens=50, max_output_tokens=30)
        assert await handle.aresult(timeout=20) == "The whole."
        seen = await followed(handle.job_id)

    assert text_of(seen) == seen[-1].output == "The whole."
    job = await handle.ajob()
    assert job.output == "The whole."
    assert {name: job.metadata[name] for name in ("chunks_done", "chunks")} == {"chunks_done": 5, "chunks": 5}
    assert job.usage is not None
    assert job.usage["input_tokens"] == 6 * 7
    assert model.most_at_once == 4
    assert {(body["max_tokens"], body["temperature"]) for body in model.bodies} == {(30, 0.0)}
    assert all(
        body["messages"][0]["content"] == "Write a concise executive summary." for body in model.bodies
    )
    told = [event.data["data"] for event in seen if event.data.get("name") == "progress"]
    assert [told[0], told[-1]] == [{"chunks_done": 0, "chunks": 5}, {"chunks_done": 5, "chunks": 5}]
    assert all(event.data["meta"] == {"job_id": handle.job_id, "document_id": "doc-1"}
               for event in seen if event.type == "run_started")  # fmt: skip


@pytest.mark.usefixtures("place")
async def test_a_worker_that_is_killed_has_no_part_summarised_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = Model(say)
    model.holds = lambda prompt: "part 3 of" in prompt
    async with model.serving(monkeypatch):
        handle = await jobs.generate_summary.asend(DOCUMENT, chunk_tokens=50)
        with WorkerProcess(tmp_path) as worker:
            await until(
                lambda: count_steps(handle.job_id) == 4 and any("part 3 of" in p for p in model.asked)
            )
            worker.kill()
        model.go_on.set()
        async with working():
            assert await handle.aresult(timeout=20) == "The whole."

    assert sorted(PART.findall(prompt)[0][0] for prompt in model.asked[:-1]) == ["1", "2", "3", "3", "4", "5"]
    assert (await handle.ajob()).attempt == 2


@pytest.mark.usefixtures("place")
async def test_a_part_that_fails_leaves_the_others_to_the_next_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fails = ["400 Bad Request"]
    model = Model(lambda prompt: fails[0] if fails and "part 2 of" in prompt else say(prompt))
    async with model.serving(monkeypatch), working():
        handle = await jobs.generate_summary.asend(DOCUMENT, chunk_tokens=50)
        await until_state(handle, "discarded")
        fails.clear()
        assert await handle.aretry()
        assert await handle.aresult(timeout=20) == "The whole."

    assert max(model.times.values()) == 2
    assert [prompt for prompt, times in model.times.items() if times == 2] == [
        prompt for prompt in model.times if "part 2 of" in prompt
    ]


def count_steps(job_id: str) -> int:
    rows = (
        runtime()
        .database()
        .read(lambda connection: connection.execute(steps.select().where(steps.c.job_id == job_id)).all())
    )
    return len(rows)
