"""Texts to vectors: `embed`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Unpack

from aquila.endpoint.vectors import embedding_usage, read_vectors
from aquila.endpoint.wire_json import encode_body
from aquila.errors import BadRequestError, ConfigError
from aquila.reply import Reply, read_object, unexpected
from aquila.request_options import RequestOptions
from aquila.response import Response, Usage
from aquila.roundtrip import Line
from aquila.telemetry import start_run

DEFAULT_MODEL = "text-embedding-3-small"

_PATH = "/embeddings"
#: Texts that OpenAI takes in one request.
_BATCH = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """One vector for each text, in the order of the texts."""

    vectors: list[list[float]]
    #: The model as the provider names it, which may differ from the one asked for.
    model: str | None = None
    #: Tokens of all texts; None when the provider sent no usage.
    usage: Usage | None = None
    #: The provider's id of the last HTTP request.
    request_id: str | None = None
    #: HTTP requests this took.
    attempts: int = 1
    #: The wire payloads in order, undecoded: see `raw`.
    payloads: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def raw(self) -> list[Any]:
        """The provider's answers in order, decoded on each access."""
        return Response(payloads=self.payloads).raw


async def embed(
    input: str | Sequence[str],  # noqa: A002 - the API's own name
    *,
    model: str = DEFAULT_MODEL,
    dimensions: int | None = None,
    batch_size: int = _BATCH,
    extra_body: Mapping[str, Any] | None = None,
    **options: Unpack[RequestOptions],
) -> Embeddings:
    """Turn texts into vectors; one text gives one vector.

    Args:
        input: A text or several; none of them may be empty.
        model: The model's name.
        dimensions: Numbers in each vector; None leaves it to the model.
        batch_size: Texts in one request; more are sent in several, one after the other.
        extra_body: Merged over the body of each request last.
        options: See `RequestOptions`; a total time-out counts over all requests.

    Raises:
        ConfigError: There is nothing to embed, or a value cannot be used.
        AquilaError: A request failed.
        TypeError: An option is unknown.
    """
    async with Line(options, model=model) as line:
        fields = {"model": model, "dimensions": dimensions}
        return await embed_over(line, input, {**fields, **(extra_body or {})}, batch_size=batch_size)


async def embed_over(
    line: Line,
    input: str | Sequence[str],  # noqa: A002 - the API's own name
    fields: Mapping[str, Any],
    *,
    batch_size: int = _BATCH,
) -> Embeddings:
    """Turn texts into vectors over a line.

    Args:
        line: Where to send them.
        input: A text or several.
        fields: What the body holds besides the texts, `model` above all; what is None is left out.
        batch_size: Texts in one request.

    Raises:
        ConfigError: There is nothing to embed, or a value cannot be used.
        AquilaError: A request failed.
    """
    texts = _texts(input)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ConfigError(f"batch_size={batch_size!r} must be a whole number above 0")
    # As text a number takes twice the bytes that it takes in base64, and ten times the work.
    body = {
        "encoding_format": "base64",
        **{name: value for name, value in fields.items() if value is not None},
    }
    telemetry = start_run(
        operation="embeddings",
        model=str(body.get("model")),
        facts={"ref": line.ref},
        server=line.destination.base_url,
    )
    found: Embeddings | None = None
    error: BaseException | None = None
    try:
        found = await _batches(line, texts, body, batch_size)
    except BaseException as failure:
        error = failure
        raise
    finally:
        if telemetry is not None:
            telemetry.end(_as_response(found), error)
    return found


async def _batches(line: Line, texts: Sequence[str], body: dict[str, Any], size: int) -> Embeddings:
    starts = range(0, len(texts), size)
    batches = [await _batch(line, texts[start : start + size], body) for start in starts]
    counted = [batch.usage for batch in batches if batch.usage is not None]
    usage = counted[0] if counted else None
    for more in counted[1:]:
        usage = usage.plus(more) if usage is not None else more
    last = batches[-1]
    return Embeddings(
        vectors=[vector for batch in batches for vector in batch.vectors],
        model=last.model,
        usage=usage,
        request_id=last.request_id,
        attempts=line.attempts,
        payloads=tuple(payload for batch in batches for payload in batch.payloads),
    )


async def _batch(line: Line, texts: Sequence[str], body: dict[str, Any]) -> Embeddings:
    read = partial(_read, len(texts))
    try:
        return await line.send("POST", _PATH, read, body=encode_body({**body, "input": texts}))
    except BadRequestError as error:
        if "encoding_format" not in body or not {"encoding_format", "base64"} & _words(error):
            raise
        # The server knows numbers alone, which the batches to come need not ask again.
        del body["encoding_format"]
    return await line.send("POST", _PATH, read, body=encode_body({**body, "input": texts}))


def _read(count: int, reply: Reply) -> Embeddings:
    facts = read_object(reply)
    data = facts.get("data")
    if not isinstance(data, list):
        raise unexpected(reply, facts, "a list of embeddings")
    vectors = read_vectors(data, count)
    model = facts.get("model")
    return Embeddings(
        vectors=vectors,
        model=model if isinstance(model, str) else None,
        usage=embedding_usage(facts.get("usage")),
        request_id=reply.request_id,
        payloads=(reply.body,),
    )


def _texts(given: str | Sequence[str]) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list | tuple):
        raise ConfigError(f"input: {type(given).__name__} is no text; give a text or a list of texts")
    if not texts:
        raise ConfigError("input: nothing to embed; give at least one text")
    for place, text in enumerate(texts):
        if not isinstance(text, str) or not text:
            where = "" if isinstance(given, str) else f"[{place}]"
            raise ConfigError(f"input{where}={text!r} must be text that is not empty")
    return list(texts)


def _words(error: BadRequestError) -> set[str]:
    said = error.body.lower()
    return {word for word in ("encoding_format", "base64") if word in said}


def _as_response(found: Embeddings | None) -> Response | None:
    if found is None:
        return None
    return Response(
        model=found.model, usage=found.usage, request_id=found.request_id, attempts=found.attempts
    )
