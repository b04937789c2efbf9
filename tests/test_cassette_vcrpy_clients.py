"""Files of ours under vcrpy and pytest-recording, and files of theirs under ours, for each client there is."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import httpx
import httpx2
import pytest
import vcr

from aquila.cassette.replay import ReplayTransport
from aquila.testing import Answer, ScriptedTransport
from aquila.transport.base import Request
from tests.tapes import HELLO, read, record, request
from tests.thread_server import ThreadServer, reply, serve_in_thread

JSON = {"content-type": "application/json"}
EVERYTHING = ["method", "scheme", "host", "port", "path", "query", "body"]
BINARY = b"\xff\xd8\x00\r\n binary"
CRLF = b"data: a\r\n\r\ndata: [DONE]\r\n\r\n"

Post = Callable[[Request], Awaitable[bytes]]


def blocking(library: Any) -> Post:
    async def post(sent: Request) -> bytes:
        with library.Client(follow_redirects=True) as client:
            body: bytes = client.post(sent.url, content=sent.body, headers=JSON).content
            return body

    return post


def asynchronous(library: Any) -> Post:
    async def post(sent: Request) -> bytes:
        async with library.AsyncClient(follow_redirects=True) as client:
            body: bytes = (await client.post(sent.url, content=sent.body, headers=JSON)).content
            return body

    return post


async def post_aiohttp(sent: Request) -> bytes:
    async with (
        aiohttp.ClientSession() as session,
        session.post(sent.url, data=sent.body, headers=JSON) as answer,
    ):
        return await answer.read()


CLIENTS: dict[str, Post] = {
    "httpx": blocking(httpx),
    "httpx async": asynchronous(httpx),
    "httpx2": blocking(httpx2),
    "httpx2 async": asynchronous(httpx2),
    "aiohttp": post_aiohttp,
}
ALL = pytest.mark.parametrize("post", CLIENTS.values(), ids=list(CLIENTS))

OURS = {
    "SSE": b"".join(HELLO),
    "CRLF": CRLF,
    "binary": BINARY,
    "empty": b"",
    "🦅\u2028": "Grüße\u2028".encode(),
}


async def record_ours(path: Path) -> None:
    answers = [
        Answer(chunks=HELLO),
        *(Answer(chunks=[body] if body else []) for body in list(OURS.values())[1:]),
    ]
    await record(path, ScriptedTransport(*answers), *map(request, OURS))


@ALL
async def test_vcrpy_replays_our_file_byte_for_byte_to_every_client(post: Post, tmp_path: Path) -> None:
    await record_ours(tmp_path / "a.yaml")

    strict = vcr.VCR(record_mode="none", match_on=EVERYTHING)
    with strict.use_cassette(str(tmp_path / "a.yaml")) as cassette:
        assert [await post(request(prompt)) for prompt in reversed(OURS)] == list(reversed(OURS.values()))
    assert cassette.all_played


async def ask_them(post: Post, server: ThreadServer, other: ThreadServer) -> list[bytes]:
    """Send what a file of theirs is to hold: a stream, gzip, bytes, a redirect to another host."""
    urls = [f"{server.url}/sse", f"{server.url}/gzip?b=2&a=1", f"{server.url}/bytes", f"{server.url}/moved"]
    return [
        await post(Request(method="POST", url=url, body=b'{"n": 1}')) for url in [*urls, f"{other.url}/here"]
    ]


def replies(other: ThreadServer) -> list[Any]:
    packed = gzip.compress(b'{"answer": "Gr\xc3\xbc\xc3\x9fe"}')
    return [
        reply(*HELLO),
        reply(packed, content_type="application/json", content_encoding="gzip"),
        reply(BINARY, content_type="application/octet-stream"),
        reply(status=303, location=f"http://localhost:{other.port}/there"),
    ]


@ALL
async def test_we_replay_what_vcrpy_recorded_of_every_client(post: Post, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with (
        serve_in_thread(reply(CRLF)) as other,
        serve_in_thread(*replies(other)) as server,
        vcr.use_cassette(str(path), match_on=EVERYTHING),
    ):
        live = await ask_them(post, server, other)

    await check(path, live, server, other)


async def check(path: Path, live: list[bytes], server: ThreadServer, other: ThreadServer) -> None:
    """Ask our replay for the same, at the seam and through both libraries."""
    assert live == [b"".join(HELLO), '{"answer": "Grüße"}'.encode(), BINARY, CRLF, CRLF]
    for library in (httpx, httpx2):
        transport = ReplayTransport(path)

        async def post(sent: Request, library: Any = library, transport: Any = transport) -> bytes:
            async with library.AsyncClient(transport=transport, follow_redirects=True) as client:
                body: bytes = (await client.post(sent.url, content=sent.body, headers=JSON)).content
                return body

        assert await ask_them(post, server, other) == live
    sent = Request(method="POST", url=f"{server.url}/sse", body=b'{"n": 1}')
    # One chunk for each event, as the file knows nothing of chunks.
    assert len(await read(ReplayTransport(path), sent)) == b"".join(HELLO).count(b"\n\n")


RECORDING = """
import anyio
import pytest
from tests.test_cassette_vcrpy_clients import CLIENTS, ask_them
from tests.thread_server import ThreadServer

@pytest.mark.vcr(match_on=["method", "uri", "body"])
def test_it():
    servers = [ThreadServer(f"http://127.0.0.1:{port}", port) for port in PORTS]
    live = anyio.run(ask_them, CLIENTS["httpx2 async"], *servers)
    assert len(live) == 5
"""


async def test_we_replay_what_pytest_recording_recorded(tmp_path: Path) -> None:
    with serve_in_thread(reply(CRLF)) as other, serve_in_thread(*replies(other)) as server:
        test = RECORDING.replace("PORTS", repr([server.port, other.port]))
        await anyio.Path(tmp_path / "test_a.py").write_text(test)
        told = await anyio.to_thread.run_sync(run_pytest, tmp_path, "once")
        assert "1 passed" in told, told

    path = tmp_path / "cassettes" / "test_a" / "test_it.yaml"
    live = [b"".join(HELLO), '{"answer": "Grüße"}'.encode(), BINARY, CRLF, CRLF]
    await check(path, live, server, other)


REPLAYING = """
import anyio
import pytest
from tests.tapes import request
from tests.test_cassette_vcrpy_clients import CLIENTS, OURS

async def ask(post):
    return [await post(request(prompt)) for prompt in OURS]

@pytest.mark.vcr("ours.yaml", match_on=["method", "uri", "body"])
@pytest.mark.parametrize("name", list(CLIENTS))
def test_it(name):
    assert anyio.run(ask, CLIENTS[name]) == list(OURS.values())
"""


async def test_pytest_recording_replays_our_file_to_every_client(tmp_path: Path) -> None:
    await anyio.Path(tmp_path / "test_a.py").write_text(REPLAYING)
    await record_ours(tmp_path / "cassettes" / "test_a" / "ours.yaml")

    told = await anyio.to_thread.run_sync(run_pytest, tmp_path, "none", "--block-network")
    assert f"{len(CLIENTS)} passed" in told, told


def run_pytest(folder: Path, mode: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--record-mode={mode}", *options,
         f"--rootdir={folder}", folder / "test_a.py"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr
