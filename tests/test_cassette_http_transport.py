from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from anyio import to_thread

import aquila.cassette
from aquila.cassette.defaults import DEFAULTS
from aquila.cassette.file.disk import read
from aquila.cassette.http_transport import CassetteTransport
from aquila.cassette.matching.rules import Rules
from aquila.errors import CassetteError, CassetteMismatch, CassetteMissing, ConfigError
from tests.guests import BOTH, PROMPT, WAYS, chunks
from tests.tapes import HELLO
from tests.thread_server import reply, serve_in_thread

API = "http://api.test/"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    return tmp_path


@BOTH
@WAYS
@pytest.mark.aquila_unplayed("ignore")
async def test_another_prompt_is_refused_in_our_words(library: Any, blocking: bool) -> None:
    with serve_in_thread(reply(*HELLO)) as server:
        await chunks(library, CassetteTransport("a", mode="once"), server.url, blocking=blocking)

        warmer = {**PROMPT, "temperature": 1}
        with pytest.raises(CassetteMismatch, match=r"\$\.temperature"):
            await chunks(
                library, CassetteTransport("a", mode="none"), server.url, blocking=blocking, json=warmer
            )
        with pytest.raises(CassetteMissing, match=r"b\.yaml does not exist"):
            await chunks(library, CassetteTransport("b", mode="none"), server.url, blocking=blocking)
    assert len(server.seen) == 1


@BOTH
async def test_without_a_name_the_cassette_in_effect_at_the_time_is_used(library: Any, folder: Path) -> None:
    with serve_in_thread(reply(*HELLO)) as server:
        async with library.AsyncClient(transport=CassetteTransport()) as client:
            for name, mode in (("a", "once"), ("a", "none"), ("b", "once"), ("c", "off")):
                with aquila.cassette.use(name, mode=mode):
                    assert (await client.post(server.url, json=PROMPT)).content == b"".join(HELLO)
            await client.post(server.url, json=PROMPT)

    assert [len(read(folder / f"{name}.yaml") or ()) for name in "abc"] == [1, 1, 0]
    # Two recordings, and two that passed through with the encodings the client asks for.
    assert [seen.headers["accept-encoding"] == "identity" for seen in server.seen] == [
        True,
        True,
        False,
        False,
    ]


@WAYS
async def test_a_transport_may_be_used_again_after_closing(blocking: bool) -> None:
    with serve_in_thread(reply(b"data: 1\n\n"), reply(b"data: 2\n\n")) as server:
        for transport in (CassetteTransport("a", mode="once"), CassetteTransport("a", mode="none")):
            for answer in (b"data: 1\n\n", b"data: 2\n\n"):
                assert await chunks(httpx, transport, server.url, blocking=blocking) == [answer]
    assert len(server.seen) == 2


@BOTH
@WAYS
async def test_an_inner_transport_is_asked_and_closed(library: Any, blocking: bool) -> None:
    closed = []

    class Inner(library.MockTransport):
        def close(self) -> None:
            closed.append("close")

        async def aclose(self) -> None:
            closed.append("aclose")

    def answer(request: Any) -> Any:
        return library.Response(200, content=b"from inside")

    for mode in ("once", "none"):
        transport = CassetteTransport("a", mode=mode, inner=Inner(answer))
        assert await chunks(library, transport, API, blocking=blocking) == [b"from inside"]
    assert closed == ["close" if blocking else "aclose"] * 2


@BOTH
async def test_an_answer_that_the_inner_transport_has_read_is_passed_on(library: Any) -> None:
    class Reading(library.AsyncHTTPTransport):
        async def handle_async_request(self, request: Any) -> Any:
            response = await super().handle_async_request(request)
            await response.aread()
            return response

    with serve_in_thread(reply(*HELLO)) as server:
        for mode in ("once", "none"):
            transport = CassetteTransport("a", mode=mode, inner=Reading())
            assert b"".join(await chunks(library, transport, server.url)) == b"".join(HELLO)


async def test_an_inner_transport_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"inner is a transport of httpx and the client is one of httpx2"):
        await chunks(httpx2, CassetteTransport(inner=httpx.AsyncHTTPTransport()), API)
    with pytest.raises(ConfigError, match=r"has no handle_request; give a httpx\.HTTPTransport"):
        await chunks(httpx, CassetteTransport(inner=httpx.AsyncHTTPTransport()), API, blocking=True)


def test_what_belongs_to_a_named_cassette_needs_a_name() -> None:
    options: list[dict[str, Any]] = [{"mode": "once"}, {"speed": 1.0}, {"rules": Rules()}]
    for option in options:
        with pytest.raises(ConfigError, match="belong to a named cassette"):
            CassetteTransport(**option)
    with pytest.raises(ConfigError, match="str is no request of httpx or httpx2"):
        CassetteTransport().handle_request("GET /")


@BOTH
@WAYS
async def test_rules_hold_for_recording_and_for_comparing(library: Any, blocking: bool, folder: Path) -> None:
    rules = Rules.of(ignore=["$.run"], redact=["x-team"])
    headers = {"x-team": "blue-team-7"}

    with serve_in_thread(reply(*HELLO)) as server:
        for run, mode in enumerate(("once", "none")):
            transport, body = CassetteTransport("a", mode=mode, rules=rules), {**PROMPT, "run": run}
            await chunks(library, transport, server.url, blocking=blocking, json=body, headers=headers)
    assert len(server.seen) == 1
    assert "blue-team-7" not in (folder / "a.yaml").read_text()


@BOTH
@WAYS
async def test_a_secret_in_a_prompt_is_told_after_the_whole_answer(
    library: Any, blocking: bool, folder: Path
) -> None:
    got: list[bytes] = []
    transport = CassetteTransport("a", mode="once", rules=Rules.of(secrets=["hunter-2-hunter"]))
    body = {**PROMPT, "user": "hunter-2-hunter"}

    with serve_in_thread(reply(*HELLO)) as server, pytest.raises(CassetteError, match=r"\$\.user"):
        await chunks(library, transport, server.url, blocking=blocking, json=body, each=got.append)

    assert got == list(HELLO)
    assert read(folder / "a.yaml") is None


async def test_a_request_of_a_test_that_must_name_a_cassette_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(DEFAULTS, "required", True)
    with pytest.raises(CassetteMissing, match="names no cassette"):
        await chunks(httpx, CassetteTransport(), API)


@WAYS
async def test_many_requests_at_once_get_their_own_answers(blocking: bool, folder: Path) -> None:
    inner = httpx.MockTransport(lambda request: httpx.Response(200, content=request.content))

    async def ask(post: Callable[..., Any], content: bytes) -> None:
        if blocking:
            answer = await to_thread.run_sync(lambda: post(API, content=content))
        else:
            answer = await post(API, content=content)
        assert answer.content == content

    for mode in ("rewrite", "none"):
        transport = CassetteTransport("a", mode=mode, inner=inner)
        client = httpx.Client(transport=transport) if blocking else httpx.AsyncClient(transport=transport)
        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(ask, client.post, b'{"n": %d}' % number)
    assert len(read(folder / "a.yaml") or ()) == 30


PASSING = """
import sys
import httpx
from aquila.cassette.http_transport import CassetteTransport

transport = CassetteTransport("a", mode="off", inner=httpx.MockTransport(lambda request: httpx.Response(200)))
with httpx.Client(transport=transport) as client:
    assert client.get("http://api.test/").status_code == 200
assert not {"yaml", "vcr", "httpx2"} & set(sys.modules), sorted(sys.modules)
"""


def test_passing_through_needs_neither_yaml_nor_the_other_library() -> None:
    subprocess.run([sys.executable, "-c", PASSING], check=True)
