"""Bodies and framing over a real socket: what is no whole answer is never a success, and what is one is read."""

from __future__ import annotations

import gzip
import json

import pytest

from aquila import errors
from aquila.response import Response
from tests import wire
from tests.fault_server import BOTH, Api, Case, Chat, Responses, check, refusal, reply

SEP = "\u2028\u2029\u0085"


def in_pieces(chunks: list[bytes], size: int) -> list[bytes]:
    body = b"".join(chunks)
    return [body[place : place + size] for place in range(0, len(body), size)]


def broken(api: Api) -> list[Case]:
    said = api.said("Hel", "lo")
    first, second = refusal("503 Service Unavailable"), reply(*api.answer("Hi"))
    return [
        Case(name="a body that ends before the answer does", replies=[reply(*said)],
             error=errors.StreamTruncated, says="ended before the answer did", partial="Hello"),
        Case(name="a body that ends in the middle of an event", replies=[reply(*said, b'data: {"id"')],
             error=errors.StreamTruncated, partial="Hello"),
        Case(name="a beginning and no more", replies=[reply(*said[:1])],
             error=errors.StreamTruncated, requests=3),
        Case(name="a connection that is reset behind content", replies=[reply(*said, "RESET")],
             error=errors.ConnectionFailed, partial="Hello", closed=True),
        Case(name="a connection that is closed behind content", replies=[reply(*said, "CLOSE")],
             error=errors.ConnectionFailed, partial="Hello", closed=True),
        Case(name="a connection that is reset before content", replies=[reply(said[0], "RESET")],
             error=errors.ConnectionFailed, requests=3, closed=True),
        Case(name="a connection that is reset before the head, once", replies=[reply(before=["RESET"]), second],
             text="Hi", requests=2),
        Case(name="a connection that is closed before the head, once", replies=[reply(before=["CLOSE"]), second],
             text="Hi", requests=2),
        Case(name="503 and then an answer", replies=[first, second], text="Hi", requests=2),
        Case(name="an HTML page", replies=[reply(b"<!doctype html><p>Log in", kind="text/html; charset=utf-8")],
             error=errors.ProtocolError, says="Log in"),
        Case(name="a page of HTML that says it is an event stream", replies=[reply(b"\n <html>busy</html>")],
             error=errors.ProtocolError, says="HTML"),
        Case(name="a JSON error with status 200",
             replies=[reply(b'{"error": {"message": "no credit", "type": "x"}}', kind="application/json")],
             error=errors.ProviderStreamError, says="no credit", requests=3),
        Case(name="a JSON error with status 200 and a code of its own",
             replies=[reply(b'{"error": {"message": "bad", "code": 400}}', kind="application/json")],
             error=errors.BadRequestError, says="bad"),
        Case(name="an empty body", replies=[reply()], error=errors.EmptyStream, requests=3),
        Case(name="an empty body once", replies=[reply(), second], text="Hi", requests=2),
        Case(name="keep-alives and no event", replies=[reply(b": ping\n\n", b"\n\n")],
             error=errors.ProtocolError, says="without one event"),
        Case(name="text that is no JSON in an event", replies=[reply(*said, b"data: {nope\n\n")],
             error=errors.ProtocolError, says="{nope", partial="Hello"),
        Case(name="bytes that are no HTTP", replies=[reply(b"SSH-2.0-OpenSSH\r\n\r\n", bare=True)],
             error=errors.ConnectionFailed, requests=3, closed=True),
    ]  # fmt: skip


def whole(api: Api) -> list[Case]:
    answer = api.answer("Hel", "lo")
    last = answer[-1].removesuffix(b"\n\n")
    body = b"".join(answer)
    bare = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    return [
        Case(name="a whole JSON answer of a server that does not stream, on several lines",
             replies=[reply(api.whole("Hello"), kind="application/json")], text="Hello"),
        Case(name="a whole JSON answer that says it is a stream", replies=[reply(*in_pieces([api.whole("Hello")], 7))],
             text="Hello"),
        Case(name="an event of meta data alone at the start", replies=[reply(b"retry: 3000\n\n", *answer)], text="Hello"),
        Case(name="an event with an id and no data", replies=[reply(b"id: 7\nevent: ping\n\n", *answer)], text="Hello"),
        Case(name="a byte order mark", replies=[reply(b"\xef\xbb\xbf", *answer)], text="Hello"),
        Case(name="a last event without a blank line", replies=[reply(*answer[:-1], last)], text="Hello"),
        Case(name="a last event without any line end, and no length", text="Hello", closed=True,
             replies=[reply(bare + b"connection: close\r\n\r\n", *answer[:-1], last, bare=True)]),
        Case(name="line separators of Unicode inside the text", replies=[reply(*api.answer(f"a{SEP}b"))], text=f"a{SEP}b"),
        Case(name="lines that end in CR alone", replies=[reply(*(part.replace(b"\n", b"\r") for part in answer))],
             text="Hello"),
        Case(name="lines that end in CR and LF, cut between them",
             replies=[reply(*in_pieces([body.replace(b"\n", b"\r\n")], 1))], text="Hello"),
        Case(name="one byte at a time", replies=[reply(*in_pieces(answer, 1))], text="Hello"),
        Case(name="everything in one piece", replies=[reply(body)], text="Hello"),
        Case(name="characters cut in pieces", replies=[reply(*in_pieces(api.answer("Grüße \u2019\u2022\u00d7", "🏴", "\ufe0f"), 2))],
             text="Grüße \u2019\u2022\u00d7🏴\ufe0f"),
        Case(name="data without the blank behind its colon",
             replies=[reply(*(part.replace(b"data: ", b"data:") for part in answer))], text="Hello"),
        Case(name="comments and blank lines between the events",
             replies=[reply(*(b": keep-alive\n\n\n\n" + part for part in answer))], text="Hello"),
        Case(name="tokens that come twice", replies=[reply(*api.answer("5", "5", " ha", "ha"))], text="55 haha"),
        Case(name="a compressed body though none was asked for",
             replies=[reply(gzip.compress(body), headers={"content_encoding": "gzip"})], text="Hello"),
        Case(name="a body without length or chunks", closed=True, text="Hello",
             replies=[reply(bare + b"\r\n", *answer, bare=True)]),
        Case(name="a socket that lingers behind the end", replies=[reply(*answer, "LINGER")], text="Hello",
             closed=True, seconds=3),
    ]  # fmt: skip


