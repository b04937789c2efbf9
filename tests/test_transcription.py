from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import aquila
from aquila import errors
from aquila.endpoint.transcript import TranscriptDecoder
from aquila.testing import Answer, ScriptedTransport
from aquila.transport.base import Request
from tests import wire
from tests.forms import read_form

SOUND = b"ID3\x00\xff\r\n"
USAGE = {
    "type": "tokens",
    "input_tokens": 14,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
    "output_tokens": 45,
    "total_tokens": 59,
}


def json_answer(payload: Any) -> Answer:
    return Answer(
        headers={"content-type": "application/json", "x-request-id": "req_1"},
        chunks=[json.dumps(payload).encode()],
    )


def text_answer(text: str, kind: str = "text/plain; charset=utf-8") -> Answer:
    return Answer(headers={"content-type": kind}, chunks=[text.encode()])


def fields_of(request: Request) -> dict[str, Any]:
    parts = read_form(request.headers["content-type"], request.body)
    return {parameters["name"]: data.decode("latin-1") for parameters, _, data in parts}


def said(kind: str, **facts: Any) -> bytes:
    return wire.event({"type": f"transcript.text.{kind}", **facts})


async def test_a_recording_becomes_text() -> None:
    transport = ScriptedTransport(json_answer({"text": "Hello, world.", "usage": USAGE}))

    found = await aquila.transcribe_audio(
        SOUND, language="en", prompt="Aquila", transport=transport, base_url="http://localhost/v1"
    )

    assert (found.text, str(found)) == ("Hello, world.", "Hello, world.")
    assert found.usage == aquila.Usage(input_tokens=14, output_tokens=45, total_tokens=59)
    assert (found.request_id, found.attempts, found.raw["usage"]) == ("req_1", 1, USAGE)
    assert (found.language, found.duration, found.segments) == (None, None, ())
    request = transport.requests[0]
    assert (request.method, request.url) == ("POST", "http://localhost/v1/audio/transcriptions")
    assert (request.model, request.headers["accept"]) == ("gpt-transcribe", "application/json")
    parts = read_form(request.headers["content-type"], request.body)
    assert [(parameters["name"], data) for parameters, _, data in parts] == [
        ("model", b"gpt-transcribe"),
        ("language", b"en"),
        ("prompt", b"Aquila"),
        ("file", SOUND),
    ]
    assert parts[3][0]["filename"] == "audio.mp3"


async def test_further_fields_are_merged_and_lists_are_sent_as_several() -> None:
    transport = ScriptedTransport(json_answer({"text": "x"}))
    more = {
        "temperature": 0,
        "include": ["logprobs"],
        "chunking_strategy": {"type": "server_vad"},
        "language": None,
    }

    await aquila.transcribe_audio(SOUND, language="en", extra_body=more, transport=transport)

    fields = fields_of(transport.requests[0])
    assert fields["temperature"] == "0"
    assert fields["include[]"] == "logprobs"
    assert json.loads(fields["chunking_strategy"]) == {"type": "server_vad"}
    assert "language" not in fields


async def test_times_and_speakers_come_in_the_provider_s_own_shape() -> None:
    segment = {"id": "seg_1", "start": 0.0, "end": 1.5, "speaker": "A", "text": "Hi"}
    body = {
        "text": "Hi",
        "language": "english",
        "duration": 1.5,
        "segments": [segment],
        "words": [{"word": "Hi", "start": 0.0, "end": 0.4}],
    }

    found = await aquila.transcribe_audio(
        SOUND, response_format="verbose_json", transport=ScriptedTransport(json_answer(body))
    )

    assert (found.language, found.duration, found.segments) == ("english", 1.5, (segment,))
    assert found.words[0]["word"] == "Hi"


async def test_seconds_that_are_billed_are_the_sound_s_length() -> None:
    body = {"text": "Hi", "usage": {"type": "duration", "seconds": 9}}

    found = await aquila.transcribe_audio(SOUND, transport=ScriptedTransport(json_answer(body)))

    assert (found.duration, found.usage) == (9.0, None)


async def test_formats_of_text_come_as_text_whatever_they_begin_with() -> None:
    subtitles = "1\n00:00:00,000 --> 00:00:01,000\nHi\n\n"

    plain = await aquila.transcribe_audio(
        SOUND, response_format="text", transport=ScriptedTransport(text_answer("{laughs} <i>ü</i>\n"))
    )
    srt = await aquila.transcribe_audio(
        SOUND, response_format="srt", transport=ScriptedTransport(text_answer(subtitles))
    )

    assert plain.text == "{laughs} <i>ü</i>"
    assert (srt.text, srt.raw) == (subtitles, subtitles)


