from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from forms import read_form
from job_model import followed, text_of
from job_workers import until_state, working
from wire import Connection, event, serve

import jobs.llm
from aquila.errors import ConfigError
from jobs.transcription import Transcriber

pytest_plugins = ["job_fixtures"]

SOUND = b"ID3\x00\xff\r\n"
SEGMENTS = [
    {"id": "seg_1", "start": 0.0, "end": 1.5, "speaker": "A", "text": "Hello,"},
    {"id": "seg_2", "start": 1.5, "end": 2.0, "speaker": "B", "text": "world."},
]
STREAMED = [
    event({"type": "transcript.text.delta", "delta": "Hello, "}),
    *(event({"type": "transcript.text.segment", **segment}) for segment in SEGMENTS),
    event({"type": "transcript.text.delta", "delta": "world."}),
    event({"type": "transcript.text.done", "text": "Hello, world.",
           "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 4, "total_tokens": 18}}),
]  # fmt: skip


@pytest.fixture
def sound(tmp_path: Path) -> str:
    path = tmp_path / "talk.mp3"
    path.write_bytes(SOUND)
    return str(path)


@asynccontextmanager
async def provider(
    monkeypatch: pytest.MonkeyPatch, whole: dict[str, Any] | None = None
) -> AsyncIterator[list[dict[str, Any]]]:
    """Write down every sound; gives the forms that came."""
    forms: list[dict[str, Any]] = []

    async def handler(connection: Connection) -> None:
        kind = next(
            line.partition(": ")[2]
            for line in connection.head.splitlines()
            if line.lower().startswith("content-type")
        )
        parts = read_form(kind, connection.body)
        forms.append(
            {facts["name"]: data for facts, _, data in parts} | {"filename": parts[-1][0]["filename"]}
        )
        if whole is None:
            connection.play(STREAMED)
        else:
            connection.start(kind="application/json")
            connection.send(json.dumps(whole).encode())
            connection.end()

    async with serve(handler) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield forms


@pytest.mark.usefixtures("place")
async def test_a_sound_file_becomes_text_and_is_heard_live(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sound: str
) -> None:
    async with provider(monkeypatch) as forms, working():
        with caplog.at_level(logging.INFO, "jobs"):
            handle = await jobs.llm.transcribe.asend(
                sound, language="en", prompt="Aquila", extra_body={"temperature": 0}
            )
            assert await handle.aresult(timeout=20) == "Hello, world."
        seen = await followed(handle.job_id)

    assert [event.text for event in seen if event.text] != []
    assert text_of(seen) == seen[-1].output == "Hello, world."
    assert forms == [
        {"model": b"gpt-transcribe", "language": b"en", "prompt": b"Aquila", "stream": b"true", "temperature": b"0",
         "file": SOUND, "filename": "talk.mp3"}
    ]  # fmt: skip
    usage = (await handle.ajob()).usage
    assert usage is not None
    assert usage["total_tokens"] == 18
    assert f"sound_transcribed job_id={handle.job_id} characters=13 segments=2" in caplog.text


@pytest.mark.usefixtures("place")
async def test_pieces_with_speakers_come_where_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, sound: str
) -> None:
    async with provider(monkeypatch) as forms, working():
        handle = await jobs.llm.transcribe.asend(sound, "m", response_format="diarized_json")
        result = await handle.aresult(timeout=20)

    assert result == {"text": "Hello, world.", "segments": SEGMENTS}
    assert forms[0]["response_format"] == b"diarized_json"


async def test_a_model_that_does_not_stream_gives_all_at_its_end(
    monkeypatch: pytest.MonkeyPatch, sound: str
) -> None:
    monkeypatch.setenv("AQUILA_CASSETTES", "off")
    async with provider(monkeypatch, {"text": "Hello, world.", "segments": SEGMENTS}):
        assert await jobs.llm.transcribe(sound) == "Hello, world."
        assert await jobs.llm.transcribe(sound, response_format="verbose_json") == {
            "text": "Hello, world.", "segments": SEGMENTS,
        }  # fmt: skip


@pytest.mark.usefixtures("place")
async def test_a_file_that_is_not_there_ends_the_job_and_is_named() -> None:
    async with working():
        handle = await jobs.llm.transcribe.asend("/nowhere/talk.mp3")
        await until_state(handle, "discarded")

    error = (await handle.ajob()).errors[-1]
    assert error["message"] == (
        "audio: '/nowhere/talk.mp3' cannot be read where the worker is (No such file or directory); "
        "give a path that is the same on every machine with workers"
    )


async def test_a_file_that_is_too_large_is_not_sent(sound: str) -> None:
    with pytest.raises(
        ConfigError, match=r"talk.mp3' has more than max_bytes=6; send it in pieces, or compressed"
    ):
        await jobs.llm.transcribe(sound, max_bytes=6)


def test_a_format_that_cannot_be_streamed_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="response_format='srt' must be one of json, verbose_json, diarized_json"
    ):
        Transcriber(response_format="srt")


@pytest.mark.parametrize(
    ("audio", "options", "said"),
    [
        (None, {}, "audio=None must be the path"),
        (5, {}, "audio=5 must be the path"),
        ("", {}, "audio='' must be the path"),
        ("talk.mp3", {"max_bytes": "6"}, "max_bytes='6' must be a whole number"),
        ("talk.mp3", {"max_bytes": 0}, "max_bytes=0 must be a whole number"),
        ("talk.mp3", {"extra_body": [1]}, r"extra_body=\[1\] must be a dict"),
    ],
)
async def test_an_argument_that_cannot_be_used_is_named(
    audio: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        await jobs.llm.transcribe(audio, **options)
