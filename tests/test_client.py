from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import aquila
from aquila.errors import ConfigError
from aquila.testing import Answer, ScriptedTransport
from aquila.timeouts import Timeouts
from tests import wire


@pytest.fixture
def transport() -> ScriptedTransport:
    return ScriptedTransport(Answer(chunks=wire.answer("ok")))


async def test_defaults_hold_for_every_call_and_a_call_s_own_options_win(
    transport: ScriptedTransport,
) -> None:
    client = aquila.Client(transport=transport, model="a", temperature=0.0, instructions="be kind")

    await client.ask("hi")
    await client.ask("hi", model="b", temperature=None)

    bodies = [request.body for request in transport.requests]
    assert b'"model":"a"' in bodies[0]
    assert b'"model":"b"' in bodies[1]
    assert all(b'"temperature":0.0' in body and b"be kind" in body for body in bodies)


async def test_the_environment_fills_what_nobody_says(
    transport: ScriptedTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://llm.example/v1/")
    monkeypatch.setenv("AQUILA_MODEL", "m")

    await aquila.ask("hi", transport=transport)

    request = transport.requests[0]
    assert request.url == "https://llm.example/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.headers["accept-encoding"] == "identity"
    assert b'"model":"m"' in request.body


@pytest.mark.parametrize(
    ("base_url", "field"),
    [("https://api.openai.com/v1", b"max_completion_tokens"), ("http://localhost/v1", b"max_tokens")],
)
async def test_the_longest_answer_has_the_name_the_server_knows(
    transport: ScriptedTransport, base_url: str, field: bytes
) -> None:
    await aquila.ask("hi", transport=transport, base_url=base_url, max_output_tokens=5)

    assert b'"' + field + b'":5' in transport.requests[0].body


async def test_extra_headers_and_body_win(transport: ScriptedTransport) -> None:
    await aquila.ask(
        "hi",
        transport=transport,
        api_key="k",
        extra_headers={"Authorization": "Basic x"},
        extra_body={"seed": 1},
    )

    assert transport.requests[0].headers["authorization"] == "Basic x"
    assert b'"seed":1' in transport.requests[0].body


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"base_url": "localhost:8080"}, "base_url='localhost:8080' must begin with http"),
        ({"base_url": "http://[::1"}, "base_url="),
        ({"endpoint": "soap"}, "endpoint='soap' is unknown"),
        ({"max_output_tokens": 0}, "max_output_tokens=0 must be a whole number"),
        ({"max_output_tokens": 1.5}, "max_output_tokens=1.5 must be"),
        ({"timeout": -1}, "timeout: total=-1"),
        ({"api_key": "sk-1\n"}, "the API key holds blanks"),
        ({"messages": "x", "cassette": "../x"}, r"\.\."),
        ({"base_url": 5}, "base_url=5 must be text"),
        ({"api_key": 5}, "^api_key must be text"),
        ({"extra_headers": {"x": "é"}}, "^extra_headers must be a dict of text"),
        ({"extra_headers": {"x": "a\r\nb: c"}}, "^extra_headers must be"),
        ({"extra_body": "abc"}, "extra_body='abc' must be a dict"),
        ({"extra_body": {"x": object()}}, "extra_body.x=<object"),
        ({"instructions": "\ud800"}, "messages: cannot be sent as JSON"),
        ({"metadata": "abc"}, "metadata='abc' must be a dict"),
        ({"temperature": "hot"}, "temperature='hot' must be a finite number"),
        ({"temperature": float("nan")}, "temperature=nan must be a finite number"),
        ({"base_url": "http://127.0.0.1:99999"}, "and a port up to 65535"),
        ({"sink": print}, "sink=.* must be a sink"),
        ({"sink": aquila.sink.Collector}, "sink=.* must be a sink"),
        ({"retry": "3"}, "retry: max_retries='3' must be a whole number"),
        ({"retry": True}, "retry: max_retries=True"),
        ({"timeout": float("nan")}, "timeout: total=nan"),
    ],
)
async def test_a_value_that_cannot_be_used_is_named_before_anything_is_sent(
    transport: ScriptedTransport, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        await aquila.ask("hi", transport=transport, **options)
    assert transport.requests == []


async def test_a_password_in_the_address_is_refused_without_showing_it(transport: ScriptedTransport) -> None:
    with pytest.raises(ConfigError) as caught:
        await aquila.ask("hi", transport=transport, base_url="ftp://bob:hunter2@h/v1")

    assert "hunter2" not in str(caught.value)


async def test_the_query_of_the_address_stays_behind_the_path(transport: ScriptedTransport) -> None:
    await aquila.ask("hi", transport=transport, base_url="https://h/openai/v1/?api-version=1")

    assert transport.requests[0].url == "https://h/openai/v1/chat/completions?api-version=1"


def test_a_misspelt_option_is_named_with_the_known_ones() -> None:
    with pytest.raises(TypeError, match="unknown option 'modell'; the options are api_key"):
        aquila.stream("hi", modell="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unknown option 'modell'"):
        aquila.Client(modell="x")  # type: ignore[call-arg]


async def test_nothing_is_sent_before_the_stream_is_used(transport: ScriptedTransport) -> None:
    stream = aquila.stream("hi", transport=transport)

    assert transport.requests == []
    await stream
    assert len(transport.requests) == 1


async def test_a_transport_of_the_caller_is_not_closed_by_a_run() -> None:
    class Counting(ScriptedTransport):
        closed = 0

        async def aclose(self) -> None:
            self.closed += 1

    transport = Counting(Answer(chunks=wire.answer("ok")))

    await aquila.ask("hi", transport=transport)

    assert transport.closed == 0


def test_the_local_model_gets_shorter_clocks() -> None:
    assert aquila.stream("hi", model="local")._plan.destination.timeouts == Timeouts(
        silence=120, first_chunk=120, idle=120
    )


IDLE_IMPORT = """
import sys, socket, builtins
opened = []
sys.addaudithook(lambda name, args: opened.append((name, args)) if name in {"open", "socket.__new__"} else None)
import aquila
heavy = {"httpx", "aiohttp", "pydantic", "msgspec", "anyio", "yaml", "vcr", "sqlalchemy", "dramatiq"} & set(sys.modules)
files = [str(args[0]) for name, args in opened if name == "open" and not str(args[0]).endswith((".py", ".pyc"))]
sockets = [name for name, args in opened if name.startswith("socket")]
print(sorted(heavy), files, sockets)
aquila.Client(model="x").stream("hi")
print(sorted({"httpx", "aiohttp"} & set(sys.modules)))
"""


def test_importing_aquila_opens_nothing_and_loads_no_http_library_before_it_is_needed() -> None:
    output = subprocess.run(
        [sys.executable, "-c", IDLE_IMPORT], capture_output=True, text=True, check=True
    ).stdout

    assert output.splitlines() == ["[] [] []", "[]"]


async def test_the_calls_of_a_client_share_its_cassette(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    answers = ScriptedTransport(*(Answer(chunks=wire.answer(text)) for text in ("first", "second")))

    monkeypatch.setenv("AQUILA_CASSETTES", "once")
    recording = aquila.Client(transport=answers, cassette="shared")
    recorded = [(await recording.ask("hi")).text for _ in range(2)]
    monkeypatch.setenv("AQUILA_CASSETTES", "none")
    replaying = aquila.Client(cassette="shared")
    replayed = [(await replaying.ask("hi")).text for _ in range(2)]

    assert recorded == replayed == ["first", "second"]
    with pytest.raises(aquila.CassetteMismatch, match="already played"):
        await replaying.ask("hi")


async def test_a_client_may_be_entered_though_it_needs_no_closing(transport: ScriptedTransport) -> None:
    async with aquila.Client(transport=transport) as client:
        assert (await client.ask("hi")).text == "ok"


async def test_dicts_of_a_call_are_joined_with_those_of_its_client() -> None:
    transport = ScriptedTransport(Answer(chunks=wire.answer("x")))
    client = aquila.Client(
        transport=transport, extra_headers={"x-team": "a"}, extra_body={"a": 1, "b": 1}, metadata={"k": 1}
    )

    answer = await client.ask("hi", extra_headers={"x-trace": "t"}, extra_body={"b": 2}, metadata={"l": 2})

    request = transport.requests[0]
    assert (request.headers["x-team"], request.headers["x-trace"]) == ("a", "t")
    body = json.loads(request.body)
    assert (body["a"], body["b"]) == (1, 2)
    assert answer.meta == {"k": 1, "l": 2}


def test_a_client_says_what_is_wrong_with_its_defaults_at_once() -> None:
    with pytest.raises(ConfigError, match="temperature='hot' must be a finite number"):
        aquila.Client(temperature="hot")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "meant"),
    [("max_tokens", "max_output_tokens"), ("system", "instructions"), ("response_format", "output")],
)
def test_a_name_from_elsewhere_is_told_ours(option: str, meant: str) -> None:
    with pytest.raises(TypeError, match=f"here it is {meant}"):
        aquila.stream("hi", **{option: "x"})


def test_a_client_and_a_stream_show_themselves_without_values() -> None:
    client = aquila.Client(api_key="sk-secret-1", model="m")

    assert repr(client) == "<Client with api_key, model>"
    assert repr(client.stream("hi")).endswith("not begun>")


async def test_a_stream_that_was_closed_before_it_began_sends_nothing() -> None:
    transport = ScriptedTransport(Answer(chunks=wire.answer("x")))
    stream = aquila.stream("hi", transport=transport)
    await stream.aclose()

    assert [event async for event in stream] == []
    with pytest.raises(aquila.AquilaError, match="closed before it began"):
        await stream
    assert transport.requests == []
