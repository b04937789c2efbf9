from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest

import aquila
from aquila.cassette import RecordTransport
from aquila.cassette.file.disk import read as read_cassette
from aquila.cassette.file.disk import write
from aquila.cassette.interaction import Interaction
from aquila.cassette.matching.rules import Rules
from aquila.cassette.record import Recorder
from aquila.cassette.tape import Tape, unfinished
from aquila.errors import (
    CassetteError,
    ConfigError,
    ConnectionFailed,
    ConnectTimeout,
    ProtocolError,
    RateLimitError,
)
from aquila.testing import Answer, ScriptedTransport
from aquila.transport.base import Request, TransportResponse
from tests.tapes import HELLO, KEY, EchoTransport, echoed, read, record, replay, request, scripted
from tests.wire import answer


@pytest.fixture(autouse=True)
def nothing_is_left_unfinished() -> Iterator[None]:
    yield
    assert unfinished() == ()


def only(path: Path) -> Interaction:
    (found,) = read_cassette(path) or ()
    return found


class Clock:
    """Tells 10 ms more each time it is asked."""

    def __init__(self) -> None:
        self._ticks = count()

    def __call__(self) -> float:
        return next(self._ticks) / 100


async def test_chunks_pass_unchanged_and_everything_is_kept(tmp_path: Path) -> None:
    inner = scripted(*HELLO, x_request_id="abc", openai_organization="acme")
    now = datetime(2026, 11, 22, 10, 24, 1, tzinfo=UTC)
    transport = RecordTransport(inner, tmp_path / "a.yaml", clock=Clock(), now=lambda: now)

    assert await read(transport, request()) == list(HELLO)

    found = only(tmp_path / "a.yaml")
    assert [tuple(chunk) for chunk in found.chunks] == [(20, HELLO[0]), (30, HELLO[1]), (40, HELLO[2])]
    assert (found.status, found.reason, found.end, found.seq) == (200, "OK", "complete", 0)
    assert (found.head_ms, found.total_ms, found.recorded_at) == (10, 50, now)
    assert (found.model, found.usage) == ("tiny-1", {"input": 12, "output": 3, "cached": 0})
    assert found.headers == {"content-type": "text/event-stream", "openai-organization": "[redacted]"}
    assert found.request.headers == {"content-type": "application/json", "authorization": "[redacted]"}
    assert KEY not in (tmp_path / "a.yaml").read_text()


async def test_a_request_goes_out_whole_but_without_content_encoding(tmp_path: Path) -> None:
    inner = scripted(*HELLO)

    await record(tmp_path / "a.yaml", inner, request())

    (sent,) = inner.requests
    assert sent.headers == {**request().headers, "accept-encoding": "identity"}
    assert sent.body == request().body
    assert inner.open == 0


async def test_the_first_chunk_comes_before_the_second_exists(tmp_path: Path) -> None:
    response = await RecordTransport(scripted(b"first", 3600.0, b"second"), tmp_path / "a.yaml").send(
        request()
    )

    with anyio.fail_after(5):
        assert await anext(response.chunks) == b"first"
    await response.aclose()


async def test_a_reader_that_stops_early_has_cut_the_answer(tmp_path: Path) -> None:
    response = await RecordTransport(scripted(*HELLO), tmp_path / "a.yaml").send(request())
    await anext(response.chunks)
    await response.aclose()
    await response.aclose()

    found = only(tmp_path / "a.yaml")
    assert (found.end, found.body) == ("cut", HELLO[0])


async def test_an_answer_is_complete_once_its_terminal_event_came(tmp_path: Path) -> None:
    response = await RecordTransport(scripted(*HELLO, b": late\n\n"), tmp_path / "a.yaml").send(request())
    for _ in HELLO:
        await anext(response.chunks)
    await response.aclose()

    found = only(tmp_path / "a.yaml")
    assert (found.end, len(found.chunks)) == ("complete", 3)


