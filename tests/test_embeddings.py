from __future__ import annotations

import json
import struct
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import aquila
from aquila import errors
from aquila.cassette import use
from aquila.endpoint.vectors import read_vectors
from aquila.testing import Answer, ScriptedTransport
from aquila.transport.base import Request
from tests import wire


def encoded(*numbers: float) -> str:
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def answer(
    vectors: list[Any], *, tokens: int = 3, model: str = "m-1", order: list[int] | None = None
) -> Answer:
    data = [
        {"object": "embedding", "index": index, "embedding": vectors[index]}
        for index in order or range(len(vectors))
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    body = {"object": "list", "data": data, "model": model, "usage": usage}
    return Answer(headers={"x-request-id": "req_1"}, chunks=[json.dumps(body).encode()])


def body_of(request: Request) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.body)
    return body


async def test_texts_become_vectors_in_their_order() -> None:
    transport = ScriptedTransport(answer([encoded(0.5, -1.0), encoded(2.0, 0.0)], order=[1, 0]))

    found = await aquila.embed(["a", "b"], dimensions=2, transport=transport, base_url="http://localhost/v1")

    assert found.vectors == [[0.5, -1.0], [2.0, 0.0]]
    assert found.usage == aquila.Usage(input_tokens=3, total_tokens=3)
    assert (found.model, found.request_id, found.attempts) == ("m-1", "req_1", 1)
    assert found.raw[0]["object"] == "list"
    request = transport.requests[0]
    assert (request.method, request.url) == ("POST", "http://localhost/v1/embeddings")
    assert body_of(request) == {
        "model": "text-embedding-3-small",
        "dimensions": 2,
        "encoding_format": "base64",
        "input": ["a", "b"],
    }


async def test_one_text_gives_one_vector() -> None:
    transport = ScriptedTransport(answer([encoded(1.0)]))

    assert (await aquila.embed("a", transport=transport)).vectors == [[1.0]]


async def test_numbers_as_text_are_taken_where_a_server_sends_them_all_the_same() -> None:
    transport = ScriptedTransport(answer([[1, 0.5]]))

    assert (await aquila.embed("a", transport=transport)).vectors == [[1.0, 0.5]]


async def test_many_texts_go_in_several_requests_and_come_back_as_one() -> None:
    answers = [
        answer([encoded(float(place)) for place in range(start, stop)])
        for start, stop in ((0, 2048), (2048, 2050))
    ]
    transport = ScriptedTransport(*answers)

    found = await aquila.embed([f"t{place}" for place in range(2050)], transport=transport)

    assert found.vectors == [[float(place)] for place in range(2050)]
    assert [len(body_of(request)["input"]) for request in transport.requests] == [2048, 2]
    assert found.usage == aquila.Usage(input_tokens=6, total_tokens=6)
    assert (found.attempts, len(found.payloads)) == (2, 2)


async def test_a_server_that_knows_no_base64_is_asked_for_numbers_from_then_on() -> None:
    refusal = Answer(status=400, chunks=[b'{"error": {"message": "unknown field encoding_format"}}'])
    transport = ScriptedTransport(refusal, answer([[1.0]]), answer([[2.0]]))

    found = await aquila.embed(["a", "b"], batch_size=1, transport=transport)

    assert found.vectors == [[1.0], [2.0]]
    assert ["encoding_format" in body_of(request) for request in transport.requests] == [True, False, False]


async def test_any_other_refusal_is_final() -> None:
    transport = ScriptedTransport(Answer(status=400, chunks=[b'{"error": {"message": "too long"}}']))

    with pytest.raises(errors.BadRequestError, match="too long"):
        await aquila.embed("a", transport=transport)

    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "nothing to embed"),
        ("", "input=''"),
        (["a", ""], r"input\[1\]=''"),
        (["a", 1], r"input\[1\]=1"),
        (b"a", "bytes"),
        ({"a": 1}, "dict"),
    ],
)
async def test_what_is_no_text_is_refused_before_anything_is_sent(given: Any, words: str) -> None:
    transport = ScriptedTransport(answer([]))

    with pytest.raises(errors.ConfigError, match=words):
        await aquila.embed(given, transport=transport)

    assert transport.requests == []