async def test_a_gateway_that_answers_json_for_text_is_read_as_well() -> None:
    transport = ScriptedTransport(json_answer({"text": "Hi"}))

    assert (await aquila.transcribe_audio(SOUND, response_format="text", transport=transport)).text == "Hi"


@pytest.mark.parametrize(
    ("answer", "wanted", "kind"),
    [
        (text_answer("<html>", "text/html"), "text", errors.ProtocolError),
        (text_answer("<html>", "text/html"), None, errors.ProtocolError),
        (json_answer({"texts": 1}), None, errors.ProtocolError),
        (json_answer({"error": {"message": "too long", "code": 400}}), None, errors.BadRequestError),
        (Answer(status=413, chunks=[b"too large"]), None, errors.APIStatusError),
    ],
)
async def test_what_is_no_transcript_is_an_error(
    answer: Answer, wanted: Any, kind: type[errors.AquilaError]
) -> None:
    with pytest.raises(kind):
        await aquila.transcribe_audio(SOUND, response_format=wanted, transport=ScriptedTransport(answer))


async def test_what_cannot_be_sent_is_refused_before_anything_is(tmp_path: Path) -> None:
    transport = ScriptedTransport(json_answer({"text": "x"}))

    with pytest.raises(errors.ConfigError, match=r"gone\.mp3"):
        await aquila.transcribe_audio(tmp_path / "gone.mp3", transport=transport)
    with pytest.raises(errors.ConfigError, match="filename="):
        await aquila.transcribe_audio(SOUND, filename="a\nb.mp3", transport=transport)
    with pytest.raises(errors.ConfigError, match="fancy="):
        await aquila.transcribe_audio(SOUND, extra_body={"fancy": object()}, transport=transport)
    with pytest.raises(errors.ConfigError, match=r"gone\.mp3"):
        aquila.stream_transcription(tmp_path / "gone.mp3", transport=transport)

    assert transport.requests == []


async def test_text_comes_while_it_is_written() -> None:
    segment = {"id": "seg_1", "start": 0, "end": 1, "speaker": "A", "text": "Hi"}
    chunks = [
        said("delta", delta="Hello"),
        said("delta", delta=", world."),
        said("segment", **segment),
        said("done", text="Hello, world.", usage=USAGE),
        wire.DONE,
    ]
    transport = ScriptedTransport(Answer(chunks=chunks))
    heard: list[str] = []

    async with aquila.stream_transcription(
        SOUND, sink=aquila.sink.callback(lambda event: heard.append(event.type)), transport=transport
    ) as stream:
        events = [event async for event in stream]

    assert [str(event) for event in events if isinstance(event, aquila.Chunk)] == ["Hello", ", world."]
    assert aquila.Status("segment", segment) in events
    last = events[-1]
    assert isinstance(last, aquila.Done)
    assert (last.response.text, last.response.status) == ("Hello, world.", "completed")
    assert last.response.usage == aquila.Usage(input_tokens=14, output_tokens=45, total_tokens=59)
    assert last.response.messages == ()
    assert heard[-1] == "done"
    assert fields_of(transport.requests[0])["stream"] == "true"


async def test_a_model_that_cannot_stream_gives_its_text_at_once() -> None:
    segment = {"id": 0, "text": "Hi"}
    transport = ScriptedTransport(json_answer({"text": "Hi", "segments": [segment]}))

    events = [event async for event in aquila.stream_transcription(SOUND, transport=transport)]

    assert aquila.Status("segment", segment) in events
    assert "".join(str(event) for event in events if isinstance(event, aquila.Chunk)) == "Hi"


async def test_a_transcript_without_its_end_is_truncated_and_a_failed_start_is_tried_again() -> None:
    cut = ScriptedTransport(Answer(chunks=[said("delta", delta="Hel")]))
    busy = ScriptedTransport(Answer(status=503), Answer(chunks=[said("done", text="Hello")]))

    with pytest.raises(errors.StreamTruncated) as caught:
        await aquila.stream_transcription(SOUND, transport=cut)
    again = await aquila.stream_transcription(SOUND, transport=busy, retry=aquila.Retry(min_backoff=0.001))

    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hel"
    assert (again.text, again.attempts) == ("Hello", 2)