async def test_a_cancelled_reader_leaves_what_it_has_read(tmp_path: Path) -> None:
    transport = RecordTransport(scripted(HELLO[0], 3600.0), tmp_path / "a.yaml")

    with anyio.move_on_after(0.05):
        await read(transport, request())

    assert (only(tmp_path / "a.yaml").end, only(tmp_path / "a.yaml").body) == ("cut", HELLO[0])


async def test_an_abandoned_answer_is_written_when_the_transport_closes(tmp_path: Path) -> None:
    transport = RecordTransport(scripted(*HELLO), tmp_path / "a.yaml")
    response = await transport.send(request())
    await anext(response.chunks)

    await transport.aclose()
    assert only(tmp_path / "a.yaml").end == "abandoned"
    assert [chunk async for chunk in response.chunks] == list(HELLO[1:])

    assert only(tmp_path / "a.yaml").end == "complete"
    assert only(tmp_path / "a.yaml").body == b"".join(HELLO)


ABANDON = """
import anyio, sys
from aquila.cassette import RecordTransport
from tests.tapes import HELLO, request, scripted

async def main():
    response = await RecordTransport(scripted(*HELLO), sys.argv[1]).send(request())
    await anext(response.chunks)

anyio.run(main)
"""


async def test_an_abandoned_answer_is_written_when_the_process_ends(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", ABANDON, tmp_path / "a.yaml"], check=True)  # noqa: ASYNC221

    assert only(tmp_path / "a.yaml").end == "abandoned"


@pytest.mark.parametrize(
    "error",
    [ConnectionFailed("no route to host"), ConnectTimeout("no connection within 10 s", seconds=10.0)],
    ids=["ConnectionFailed", "ConnectTimeout"],
)
async def test_a_request_that_gets_no_answer_is_recorded(
    tmp_path: Path, error: ConnectionFailed | ConnectTimeout
) -> None:
    with pytest.raises(type(error)):
        await record(tmp_path / "a.yaml", ScriptedTransport(error), request())

    found = only(tmp_path / "a.yaml")
    assert (found.status, found.reason, found.body) == (599, f"aquila:{type(error).__name__}", b"")
    assert found.failure is not None
    assert (found.failure.error, found.failure.message) == (type(error).__name__, str(error))


async def test_a_connection_that_breaks_in_the_middle_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed):
        await record(tmp_path / "a.yaml", scripted(HELLO[0], ConnectionFailed("reset by peer")), request())

    found = only(tmp_path / "a.yaml")
    assert (found.status, found.end, found.body) == (200, "error", HELLO[0])
    assert found.failure is not None
    assert found.failure.message == "reset by peer"


async def test_an_error_that_is_not_the_network_is_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        await record(tmp_path / "a.yaml", ScriptedTransport(ConfigError("no key")), request())

    assert not (tmp_path / "a.yaml").exists()


async def test_an_error_status_is_an_answer_like_any_other(tmp_path: Path) -> None:
    inner = ScriptedTransport(
        Answer(status=429, headers={"retry-after": "1"}, chunks=[b"slow down"]), Answer(chunks=HELLO)
    )

    await record(tmp_path / "a.yaml", inner, request(), request())

    first, second = read_cassette(tmp_path / "a.yaml") or ()
    assert (first.status, first.reason, first.headers) == (429, "Too Many Requests", {"retry-after": "1"})
    assert second.status == 200


async def test_recording_again_replaces_the_equal_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    await record(path, scripted(b"old a"), request("A"))
    await record(path, scripted(b"old b"), request("B"))

    await record(path, scripted(b"new"), request("A"), request("C"))

    assert [item.body for item in read_cassette(path) or ()] == [b"new", b"old b", b"new"]


async def test_fifty_parallel_answers_all_arrive_and_are_all_kept(tmp_path: Path) -> None:
    inner = EchoTransport()
    transport = RecordTransport(inner, tmp_path / "a.yaml")
    prompts = [f"prompt {number % 25}" for number in range(50)]
    answers: dict[int, list[bytes]] = {}

    async def ask(number: int) -> None:
        answers[number] = await read(transport, request(prompts[number]))

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(ask, number)

    found = read_cassette(tmp_path / "a.yaml") or ()
    assert [item.seq for item in found] == list(range(50))
    assert {answer[1] for answer in answers.values()} == {item.chunks[1].data for item in found}
    for number, prompt in enumerate(prompts):
        assert answers[number][0] == echoed(request(prompt), 0)[0]