@pytest.mark.parametrize("size", [0, -1, True, 1.5])
async def test_a_batch_has_at_least_one_text(size: Any) -> None:
    with pytest.raises(errors.ConfigError, match="batch_size="):
        await aquila.embed("a", batch_size=size, transport=ScriptedTransport(answer([])))


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        ([encoded(1.0)], "1 embeddings came for 2"),
        ([encoded(1.0)] * 3, "3 embeddings came for 2"),
        (["###", encoded(1.0)], "not base64"),
        (["AAA=", encoded(1.0)], "32-bit"),
        ([None, encoded(1.0)], "neither base64"),
        ([["x"], encoded(1.0)], "neither base64"),
    ],
)
async def test_vectors_that_cannot_be_are_no_answer(vectors: list[Any], words: str) -> None:
    with pytest.raises(errors.ProtocolError, match=words):
        await aquila.embed(["a", "b"], transport=ScriptedTransport(answer(vectors)))


async def test_two_vectors_for_one_text_are_no_answer() -> None:
    transport = ScriptedTransport(answer([encoded(1.0), encoded(2.0)], order=[0, 0]))

    with pytest.raises(errors.ProtocolError, match="index 0"):
        await aquila.embed(["a", "b"], transport=transport)


async def test_an_error_inside_a_good_answer_is_an_error() -> None:
    transport = ScriptedTransport(Answer(chunks=[b'{"error": {"message": "no such model", "code": 404}}']))

    with pytest.raises(errors.NotFoundError, match="no such model"):
        await aquila.embed("a", transport=transport)


async def test_vectors_come_over_a_real_connection_after_a_broken_one() -> None:
    async def handle(connection: wire.Connection) -> None:
        if len(server.connections) == 1:
            connection.transport.abort()
            return
        connection.start(kind="application/json")
        (chunk,) = answer([encoded(0.25)]).chunks
        assert isinstance(chunk, bytes)
        for place in range(0, len(chunk), 16):
            connection.send(chunk[place : place + 16])
        connection.end()

    async with wire.serve(handle) as server:
        found = await aquila.embed("a", base_url=server.url, retry=aquila.Retry(min_backoff=0.001))

    assert (found.vectors, found.attempts) == ([[0.25]], 2)


async def test_embedding_is_one_span_however_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    transport = ScriptedTransport(answer([encoded(1.0)]), answer([encoded(2.0)]), Answer(status=401))

    await aquila.embed(["a", "b"], batch_size=1, transport=transport)
    with pytest.raises(errors.AuthenticationError):
        await aquila.embed("a", transport=transport)

    good, bad = exporter.get_finished_spans()
    assert good.name == bad.name == "embeddings text-embedding-3-small"
    assert good.attributes is not None
    assert bad.attributes is not None
    assert (good.attributes["gen_ai.usage.input_tokens"], good.attributes["aquila.attempts"]) == (6, 2)
    assert bad.attributes["error.type"] == "AuthenticationError"


async def test_batches_are_recorded_under_one_name_and_played_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    monkeypatch.setenv("AQUILA_CASSETTES", "once")
    inner = ScriptedTransport(answer([encoded(1.0)]), answer([encoded(2.0)]))
    first = await aquila.embed(["a", "b"], batch_size=1, transport=inner, cassette="vectors")

    monkeypatch.setenv("AQUILA_CASSETTES", "none")
    again = await aquila.embed(["a", "b"], batch_size=1, cassette="vectors")

    assert first.vectors == again.vectors == [[1.0], [2.0]]
    with use("vectors", mode="none"), pytest.raises(errors.CassetteMismatch):
        await aquila.embed("c")


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), max_size=5), max_size=5), st.randoms())
def test_vectors_come_out_as_they_went_in_whatever_their_order(
    vectors: list[list[float]], random: Any
) -> None:
    data = [{"index": place, "embedding": encoded(*vector)} for place, vector in enumerate(vectors)]
    random.shuffle(data)

    assert read_vectors(data, len(vectors)) == vectors


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.just("AAAAAA=="),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["index", "embedding"]), inner, max_size=2)
        ),
        max_leaves=8,
    )
)
def test_anything_else_is_an_error_of_ours_and_no_other(data: Any) -> None:
    try:
        vectors = read_vectors(data if isinstance(data, list) else [data], 1)
    except errors.ProtocolError:
        return
    assert len(vectors) == 1
