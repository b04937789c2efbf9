"""Responses that the provider keeps: `retrieve_response`, `delete_response`, `cancel_response`.

Each function has a twin that takes a `Line`, for callers with defaults of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Unpack, get_args
from urllib.parse import quote

import msgspec

from aquila.endpoint import ResponsesDecoder
from aquila.errors import ConfigError, ProtocolError
from aquila.folding import Folder
from aquila.reply import Reply, read_object, unexpected
from aquila.request_options import RequestOptions
from aquila.response import Response, Status
from aquila.roundtrip import Line

_STATUSES = get_args(Status)
#: Statuses that the answer will not leave any more, and that say why it is as it is.
_ENDED = {"completed", "incomplete"}


async def retrieve_response(
    response_id: str, *, model: str | None = None, **options: Unpack[RequestOptions]
) -> Response:
    """Fetch a stored response as it is now.

    Its status is one of all six; a failed or cancelled one is no exception: `Response.error` says what went wrong.
    `messages` holds the answer alone, and `meta` the metadata stored with it.

    Args:
        response_id: The response's id.
        model: Which model's server to ask, where a transport chooses by model; None for the default one.
        options: See `RequestOptions`.

    Raises:
        ConfigError: The id or an option's value cannot be used.
        NotFoundError: There is no such response, or it is kept no longer.
        AquilaError: The request failed.
        TypeError: An option is unknown.
    """
    async with Line(options, model=model) as line:
        return await retrieve(line, response_id)


async def delete_response(
    response_id: str, *, model: str | None = None, **options: Unpack[RequestOptions]
) -> dict[str, Any]:
    """Delete a stored response, and give the provider's word on it as it came; empty if it said nothing.

    Args:
        response_id: The response's id.
        model: Which model's server to ask, where a transport chooses by model; None for the default one.
        options: See `RequestOptions`.

    Raises:
        ConfigError: The id or an option's value cannot be used.
        NotFoundError: There is no such response; also when a first try, whose answer was lost, has deleted it.
        AquilaError: The request failed.
        TypeError: An option is unknown.
    """
    async with Line(options, model=model) as line:
        return await delete(line, response_id)


async def cancel_response(
    response_id: str, *, model: str | None = None, **options: Unpack[RequestOptions]
) -> Response:
    """Cancel a response that the provider works on in the background, and give it as it is now.

    Args:
        response_id: The response's id.
        model: Which model's server to ask, where a transport chooses by model; None for the default one.
        options: See `RequestOptions`.

    Raises:
        ConfigError: The id or an option's value cannot be used.
        BadRequestError: The response is not one of the background.
        NotFoundError: There is no such response.
        AquilaError: The request failed.
        TypeError: An option is unknown.
    """
    async with Line(options, model=model) as line:
        return await cancel(line, response_id)


async def retrieve(line: Line, response_id: str) -> Response:
    """Fetch a stored response over a line.

    Raises:
        ConfigError: The id cannot be used.
        AquilaError: The request failed.
    """
    return await line.send("GET", response_path(response_id), partial(read_stored, line))


async def delete(line: Line, response_id: str) -> dict[str, Any]:
    """Delete a stored response over a line.

    Raises:
        ConfigError: The id cannot be used.
        AquilaError: The request failed.
    """
    return await line.send("DELETE", response_path(response_id), _read_word, repeatable=False)


async def cancel(line: Line, response_id: str) -> Response:
    """Cancel a background response over a line.

    Raises:
        ConfigError: The id cannot be used.
        AquilaError: The request failed.
    """
    path = f"{response_path(response_id)}/cancel"
    return await line.send("POST", path, partial(read_stored, line), body=b"{}", repeatable=False)


def response_path(response_id: str) -> str:
    """Give the path of a stored response; the id comes back from the provider's URL exactly as it is.

    Raises:
        ConfigError: It is no id.
    """
    # Dots alone are steps in a path, which an HTTP library would take.
    if not isinstance(response_id, str) or not response_id.strip(". \t\r\n"):
        raise ConfigError(f"response_id={response_id!r} must be the id of a response (Response.response_id)")
    return f"/responses/{quote(response_id, safe='')}"


def read_stored(line: Line, reply: Reply) -> Response:
    """Read a response object, whatever its status.

    Args:
        line: What it came over.
        reply: The answer that holds it.

    Raises:
        ProtocolError: The answer is no response.
        AquilaError: It reports an error.
    """  # noqa: DOC501 - what `unexpected` makes is one of these
    facts = read_object(reply)
    status = facts.get("status") or "completed"
    if not facts.get("id") or not {"status", "output"} & set(facts):
        raise unexpected(reply, facts, "a response")
    if status not in _STATUSES:
        raise ProtocolError(
            f"the response has the status {status!r}, which is none of {', '.join(_STATUSES)}",
            request_id=reply.request_id,
        )
    decoder = ResponsesDecoder(line.destination.server)
    folder = Folder()
    # The decoder makes an exception of a failure, and a wait of what has not ended; here both are facts among others.
    whole = facts if status in _ENDED else {**facts, "status": "completed"}
    folder.add_all(decoder.decode_whole(msgspec.json.encode({"output": None, **whole})))
    folder.add_all(decoder.finish())
    turn = decoder.turn()
    response = folder.response((turn,) if turn is not None else ())
    return response.evolve(
        # Some gateways put the text beside the items.
        text=response.text or _text(facts.get("output_text")),
        status=status,
        finish_reason=response.finish_reason if status in _ENDED else None,
        error=_error(facts.get("error")),
        meta=_mapping(facts.get("metadata")),
        request_id=reply.request_id,
        rate_limits=reply.rate_limits,
        attempts=line.attempts,
        elapsed=line.elapsed,
        payloads=(reply.body,),
    )


def _read_word(reply: Reply) -> dict[str, Any]:
    if not reply.body.strip():
        return {}
    facts = read_object(reply)
    if facts.get("error"):
        raise unexpected(reply, facts, "the word on a deleted response")
    return facts


def _error(said: object) -> Mapping[str, Any] | None:
    if not said:
        return None
    return said if isinstance(said, Mapping) else {"message": str(said)}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
