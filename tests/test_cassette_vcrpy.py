from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import vcr
import yaml

from aquila.cassette.file.disk import read as read_cassette
from aquila.cassette.file.disk import write
from aquila.cassette.interaction import Interaction
from aquila.errors import CassetteError, ConnectionFailed
from aquila.testing import Answer, ScriptedTransport
from aquila.transport.base import Request
from tests.tapes import HELLO, record, replay, request

EVERYTHING = ["method", "scheme", "host", "port", "path", "query", "body"]
BINARY = b"\xff\xd8\x00\r\n binary"
CRLF = b"data: a\r\n\r\ndata: [DONE]\r\n\r\n"


def player(mode: str = "none") -> Any:
    return vcr.VCR(record_mode=mode, match_on=EVERYTHING)


def recorded(path: Path) -> Path:
    inner = ScriptedTransport(
        Answer(
            status=429,
            headers={"retry-after": "1", "content-type": "application/json"},
            chunks=[b'{"error": 1}'],
        ),
        Answer(chunks=HELLO),
        Answer(chunks=[CRLF]),
        Answer(headers={"content-type": "image/jpeg"}, chunks=[BINARY]),
        Answer(chunks=[]),
    )
    prompts = request(), request(), request("CRLF"), request("🦅\u2028"), request("Empty")
    anyio.run(record, path, inner, *prompts)
    return path


def test_vcrpy_replays_our_file_byte_for_byte(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.yaml")

    with player().use_cassette(str(path)) as cassette, httpx.Client() as client:
        answers = [
            client.post(sent.url, content=sent.body, headers={"content-type": "application/json"})
            for sent in (request(), request("🦅\u2028"), request(), request("CRLF"), request("Empty"))
        ]

    assert [answer.content for answer in answers] == [b'{"error": 1}', BINARY, b"".join(HELLO), CRLF, b""]
    assert [answer.status_code for answer in answers] == [429, 200, 200, 200, 200]
    assert (answers[0].headers["retry-after"], answers[0].reason_phrase) == ("1", "Too Many Requests")
    assert cassette.all_played


def test_vcrpy_refuses_another_prompt(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.yaml")

    with (
        player().use_cassette(str(path)),
        httpx.Client() as client,
        pytest.raises(vcr.errors.CannotOverwriteExistingCassetteException),
    ):
        client.post(
            request().url, content=request("Other").body, headers={"content-type": "application/json"}
        )


def test_vcrpy_replays_our_file_to_an_asynchronous_client(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.yaml")

    async def ask(sent: Request) -> bytes:
        async with httpx.AsyncClient() as client:
            headers = {"content-type": "application/json"}
            return (await client.post(sent.url, content=sent.body, headers=headers)).content

    with player().use_cassette(str(path)):
        assert anyio.run(ask, request("CRLF")) == CRLF


def test_our_extras_survive_a_save_by_vcrpy(tmp_path: Path) -> None:
    path = recorded(tmp_path / "a.yaml")
    before = read_cassette(path) or ()

    with player("new_episodes").use_cassette(str(path)), mocked() as client:
        client.get("https://new.example.test/")

    *after, new = read_cassette(path) or ()
    assert [facts(item) for item in after] == [facts(item) for item in before]
    assert new.body == b"data: a\n\ndata: b\n\n"


def facts(item: Interaction) -> tuple[object, ...]:
    return item.key, item.status, item.chunks, item.end, item.seq, item.recorded_at, item.model, item.usage


def mocked() -> httpx.Client:
    headers = {"content-type": "text/event-stream"}
    return httpx.Client(
        transport=httpx.MockTransport(
            lambda _: httpx.Response(200, headers=headers, content=b"data: a\n\ndata: b\n\n")
        )
    )


async def test_we_replay_a_file_of_vcrpy_one_event_a_chunk(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with player("once").use_cassette(str(path)), mocked() as client:
        client.post(request().url, content=request().body, headers={"content-type": "application/json"})
        client.post(request().url, content=b"\xff\x00")

    (answer,) = await replay(path, request())

    assert answer == [b"data: a\n\n", b"data: b\n\n"]


async def test_recording_into_a_file_of_vcrpy_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with player("once").use_cassette(str(path)), mocked() as client:
        client.post(
            request("Old").url, content=request("Old").body, headers={"content-type": "application/json"}
        )

    await record(path, ScriptedTransport(Answer(chunks=HELLO)), request("New"))

    assert await replay(path, request("New"), request("Old")) == [
        list(HELLO),
        [b"data: a\n\n", b"data: b\n\n"],
    ]
    assert (
        len(
            vcr.persisters.filesystem.FilesystemPersister.load_cassette(path, vcr.serializers.yamlserializer)[
                0
            ]
        )
        == 2
    )


LEGACY = """version: 1
interactions:
- request:
    body: !!python/object/new:_io.BytesIO
      state: !!python/tuple
      - !!binary |
        eyJhIjogMX0=
      - 0
      - null
    headers: {Content-Type: [!!python/unicode 'application/json']}
    method: POST
    uri: https://e.test/v1
  response:
    body: {string: !!python/unicode 'plain'}
    headers: {}
    status: {code: 200, message: OK}
"""


async def test_tags_of_old_vcrpy_files_are_read_and_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, LEGACY)

    await record(path, ScriptedTransport(Answer(chunks=HELLO)), request())

    (old, _) = read_cassette(path) or ()
    assert (old.request.body, old.request.headers, old.body) == (
        b'{"a": 1}', {"content-type": "application/json"}, b"plain",
    )  # fmt: skip
    assert "!!python" not in path.read_text()
    yaml.safe_load(path.read_text())


async def test_tags_that_run_code_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", LEGACY.replace("_io.BytesIO", "os.system"))

    with pytest.raises(CassetteError, match=r"line 4: not valid YAML .*os.system"):
        await replay(tmp_path / "a.yaml", request())


def test_vcrpy_sees_a_failed_connection_as_status_599(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed):
        anyio.run(record, tmp_path / "a.yaml", ScriptedTransport(ConnectionFailed("refused")), request())

    with player().use_cassette(str(tmp_path / "a.yaml")), httpx.Client() as client:
        answer = client.post(
            request().url, content=request().body, headers={"content-type": "application/json"}
        )

    assert (answer.status_code, answer.reason_phrase) == (599, "aquila:ConnectionFailed")


PYTEST_RECORDING = """
import httpx
import pytest
from tests.tapes import HELLO, request

@pytest.mark.vcr(match_on=["method", "uri", "body"])
def test_replay():
    headers = {"content-type": "application/json"}
    answers = [httpx.post(request().url, content=request().body, headers=headers) for _ in range(2)]
    assert answers[1].content == b"".join(HELLO)
"""


def test_pytest_recording_replays_our_file(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(PYTEST_RECORDING)
    recorded(tmp_path / "cassettes" / "test_it" / "test_replay.yaml")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--block-network", "--record-mode=none",
         f"--rootdir={tmp_path}", tmp_path / "test_it.py"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert "1 passed" in done.stdout, done.stdout + done.stderr


NORMAL_PATH = """
import anyio, sys
from tests.tapes import HELLO, record, replay, request, scripted

async def main():
    await record(sys.argv[1], scripted(*HELLO), request())
    assert await replay(sys.argv[1], request()) == [list(HELLO)]

anyio.run(main)
assert not {"vcr", "httpx", "aiohttp"} & set(sys.modules)
"""


def test_recording_and_replaying_import_neither_vcrpy_nor_an_http_library(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", NORMAL_PATH, tmp_path / "a.yaml"], check=True)