def parts(*content: object) -> bytes:
    """A chunk whose content is a list."""
    return wire.event({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": content}}]})


def data_lines(payload: bytes) -> bytes:
    """The same event with its JSON on several lines of data."""
    text = json.dumps(json.loads(payload.removeprefix(b"data: ")), indent=1)
    return b"".join(f"data: {line}\n".encode() for line in text.splitlines()) + b"\n"


CHAT_ONLY = [
    Case(name="a finish reason and no closing mark", text="Hello",
         replies=[reply(*Chat.said("Hello"), wire.delta(finish="stop"))]),
    Case(name="a closing mark without a finish reason", partial="Hello", error=errors.StreamTruncated,
         replies=[reply(*Chat.said("Hello"), wire.DONE)]),
    Case(name="JSON over several lines of data", text="Hello",
         replies=[reply(*map(data_lines, Chat.answer("Hello")[:-1]), wire.DONE)]),
    Case(name="no choices, or no text in them", text="Hello", replies=[reply(
        wire.event({"object": "", "choices": [], "prompt_filter_results": []}), wire.event({"provider": "x"}),
        wire.event({"choices": [{"index": 0, "finish_reason": None}]}), wire.delta(""), wire.event({"choices": [{"index": 0, "delta": {"content": None}}]}),
        *Chat.answer("Hello"))]),
    Case(name="content as a list of parts", text="Hello", replies=[reply(
        parts({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}),
        parts({"type": "text", "text": "Hello"}), wire.delta(finish="stop"), wire.DONE)]),
    Case(name="a second answer beside the first", text="A", replies=[reply(
        wire.event({"choices": [{"index": 1, "delta": {"content": "B"}, "finish_reason": "stop"}]}), *Chat.answer("A"))]),
    Case(name="an end without [DONE] after reasoning alone", error=errors.StreamTruncated, replies=[reply(
        wire.delta(reasoning_content="hm"))]),
]  # fmt: skip
RESPONSES_ONLY = [
    Case(name="[DONE] behind the last event", text="Hello", replies=[reply(*Responses.answer("Hello"), wire.DONE)]),
    Case(name="text only in the last event", text="Hello",
         replies=[reply(Responses.answer("Hello")[0], Responses.answer("Hello")[-1])]),
    Case(name="an event of an unknown type", text="Hello", replies=[reply(
        Responses.answer("Hello")[0], wire.event({"type": "response.telepathy.delta", "delta": "hm"}),
        *Responses.answer("Hello")[1:])]),
    Case(name="an empty answer is no reason to ask again", text="", replies=[reply(*Responses.answer())]),
]  # fmt: skip

ROWS = [
    *((api, case) for api in BOTH for case in (*broken(api), *whole(api))),
    *((Chat, case) for case in CHAT_ONLY),
    *((Responses, case) for case in RESPONSES_ONLY),
]


@pytest.mark.parametrize(
    ("api", "case"), [pytest.param(api, case, id=f"{api.endpoint}: {case.name}") for api, case in ROWS]
)
async def test_a_body_is_a_whole_answer_or_an_error(api: Api, case: Case) -> None:
    await check(case, api)


async def test_a_page_is_named_by_status_kind_and_its_first_words_and_no_key() -> None:
    page = b"<html>sk-secret-1 " + b"x" * 5000
    case = Case(name="", replies=[reply(page, kind="text/html", headers={"x_request_id": "req_7"})],
                error=errors.ProtocolError, options={"api_key": "sk-secret-1"})  # fmt: skip

    error = await check(case, Chat)

    assert isinstance(error, errors.ProtocolError)
    assert (error.request_id, " 200 " in str(error), "text/html" in str(error)) == ("req_7", True, True)
    assert "sk-secret-1" not in f"{error} {error.__dict__}"
    assert len(str(error)) < 600


async def test_reasoning_that_a_part_holds_is_reasoning() -> None:
    answer = await check(next(case for case in CHAT_ONLY if "list of parts" in case.name), Chat)

    assert isinstance(answer, Response)
    assert answer.reasoning == "hm"


def with_text(api: Api, text: str) -> bytes:
    """A chunk whose text is written as escapes."""
    made = api.said("@")[-1]
    return made.replace(b'"@"', f'"{text}"'.encode())


@pytest.mark.parametrize("api", BOTH)
async def test_halves_of_a_character_do_not_cost_the_answer(api: Api) -> None:
    opening, *rest = api.said("a")
    halves = [with_text(api, half) for half in (r"\ud83d", r"\ude00")]
    end = api.answer("a")[len(rest) + 1 :] if api is Chat else [api.answer()[-1]]
    case = Case(name="", replies=[reply(opening, *rest, *halves, *end)], text="a\ufffd\ufffd")

    await check(case, api)
