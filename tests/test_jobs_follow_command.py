from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from functools import partial

import anyio
import pytest
from job_actors import tell
from job_workers import COMMAND, aquila, one_line, working
from wire import DONE, Connection, delta, serve, usage

import jobs
from jobs.cli.follow import Printer
from jobs.follower import JobEvent

pytest_plugins = ["job_fixtures"]
pytestmark = pytest.mark.usefixtures("place")


class Model:
    """Says `a b ` and breaks off; `a b c` when it is asked again."""

    def __init__(self) -> None:
        self.asked = 0
        self.hangs = False

    async def handler(self, connection: Connection) -> None:
        self.asked += 1
        connection.start()
        connection.send(delta("a b "))
        if self.hangs:
            await anyio.sleep_forever()
        if self.asked > 1:
            for chunk in (delta("c"), delta(finish="stop"), usage(7, 3), DONE):
                connection.send(chunk)
        connection.end()


@pytest.fixture
async def model(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Model]:
    it = Model()
    async with serve(it.handler) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        yield it


def reading(job_id: str) -> subprocess.Popen[str]:
    """Start following a job that no worker has yet."""
    reader = subprocess.Popen(
        [*COMMAND, "jobs", "follow", job_id], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert reader.stderr is not None
    assert reader.stderr.readline().startswith("note: no worker serves this database")
    return reader


async def test_a_redirected_file_shows_where_an_attempt_starts_over(model: Model) -> None:
    handle = tell.send("hello")
    with reading(handle.job_id) as reader:
        async with working():
            assert await handle.aresult(timeout=10) == "a b c"
            output, notices = await anyio.to_thread.run_sync(partial(reader.communicate, timeout=10))

    assert output == "a b \n[attempt 2: it starts over]\na b c\n"
    assert notices == "[StreamTruncated; again in 0 s]\n"
    assert aquila("jobs", "follow", handle.job_id).stdout == "a b c\n"


async def test_what_a_cancelled_job_had_said_ends_its_line(model: Model) -> None:
    model.hangs = True
    handle = tell.send("hello")
    async with working():
        async with jobs.follow(handle.job_id) as events:
            async for event in events:
                if event.text == "a b ":
                    break
        await handle.acancel()

    done = aquila("jobs", "follow", handle.job_id)

    assert done.stdout == "a b \n"
    assert f"job {handle.job_id[:8]} was cancelled" in one_line(done)


def printed(capsys: pytest.CaptureFixture[str], *events: JobEvent) -> tuple[str, str]:
    printer = Printer()
    for event in events:
        printer.tell(event)
    told = capsys.readouterr()
    return told.out, told.err


def said(attempt: int, text: str) -> JobEvent:
    return JobEvent("0-1", attempt, "chunk", {"text": text})


def test_a_notice_stands_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    again = JobEvent("0-1", 1, "retry", {"error": "ValueError", "delay": 2.0})

    out, err = printed(
        capsys, said(1, "a"), again, JobEvent("0-1", 2, "attempt"), said(2, "b\n"), JobEvent("0-1", 2, "done")
    )

    assert out == "a\n[attempt 2: it starts over]\nb\n"
    assert err == "[ValueError; again in 2 s]\n"


def test_an_attempt_that_voids_no_text_is_a_notice(capsys: pytest.CaptureFixture[str]) -> None:
    done = JobEvent("0-1", 2, "done", {"output": "b"})

    out, err = printed(capsys, JobEvent("0-1", 1, "attempt"), JobEvent("0-1", 2, "attempt"), done)

    assert (out, err) == ("b\n", "[attempt 2: it starts over]\n")


def test_a_failed_job_ends_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, said(1, "a"), JobEvent("0-1", 1, "failed", {}))[0] == "a\n"
