from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
import pytest

import aquila
from aquila.events import Chunk, Done, Started, ToolResult, Unknown
from aquila.response import Response
from aquila.sink import file
from aquila.testing import Answer, ScriptedTransport
from tests import wire

START, END = Started("run", "m"), Done(Response())


def scripted(*texts: str) -> ScriptedTransport:
    return ScriptedTransport(Answer(chunks=wire.answer(*texts)))


async def test_a_text_file_holds_the_answer_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "answer.txt"
    path.write_text("older")

    answer = await aquila.stream("hi", transport=scripted("Grüße,\r\n", "Welt"), sink=file(path))

    assert path.read_bytes().decode() == answer.text == "Grüße,\r\nWelt"


async def test_each_event_is_in_the_file_when_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "answer.txt"
    sink = file(path)
    seen: list[str] = []

    for event in (START, Chunk("a"), Chunk("b")):
        await sink.emit(event)
        seen.append(path.read_text())
    await sink.aclose()

    assert seen == ["", "a", "ab"]


async def test_a_jsonl_file_holds_each_event_on_a_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    answer = await aquila.stream("hi", transport=scripted("a\nb", "ü"), sink=file(path, format="jsonl"))

    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert events[0]["type"] == "started"
    assert [event["text"] for event in events if event["type"] == "chunk"] == ["a\nb", "ü"]
    assert events[-1] == {"type": "done", "response": json.loads(json.dumps(answer.to_dict()))}
    assert '"text":"ü"' in path.read_text()


async def test_what_is_no_json_and_no_utf8_still_makes_a_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    sink = file(path, format="jsonl")

    await sink.emit(Unknown(MappingProxyType({"path": tmp_path})))
    await sink.emit(ToolResult("1", "f", "\ud800"))
    await sink.aclose()

    unknown, result = map(json.loads, path.read_text().splitlines())
    assert unknown["raw"] == {"path": str(tmp_path)}
    assert result["output"] == "\ud800"


async def test_append_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "answers.txt"
    path.write_text("older\n")

    await aquila.stream("hi", transport=scripted("newer"), sink=file(path, append=True))

    assert path.read_text() == "older\nnewer"


async def test_the_second_run_of_one_sink_comes_behind_the_first(tmp_path: Path) -> None:
    path = tmp_path / "answers.txt"
    sink = file(path)

    for text in ("one", "two"):
        await aquila.stream("hi", transport=scripted(text), sink=sink)
    await sink.aclose()
    await sink.aclose()

    assert path.read_text() == "onetwo"


@pytest.mark.parametrize("form", ["text", "jsonl"])
async def test_a_missing_folder_is_told_once_with_path_and_remedy_and_the_run_goes_on(
    tmp_path: Path, form: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "missing" / "answer"

    with caplog.at_level(logging.ERROR, "aquila"):
        answer = await aquila.stream("hi", transport=scripted("a", "b"), sink=file(path, format=form))

    assert answer.text == "ab"
    assert len(caplog.records) == 1
    assert f"cannot write {path}" in caplog.text
    assert f"make the folder {path.parent} first" in caplog.text


async def test_a_strict_file_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(aquila.ConfigError, match="it is a folder; name a file in it"):
        await aquila.stream("hi", transport=scripted("a"), sink=file(tmp_path, strict=True))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")  # noqa: PTH110
async def test_a_full_disk_is_told_once_and_the_next_run_tries_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = file("/dev/full")

    with caplog.at_level(logging.ERROR, "aquila"):
        for _ in range(2):
            answer = await aquila.stream("hi", transport=scripted("a", "b"), sink=sink)

    assert answer.text == "ab"
    assert len(caplog.records) == 2
    assert "cannot write /dev/full: No space left on device; make room" in caplog.text


async def test_a_write_that_hangs_does_not_outlast_the_run_s_own_time(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    with anyio.fail_after(10), pytest.raises(aquila.TotalTimeout):
        await aquila.stream("hi", transport=scripted("a"), sink=file(path), timeout=0.1)

    # The thread that waits for a reader ends with one.
    await anyio.to_thread.run_sync(path.read_bytes)


def test_an_unknown_format_is_refused() -> None:
    form: Any = "csv"

    with pytest.raises(aquila.ConfigError, match="format='csv' must be 'text' or 'jsonl'"):
        file("answer.csv", format=form)