async def test_a_transcript_of_silence_is_empty_and_whole() -> None:
    transport = ScriptedTransport(Answer(chunks=[said("done", text="")]))

    response = await aquila.stream_transcription(SOUND, transport=transport)

    assert (response.text, response.status) == ("", "completed")


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b'{"type": "error", "message": "no", "code": "429"}', errors.RateLimitError),
        (b'{"error": {"message": "no"}}', errors.ProviderStreamError),
        (b"not json", errors.ProtocolError),
        (b"[1]", errors.ProtocolError),
        (b'{"type": "transcript.text.delta", "delta": 1}', errors.ProtocolError),
    ],
)
def test_a_payload_that_is_wrong_is_an_error(payload: bytes, kind: type[errors.AquilaError]) -> None:
    with pytest.raises(kind):
        TranscriptDecoder().decode("", payload)


def test_what_only_the_end_says_is_added_and_what_differs_is_left() -> None:
    missing, other = TranscriptDecoder(), TranscriptDecoder()
    missing.decode("", b'{"type": "transcript.text.delta", "delta": "Hel"}')
    other.decode("transcript.text.delta", b'{"delta": "Hal"}')

    added = missing.decode("", b'{"type": "transcript.text.done", "text": "Hello"}')
    left = other.decode("", b'{"type": "transcript.text.done", "text": "Hello"}')

    assert added[0] == aquila.Chunk("lo")
    assert not any(isinstance(event, aquila.Chunk) for event in left)
    assert missing.ended
    assert missing.closed


def test_an_event_of_no_known_kind_passes_through() -> None:
    events = TranscriptDecoder().decode("", b'{"type": "transcript.text.mood", "mood": "sad"}')

    assert events == [aquila.Unknown({"type": "transcript.text.mood", "mood": "sad"})]


async def test_a_recording_travels_over_a_real_connection_as_it_is(tmp_path: Path) -> None:
    data = bytes(range(256)) * 700
    path = tmp_path / "talk.wav"
    path.write_bytes(data)

    async def handle(connection: wire.Connection) -> None:
        kind = next(line for line in connection.head.splitlines() if line.lower().startswith("content-type:"))
        received.append(read_form(kind.partition(":")[2].strip(), connection.body)[-1][2])
        connection.play([said("delta", delta="Hi"), said("done", text="Hi")])

    received: list[bytes] = []
    async with wire.serve(handle) as server:
        response = await aquila.stream_transcription(path, base_url=server.url)

    assert response.text == "Hi"
    assert received == [data]


async def test_transcripts_are_recorded_and_played_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AQUILA_CASSETTE_DIR", str(tmp_path))
    monkeypatch.setenv("AQUILA_CASSETTES", "once")
    inner = ScriptedTransport(json_answer({"text": "Hi"}), Answer(chunks=[said("done", text="Ho")]))
    await aquila.transcribe_audio(SOUND, transport=inner, cassette="whole")
    await aquila.stream_transcription(SOUND, transport=inner, cassette="streamed")

    monkeypatch.setenv("AQUILA_CASSETTES", "none")
    whole = await aquila.transcribe_audio(SOUND, cassette="whole")
    streamed = await aquila.stream_transcription(SOUND, cassette="streamed")

    assert (whole.text, streamed.text) == ("Hi", "Ho")
    with pytest.raises(errors.CassetteMismatch):
        await aquila.transcribe_audio(SOUND + b"x", cassette="whole")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["type", "delta", "text", "usage", "error", "segments"]), _JSON),
    st.sampled_from(["delta", "segment", "done", "other"]),
)
def test_no_payload_raises_anything_but_errors_of_ours(facts: dict[str, Any], kind: str) -> None:
    for payload in (facts, {**facts, "type": f"transcript.text.{kind}"}):
        data = json.dumps(payload).encode()
        for read in (lambda data: TranscriptDecoder().decode("", data), TranscriptDecoder().decode_whole):
            try:
                events = read(data)
            except errors.AquilaError:
                continue
            assert all(isinstance(event, aquila.events.EventBase) for event in events)


@given(st.lists(st.text(), max_size=6), st.text())
def test_fragments_and_the_rest_are_the_whole_text(pieces: list[str], rest: str) -> None:
    decoder = TranscriptDecoder()
    whole = "".join(pieces) + rest

    events = [
        *(event for piece in pieces for event in decoder.decode("", _event("delta", delta=piece))),
        *decoder.decode("", _event("done", text=whole)),
    ]

    assert "".join(event.text for event in events if isinstance(event, aquila.Chunk)) == whole


def _event(kind: str, **facts: Any) -> bytes:
    return json.dumps({"type": f"transcript.text.{kind}", **facts}).encode()