@pytest.mark.parametrize("leak", ["environment", "given", "credential", "shape"])
async def test_a_secret_in_an_answer_is_not_saved_and_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leak: str
) -> None:
    monkeypatch.setenv("SOME_SERVICE_TOKEN", "environment-value")
    secret = {
        "environment": "environment-value",
        "given": "given-value",
        "credential": KEY,
        "shape": "sk-abcdefghij0123456789",
    }[leak]
    transport = RecordTransport(
        scripted(secret.encode(), b" more"), tmp_path / "a.yaml", secrets=["given-value"]
    )
    response = await transport.send(request())

    assert [await anext(response.chunks), await anext(response.chunks)] == [secret.encode(), b" more"]
    with pytest.raises(CassetteError) as caught:
        await anext(response.chunks)
    await response.aclose()

    assert "in the response body" in str(caught.value)
    assert secret not in str(caught.value)
    assert not (tmp_path / "a.yaml").exists()


async def test_a_gateways_own_credential_is_neither_written_nor_overlooked(tmp_path: Path) -> None:
    headers = {"ocp-apim-subscription-key": "gateway-credential", "cf-access-client-secret": "x" * 20}
    sent = replace(request(), headers={**request().headers, **headers})

    await record(tmp_path / "a.yaml", scripted(*HELLO), sent)
    with pytest.raises(CassetteError, match="the request's own credential is in the response body"):
        await record(tmp_path / "b.yaml", scripted(b"it was gateway-credential"), sent)

    assert {only(tmp_path / "a.yaml").request.headers[name] for name in headers} == {"[redacted]"}


async def test_a_broken_cassette_stops_before_anything_is_sent(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "version: 1\n")
    inner = scripted(*HELLO)

    with pytest.raises(CassetteError, match="line 1: the file has no `interactions`"):
        await record(tmp_path / "a.yaml", inner, request())

    assert inner.requests == []


FULL_DISK = """
import anyio, resource, sys
from aquila.cassette import RecordTransport
from aquila.errors import CassetteError
from tests.tapes import HELLO, request, scripted

async def main():
    response = await RecordTransport(scripted(*HELLO), sys.argv[1]).send(request())
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    got = []
    try:
        async for chunk in response.chunks:
            got.append(chunk)
    except CassetteError as error:
        print(len(got), error)
    await response.aclose()

anyio.run(main)
"""


async def test_a_full_disk_destroys_neither_the_answer_nor_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, "version: 1\ninteractions: []\n")

    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)  # noqa: ASYNC221

    assert done.stdout.startswith(f"3 cassette {path} cannot be written (File too large)")
    assert path.read_text() == "version: 1\ninteractions: []\n"


async def test_bytes_in_a_header_that_are_no_text_are_kept_as_escapes(tmp_path: Path) -> None:
    await record(tmp_path / "a.yaml", scripted(b"x", x_name="Jos\udce9"), request())

    assert only(tmp_path / "a.yaml").headers["x-name"] == "Jos\\udce9"


async def test_what_describes_an_encoded_body_is_not_kept_with_the_decoded_one(tmp_path: Path) -> None:
    inner = scripted(b"plain", content_encoding="gzip", content_length="25")

    await record(tmp_path / "a.yaml", inner, request())

    assert only(tmp_path / "a.yaml").headers == {"content-type": "text/event-stream"}


