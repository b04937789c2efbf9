from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import vcr
import yaml

from aquila.cassette.file.format import assemble, render
from aquila.cassette.file.importing import Imported, import_file
from aquila.cassette.file.parse import load
from aquila.cassette.interaction import Interaction
from aquila.cassette.matching.rules import Rules
from aquila.cassette.secrets.secret import Secret
from tests.tapes import HELLO, interaction, request

SSE = b"".join(HELLO)
JSON = json.dumps(
    {"model": "m-1", "usage": {"prompt_tokens": 1, "completion_tokens": 2}, "text": "é 🦅"}
).encode()
BODIES = {
    "/json": ("application/json", None, JSON),
    "/sse": ("text/event-stream; charset=utf-8", None, SSE),
    "/crlf": ("text/event-stream", None, SSE.replace(b"\n", b"\r\n")),
    "/packed": ("application/json", "gzip", gzip.compress(JSON)),
    "/packed-sse": ("text/event-stream", "gzip", gzip.compress(SSE)),
    "/bytes": ("image/jpeg", None, bytes(range(256))),
}


class Provider(BaseHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        kind, encoding, body = BODIES[self.path.partition("?")[0]]
        self.send_response(200)
        for name, value in (
            ("content-type", kind), ("content-encoding", encoding), ("set-cookie", "session=0123456789abcdef"),
            ("set-cookie", "b=c"), ("openai-organization", "acme-1234"), ("x-request-id", "r1"),
            ("content-length", str(len(body))),
        ):  # fmt: skip
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def provider() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def ask(url: str, *, texts_only: bool = False) -> list[tuple[int, bytes]]:
    headers = {"authorization": "Bearer abcdefgh12345678ijkl", "x-tenant": "one"}
    with httpx.Client(headers=headers) as client:
        answers = [
            client.post(f"{url}{path}", json={"model": "m", "prompt": "hé"})
            for path in (("/json", "/sse", "/crlf") if texts_only else BODIES)
        ]
        if not texts_only:
            answers.append(client.post(f"{url}/json", content=b"\xff\x00"))
    return [(answer.status_code, answer.content) for answer in answers]


MATCH_ON = ["method", "scheme", "host", "port", "path", "query", "body"]


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_what_vcrpy_recorded_replays_in_vcrpy_as_before_once_it_is_imported(
    provider: str, tmp_path: Path, kind: str
) -> None:
    source, target = tmp_path / f"a.{kind}", tmp_path / "imported.yaml"
    with vcr.VCR(record_mode="once", serializer=kind).use_cassette(str(source)):
        # vcrpy's JSON serializer takes no bytes.
        recorded = ask(provider, texts_only=kind == "json")

    found = import_file(source.read_bytes(), source.name)
    target.write_bytes(written(found))

    with vcr.VCR(record_mode="none", match_on=MATCH_ON).use_cassette(str(target)) as cassette:
        assert ask(provider, texts_only=kind == "json") == recorded
        assert cassette.all_played
    assert found.writer == "vcrpy"
    assert found.leak is None
    assert {"authorization", "openai-organization", "set-cookie"} <= {*found.redacted}
    assert {"host", "x-request-id"} <= {*found.left_out}
    text = target.read_text(encoding="utf-8")
    assert not [secret for secret in ("abcdefgh12345678", "0123456789abcdef", "acme-1234") if secret in text]


def test_an_imported_stream_has_one_event_a_chunk_and_no_times(provider: str, tmp_path: Path) -> None:
    with vcr.VCR(record_mode="once").use_cassette(str(tmp_path / "a.yaml")):
        ask(provider)

    found = load(written(import_file((tmp_path / "a.yaml").read_bytes(), "a.yaml")), "a.yaml")

    by_path = {item.request.url.rpartition("/")[2]: item for item in found[:-1]}
    stream = by_path["packed-sse"]
    assert [chunk.data for chunk in stream.chunks] == [HELLO[0], HELLO[1], *parts(HELLO[2])]
    assert (stream.model, stream.usage) == ("tiny-1", {"input": 12, "output": 3, "cached": 0})
    assert (by_path["packed"].model, by_path["bytes"].model) == ("m-1", None)
    assert {(item.source, item.total_ms, item.recorded_at) for item in found} == {("imported", 0, None)}
    assert "content-encoding" not in stream.headers
    assert json.loads(stream.request.body) == {"model": "m", "prompt": "hé"}


def parts(events: bytes) -> list[bytes]:
    return [event + b"\n\n" for event in events.removesuffix(b"\n\n").split(b"\n\n")]


def written(found: Imported) -> bytes:
    return assemble(map(render, found.interactions)).encode()


def item(sent: dict[str, Any], answer: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "request": {"method": "POST", "uri": "https://e.test/v1", "headers": {}, **sent},
        "response": {"status": {"code": 200, "message": "OK"}, "headers": {}, **answer},
        **more,
    }


def imported(*items: dict[str, Any], **options: Any) -> Imported:
    return import_file(
        yaml.safe_dump({"version": 1, "interactions": list(items)}, sort_keys=False).encode(),
        "a.yaml",
        **options,
    )


def only(found: Imported) -> Interaction:
    (one,) = load(written(found), "a.yaml")
    return one


def test_secrets_in_bodies_are_redacted_by_name() -> None:
    sent = {"body": '{"api_key": "k-1", "tenant": "acme"}', "headers": {"content-type": "application/json"}}

    found = imported(item(sent, {"body": {"string": "a"}}), rules=Rules.of(redact=["tenant"]))

    assert json.loads(only(found).request.body) == {"api_key": "[redacted]", "tenant": "[redacted]"}
    assert found.redacted == ("request body",)


def test_a_secret_that_is_still_inside_is_told_with_its_place() -> None:
    sent = {
        "body": '{"prompt": "my key is correct-horse-7"}',
        "headers": {"content-type": "application/json"},
    }

    found = imported(
        item(sent, {"body": {"string": "a"}}), secrets=[Secret("the value of MY_KEY", "correct-horse-7")]
    )

    assert found.leak is not None
    number, leak = found.leak
    assert (number, leak.kind) == (1, "the value of MY_KEY")
    assert leak.place == "request body at $.prompt"


def test_a_credential_of_the_request_that_is_also_in_the_answer_is_a_leak() -> None:
    sent = {"body": "", "headers": {"authorization": ["Bearer abcdefgh12345678"]}}

    assert imported(item(sent, {"body": {"string": "abcdefgh12345678 is no key"}})).leak is not None


def test_what_another_recorder_put_in_a_secrets_place_is_none() -> None:
    sent = {"body": "", "headers": {"authorization": ["Bearer [FILTERED-1]"]}}

    assert imported(item(sent, {"body": {"string": "[FILTERED-1]"}})).leak is None


def test_what_the_rules_allow_is_no_leak() -> None:
    sent = {"body": '{"prompt": "sk-abcdefghij0123456789"}', "headers": {"content-type": "application/json"}}
    one = item(sent, {"body": {"string": "a"}})

    assert imported(one).leak is not None
    assert imported(one, rules=Rules.of(allow=["sk-abcdefghij0123456789"])).leak is None


def test_an_answer_without_a_body_keeps_the_length_it_tells() -> None:
    answer = {"headers": {"content-length": ["1234"]}, "body": {"string": ""}}

    found = {method: imported(item({"method": method, "body": ""}, answer)) for method in ("HEAD", "GET")}

    assert only(found["HEAD"]).headers == {"content-length": "1234"}
    assert only(found["GET"]).headers == {}


def test_a_file_of_ours_keeps_its_times_and_loses_the_marks_of_a_hand() -> None:
    recorded = interaction(chunks=[(5, HELLO[0]), (9, HELLO[1])], seq=4, head_ms=3, total_ms=9, source=None)
    text = "# a comment\n" + assemble([render(recorded)]).replace("ße", "ter")

    found = import_file(text.encode(), "a.yaml")

    one = only(found)
    assert (found.writer, one.source, one.edited, one.seq, one.total_ms) == ("Aquila", None, False, 4, 9)
    assert one.body == (HELLO[0] + HELLO[1]).replace("ße".encode(), b"ter")


def test_a_request_edited_by_hand_gets_the_key_of_what_it_says_now() -> None:
    text = assemble([render(interaction(request("Hello")))]).replace('"Hello"', '"Bye"')

    found = import_file(text.encode(), "a.yaml")

    assert only(found).key == interaction(request("Bye")).key
    assert f"key: {only(found).key}" in written(found).decode()


def test_texts_of_a_request_are_not_put_together() -> None:
    sent = json.dumps([{"arguments": '{"password": "hun'}, {"arguments": "Paris"}])
    exchange = {
        "request": {"method": "POST", "uri": "https://x.test/v1", "body": sent, "headers": {"content-type": ["application/json"]}},
        "response": {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": "ok"}},
    }  # fmt: skip
    data = yaml.safe_dump({"version": 1, "interactions": [exchange]}).encode()

    found = only(import_file(data, "a.yaml"))

    assert json.loads(found.request.body)[1] == {"arguments": "Paris"}
