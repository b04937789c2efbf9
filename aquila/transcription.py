"""Speech to text: `transcribe_audio`, and `stream_transcription` for text while it is written.

Each function has a twin that takes a `Line`, for callers with defaults of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeAlias, Unpack

from anyio import to_thread

from aquila.call import Call
from aquila.endpoint.transcript import read_transcript, transcript_usage
from aquila.endpoint.transcription import TRANSCRIPTIONS, TranscriptionEndpoint, form_fields
from aquila.multipart import encode_form
from aquila.plan import Plan
from aquila.reply import Reply, read_object, unexpected
from aquila.request_options import RequestOptions
from aquila.response import Response, Usage
from aquila.roundtrip import Line
from aquila.sink.base import Sink
from aquila.sound import Source, read_sound
from aquila.streams import Stream

DEFAULT_MODEL = "gpt-transcribe"
Format: TypeAlias = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]

#: Formats whose answer is the text itself.
_TEXTS = {"text", "srt", "vtt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """What was said in a recording."""

    text: str
    #: The language, where the provider names it.
    language: str | None = None
    #: Seconds of sound; None if the provider does not say.
    duration: float | None = None
    #: Pieces with their times, and their speakers where asked for, in the provider's own shape.
    segments: tuple[Mapping[str, Any], ...] = ()
    #: Words with their times, where asked for.
    words: tuple[Mapping[str, Any], ...] = ()
    #: Tokens; None for a model that is billed by the second.
    usage: Usage | None = None
    #: The provider's id of the HTTP request.
    request_id: str | None = None
    #: HTTP requests this took.
    attempts: int = 1
    #: The wire payload, undecoded: see `raw`.
    payload: bytes = field(default=b"", repr=False)

    @property
    def raw(self) -> Any:
        """The provider's answer, decoded on each access; one that is no JSON is text."""
        return Response(payloads=(self.payload,)).raw[0]

    def __str__(self) -> str:
        return self.text


async def transcribe_audio(
    source: Source,
    *,
    model: str = DEFAULT_MODEL,
    language: str | None = None,
    prompt: str | None = None,
    response_format: Format | None = None,
    filename: str | None = None,
    extra_body: Mapping[str, Any] | None = None,
    **options: Unpack[RequestOptions],
) -> Transcription:
    """Write down what is said in a recording.

    Args:
        source: A path or bytes.
        model: The model's name.
        language: The language spoken, as `en`; None lets the model find out.
        prompt: Names and words that may occur, or the text before; None for nothing.
        response_format: `diarized_json` tells speakers apart, `verbose_json` gives times, `srt` and `vtt` are subtitles
            as text; None leaves it to the provider.
        filename: The name the provider is told, by whose ending it knows the format; None takes the path's, or one that
            fits the bytes.
        extra_body: Further fields of the form, merged over the others; a list is sent as several fields.
        options: See `RequestOptions`.

    Raises:
        ConfigError: The source cannot be read, or a value cannot be used.
        AquilaError: The request failed.
        TypeError: An option is unknown.
    """
    async with Line(options, model=model) as line:
        fields = form_fields(model, language, prompt, response_format, extra_body)
        return await transcribe(line, source, fields, filename=filename)


def stream_transcription(
    source: Source,
    *,
    model: str = DEFAULT_MODEL,
    language: str | None = None,
    prompt: str | None = None,
    response_format: Literal["json", "diarized_json"] | None = None,
    filename: str | None = None,
    extra_body: Mapping[str, Any] | None = None,
    sink: Sink | None = None,
    **options: Unpack[RequestOptions],
) -> Stream:
    """Prepare a transcription whose text comes while it is written; nothing is sent until the Stream is used.

    It gives `Chunk` for text, `Status("segment", ...)` for a speaker's piece, and `Done`. A path is read at once.

    Args:
        source: A path or bytes.
        model: The model's name; one that cannot stream gives the whole text at its end.
        language: The language spoken, as `en`; None lets the model find out.
        prompt: Names and words that may occur, or the text before; None for nothing.
        response_format: `diarized_json` tells speakers apart; None leaves it to the provider.
        filename: The name the provider is told, by whose ending it knows the format; None takes the path's, or one that
            fits the bytes.
        extra_body: Further fields of the form, merged over the others; a list is sent as several fields.
        sink: Gets every event of the run.
        options: See `RequestOptions`.

    Raises:
        ConfigError: The source cannot be read, or a value cannot be used.
        TypeError: An option is unknown.
    """
    line = Line(options, model=model)
    fields = form_fields(model, language, prompt, response_format, {"stream": True, **(extra_body or {})})
    return transcript_stream(line, source, fields, filename=filename, sink=sink)


async def transcribe(
    line: Line, source: Source, fields: list[tuple[str, str]], *, filename: str | None = None
) -> Transcription:
    """Write down over a line what is said in a recording.

    Args:
        line: Where to send it.
        source: A path or bytes.
        fields: The form, as `form_fields` makes it.
        filename: The name the provider is told; None finds one.

    Raises:
        ConfigError: The source cannot be read, or a value cannot be used.
        AquilaError: The request failed.
    """
    sound = await to_thread.run_sync(read_sound, source, filename)
    body, kind = encode_form(fields, sound)
    wanted = dict(fields).get("response_format")
    read = partial(_read_transcription, line, wanted)
    headers = {"content-type": kind, **({"accept": "*/*"} if wanted in _TEXTS else {})}
    return await line.send("POST", TRANSCRIPTIONS, read, body=body, headers=headers)


def transcript_stream(
    line: Line,
    source: Source,
    fields: list[tuple[str, str]],
    *,
    filename: str | None = None,
    sink: Sink | None = None,
) -> Stream:
    """Prepare a streamed transcription over a line, which need not be open.

    Args:
        line: Where to send it.
        source: A path or bytes.
        fields: The form, as `form_fields` makes it.
        filename: The name the provider is told; None finds one.
        sink: Gets every event of the run.

    Raises:
        ConfigError: The source cannot be read, or a value cannot be used.
    """
    body, kind = encode_form(fields, read_sound(source, filename))
    destination = line.destination
    plan = Plan(
        ref=line.ref,
        call=Call(model=dict(fields)["model"], messages=()),
        endpoint=TranscriptionEndpoint(line.profile, body),
        destination=replace(destination, headers={**destination.headers, "content-type": kind}),
    )
    return Stream(plan, sink=sink)


def _read_transcription(line: Line, wanted: str | None, reply: Reply) -> Transcription:
    found: dict[str, Any] = {
        "request_id": reply.request_id,
        "attempts": line.attempts,
        "payload": reply.body,
    }
    if wanted in _TEXTS and not reply.kind.endswith("json"):
        if reply.kind.endswith("html"):
            raise unexpected(reply, None, "a transcript")
        text = reply.body.decode("utf-8", "replace")
        return Transcription(text=text.strip() if wanted == "text" else text, **found)
    facts = read_transcript(read_object(reply))
    language, usage = facts.get("language"), facts.get("usage")
    seconds = usage.get("seconds") if isinstance(usage, Mapping) else None
    return Transcription(
        text=facts["text"],
        language=language if isinstance(language, str) else None,
        duration=_seconds(facts.get("duration"), seconds),
        segments=_objects(facts.get("segments")),
        words=_objects(facts.get("words")),
        usage=transcript_usage(facts),
        **found,
    )


def _seconds(*values: object) -> float | None:
    return next((float(value) for value in values if isinstance(value, int | float)), None)


def _objects(value: object) -> tuple[Mapping[str, Any], ...]:
    return tuple(item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else ()