async def test_a_client_hears_of_a_cassette_that_is_slow_to_be_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = Tape.finish

    def slow(self: Tape, *args: Any) -> None:
        # Longer than a client waits for the end of a body behind the last event.
        time.sleep(0.3)
        finish(self, *args)

    monkeypatch.setattr(Tape, "finish", slow)
    path = tmp_path / "a.yaml"
    recording = RecordTransport(scripted(*answer("Hello")), path, secrets=["Hello"])

    with pytest.raises(CassetteError, match="was not saved"):
        await aquila.ask("Hi", transport=recording, api_key="example-credential-1")

    assert not path.exists()
    whole = RecordTransport(scripted(*answer("Hello")), path)
    assert (await aquila.ask("Hi", transport=whole, api_key="example-credential-1")).text == "Hello"
    assert path.exists(), "what is recorded is on the disk when the call returns"


@pytest.mark.parametrize("place", ["head", "body"])
async def test_bytes_that_are_not_what_they_say_are_recorded_as_such(tmp_path: Path, place: str) -> None:
    path, broken = tmp_path / "a.yaml", ProtocolError("the answer is not the gzip it says it is")
    inner = ScriptedTransport(broken) if place == "head" else scripted(HELLO[0], broken)
    with pytest.raises(ProtocolError):
        await record(path, inner, request())

    found = only(path)
    assert (found.end, found.status) == ("error", 599 if place == "head" else 200)
    with pytest.raises(ProtocolError, match=r"^the answer is not the gzip it says it is$"):
        await replay(path, request())


FULL_FOR_A_WHILE = """
import anyio, resource, sys
from aquila.cassette import RecordTransport
from aquila.errors import CassetteError
from tests.tapes import HELLO, read, request, scripted

async def main():
    transport = RecordTransport(scripted(*HELLO), sys.argv[1])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        await read(transport, request())
    except CassetteError:
        print("failed", end="")
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await transport.aclose()

anyio.run(main)
"""


async def test_closing_writes_what_could_not_be_written_before(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"

    done = subprocess.run(  # noqa: ASYNC221
        [sys.executable, "-c", FULL_FOR_A_WHILE, path], capture_output=True, text=True, check=True
    )

    assert done.stdout == "failed"
    assert only(path).body == b"".join(HELLO)


async def test_a_recording_counts_once_also_when_it_is_abandoned_first(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.yaml")
    response = await recorder.send(scripted(*HELLO), request())
    pending = recorder.begin(request("Never answered"))
    await anext(response.chunks)

    recorder.close()
    assert recorder.recordings == 1
    assert [chunk async for chunk in response.chunks] == list(HELLO[1:])
    recorder.give_up(pending)
    recorder.close()

    assert recorder.recordings == 1


async def test_what_is_not_saved_for_a_secret_inside_does_not_count(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.yaml", rules=Rules.of(secrets=["given-value"]))

    with pytest.raises(CassetteError):
        await read(_Over(recorder, scripted(b"given-value")), request())

    assert recorder.recordings == 0
    recorder.close()


class _Over:
    """A recorder as a transport."""

    def __init__(self, recorder: Recorder, inner: ScriptedTransport) -> None:
        self.recorder, self.inner = recorder, inner

    async def send(self, request: Request) -> TransportResponse:
        return await self.recorder.send(self.inner, request)

    async def aclose(self) -> None:
        """Free nothing."""


async def test_the_retry_of_a_request_that_was_refused_unsent_replaces_the_old_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    await record(path, scripted(b"old"), request())
    refused = RateLimitError("the provider asked for a pause; nothing was sent", status_code=429)
    recorder = Recorder(path, mode="all")

    with pytest.raises(RateLimitError):
        await read(_Over(recorder, ScriptedTransport(refused)), request())
    await read(_Over(recorder, scripted(b"new")), request())

    assert only(path).body == b"new"


def test_recordings_are_counted_exactly_while_threads_end_them_and_another_closes(tmp_path: Path) -> None:
    for number in range(20):
        recorder = Recorder(tmp_path / f"{number}.yaml")
        tapes = [recorder.begin(request(str(each))) for each in range(6)]
        for tape in tapes:
            tape.answered(200, {})
        threads = [threading.Thread(target=recorder.end, args=(tape, "complete")) for tape in tapes]
        for thread in threads:
            thread.start()
        recorder.close()
        for thread in threads:
            thread.join()
        assert recorder.recordings == 6
