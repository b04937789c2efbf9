from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import vcr
import yaml
from hypothesis import given
from hypothesis import strategies as st
from vcr.persisters.filesystem import CassetteNotFoundError
from vcr.serializers import yamlserializer

from aquila.cassette.file.disk import read, write
from aquila.cassette.vcr import Persister, configure, deserialize, persister, serialize, serializer
from aquila.cassette.watch import WATCHING, Watch
from aquila.errors import CassetteError, ConfigError
from tests.tapes import HELLO, URL, record, request, scripted
from tests.thread_server import reply, serve_in_thread

BINARY = b"\xff\xd8\x00\r\n binary"
CRLF = b"data: a\r\n\r\ndata: [DONE]\r\n\r\n"


def our_vcr(**options: Any) -> Any:
    """Give a VCR with our serializer and persister."""
    mine = vcr.VCR(serializer="aquila", **options)
    mine.register_serializer("aquila", serializer)
    mine.register_persister(persister)
    return mine


def ask(url: str, count: int = 1, **options: Any) -> list[bytes]:
    with httpx.Client() as client:
        return [
            client.post(url, **{"json": {"messages": [{"content": "Grüße"}]}, **options}).content
            for _ in range(count)
        ]


def test_a_recording_of_vcrpy_is_written_for_people_to_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.yaml"
    with serve_in_thread(reply(*HELLO)) as server, our_vcr().use_cassette(str(path)):
        ask(server.url)

    text = path.read_text(encoding="utf-8")
    assert '          "content": "Grüße"\n' in text
    assert '        data: {"choices":[{"delta":{"content":"ße 🦅"}}]}\n' in text
    assert "\n      content-type: [text/event-stream]\n" in text
    assert text.endswith("    status:\n      code: 200\n      message: OK\n")
    assert [item.body for item in read(path) or ()] == [b"".join(HELLO)]


def test_a_file_that_is_cut_off_is_noticed_by_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with serve_in_thread(reply(b"data: a\n\ndata: b\n\n")) as server, our_vcr().use_cassette(str(path)):
        ask(server.url)
    text = path.read_text()
    assert [item.body for item in read(path) or ()] == [b"data: a\n\ndata: b\n\n"]

    write(path, text[: text.index("data: b")])

    with pytest.raises(CassetteError):
        read(path)
    with pytest.raises((KeyError, TypeError)), vcr.use_cassette(str(path), record_mode="none"):
        ask(server.url)


def test_plain_vcrpy_replays_what_was_written_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    answers = [b"".join(HELLO), CRLF, BINARY, b"", "ab\u2028\u0085\ufeff c ".encode(), b'{"a": 1}']
    replies = [reply(answer, content_type="application/json") if answer else reply() for answer in answers]
    with serve_in_thread(*replies) as server:
        url = server.url
        with our_vcr().use_cassette(str(path)):
            live = ask(url, len(answers))
    with vcr.VCR(record_mode="none", match_on=["method", "uri", "body"]).use_cassette(str(path)) as cassette:
        replayed = ask(url, len(answers))

    assert live == replayed == answers
    assert cassette.all_played
    assert "!!binary" in path.read_text()


def test_it_goes_on_with_a_file_that_plain_vcrpy_began(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with serve_in_thread(reply(BINARY), reply(CRLF)) as server:
        with vcr.use_cassette(str(path)):
            ask(server.url)
        with our_vcr(record_mode="new_episodes").use_cassette(str(path)):
            assert ask(server.url, 2) == [BINARY, CRLF]
        with our_vcr(record_mode="none").use_cassette(str(path)):
            assert ask(server.url, 2) == [BINARY, CRLF]


async def test_our_own_file_stays_as_it_is_when_vcrpy_saves_it(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    await record(path, scripted(*HELLO), request())
    ours = path.read_text()

    with serve_in_thread(reply(CRLF)) as server, our_vcr(record_mode="new_episodes").use_cassette(str(path)):
        ask(server.url)

    assert path.read_text().startswith(ours)
    first, second = read(path) or ()
    assert (tuple(chunk.data for chunk in first.chunks), second.body) == (HELLO, CRLF)


@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode(errors="replace"))), st.text())
def test_any_body_comes_back_from_every_reader(body: bytes, value: str) -> None:
    item = {
        "request": {"method": "POST", "uri": URL, "body": body, "headers": {"x": [value]}},
        "response": {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": body}},
    }
    text = serialize({"version": 1, "interactions": [item, item]})
    for reader in (deserialize, yamlserializer.deserialize):
        for found in reader(text)["interactions"]:
            assert found["request"]["headers"] == {"x": [value]}
            assert as_bytes(found["response"]["body"]["string"]) == as_bytes(found["request"]["body"]) == body


def as_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def test_what_others_have_put_into_a_cassette_is_kept() -> None:
    document = {
        "version": 1,
        "interactions": [{"request": {"method": "GET"}, "response": {"note": [1]}, "tag": "x"}],
        "metadata": {"team": "Grün"},
    }
    found = deserialize(serialize(document))
    assert found["metadata"] == {"team": "Grün"}
    assert found["interactions"][0]["tag"] == "x"
    assert found["interactions"][0]["response"]["note"] == [1]


def test_a_python_object_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "kept")
    response = {
        "status": {"code": 200, "message": "OK"},
        "headers": {},
        "body": {"string": b""},
        "x": object(),
    }
    cassette = {"requests": [vcr.request.Request("GET", URL, None, {})], "responses": [response]}

    with pytest.raises(CassetteError, match="was not saved: it holds a Python object, object"):
        persister.save_cassette(tmp_path / "a.yaml", cassette, serializer)
    assert (tmp_path / "a.yaml").read_text() == "kept"


def test_a_missing_file_is_missing_and_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(CassetteNotFoundError, match=r"a\.yaml does not exist"):
        persister.load_cassette(str(tmp_path / "a.yaml"), serializer)


BROKEN = {
    b"caf\xe9": "is not UTF-8",
    b"": "is empty",
    b" \n": "is empty",
    b"version: 1\n<<<<<<< ours\n": r"a\.yaml, line 2: unresolved merge conflict",
    b"version: 1\ninteractions: {": r"a\.yaml, line \d: not valid YAML",
    b"version: 1\n": "has no list of `interactions`",
    b"- request\n": "has no list of `interactions`",
}


@pytest.mark.parametrize("data", BROKEN, ids=repr)
def test_a_broken_file_never_counts_as_an_empty_one(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(data)

    with pytest.raises(CassetteError, match=BROKEN[data]), our_vcr(record_mode="all").use_cassette(str(path)):
        pytest.fail("it was opened")
    assert path.read_bytes() == data


def test_a_file_that_cannot_be_written_is_told_and_the_old_one_stays(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(CassetteError, match="cannot be written"):
        persister.save_cassette(tmp_path / "a" / "b.yaml", {"requests": [], "responses": []}, serializer)


def test_saving_changes_nothing_in_memory(tmp_path: Path) -> None:
    response = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": b"bytes"}}
    cassette = {"requests": [vcr.request.Request("GET", URL, b"x", {})], "responses": [response]}

    persister.save_cassette(tmp_path / "a.yaml", cassette, serializer)

    assert response["body"] == {"string": b"bytes"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_further_cassettes_are_read_and_never_written(tmp_path: Path) -> None:
    for name, answer in (("a", CRLF), ("b", BINARY)):
        with serve_in_thread(reply(answer)) as server, our_vcr().use_cassette(str(tmp_path / f"{name}.yaml")):
            ask(server.url)
    several = Persister((str(tmp_path / "b.yaml"), str(tmp_path / "missing.yaml")))

    _, responses = several.load_cassette(tmp_path / "a.yaml", serializer)

    assert [response["body"]["string"] for response in responses] == [CRLF, BINARY]


def test_configuring_what_is_no_vcr_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"SimpleNamespace is no vcr\.VCR"):
        configure(SimpleNamespace())


CONFTEST = """
import aquila.cassette.vcr

def pytest_recording_configure(config, vcr):
    aquila.cassette.vcr.configure(vcr)
"""
RECORDING = """
import httpx
import pytest

@pytest.mark.vcr("shared.yaml")
def test_it():
    answers = [httpx.post(URL, json={{"prompt": "Grüße"}}).content for _ in range(2)]
    assert answers == {answers}
"""


def run_pytest(folder: Path, mode: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--record-mode={mode}",
         f"--rootdir={folder}", folder / "test_a.py"],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_pytest_recording_writes_our_style_and_still_reads_its_further_cassettes(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    cassettes = tmp_path / "cassettes" / "test_a"
    with serve_in_thread(reply(b"shared\n\n"), reply(b"data: own\n\n")) as server:
        with our_vcr().use_cassette(str(cassettes / "shared.yaml")):
            ask(server.url, json={"prompt": "Grüße"})
        test = RECORDING.replace("URL", repr(server.url)).format(answers=[b"shared\n\n", b"data: own\n\n"])
        (tmp_path / "test_a.py").write_text(test, encoding="utf-8")

        assert "1 passed" in (told := run_pytest(tmp_path, "new_episodes")), told
    assert "1 passed" in (told := run_pytest(tmp_path, "none")), told

    text = (cassettes / "test_it.yaml").read_text(encoding="utf-8")
    assert '"prompt": "Grüße"' in text
    assert "string: |+\n        data: own\n" in text
    yaml.safe_load(text)


def test_credentials_in_headers_are_not_written_and_plain_vcrpy_plays_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    sent = {"Authorization": "Bearer sk-abcdefghij0123456789", "X-Api-Key": "hunter2", "X-Plain": "a"}
    with serve_in_thread(reply(*HELLO)) as server:
        with our_vcr().use_cassette(str(path)):
            ask(server.url, headers=sent)
        with vcr.VCR().use_cassette(str(path), record_mode="none"):
            assert ask(server.url, headers=sent) == [b"".join(HELLO)]

    headers = yaml.safe_load(path.read_text(encoding="utf-8"))["interactions"][0]["request"]["headers"]
    secret = {name for name, value in headers.items() if value == ["[redacted]"]}
    assert {name.lower() for name in secret} == {"authorization", "x-api-key"}
    assert {name.lower() for name in headers} >= {"x-plain", "host", "user-agent"}
    assert "hunter2" not in path.read_text(encoding="utf-8")


def test_headers_keep_their_names_and_their_number_and_bodies_and_urls_their_secrets() -> None:
    item = {
        "request": {"method": "GET", "uri": "https://e.test/?api_key=a", "body": '{"api_key":"a"}', "headers": {"Cookie": "a=b"}},
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": {"Set-Cookie": ["a=b", "c=d"], "Date": ["now"], "X-Request-Key": ["k"]},
            "body": {"string": ""},
        },
    }  # fmt: skip
    before = repr(item)

    (found,) = deserialize(serialize({"version": 1, "interactions": [item]}))["interactions"]

    assert found["request"]["headers"] == {"Cookie": "[redacted]"}
    assert found["response"]["headers"] == {
        "Set-Cookie": ["[redacted]", "[redacted]"],
        "Date": ["now"],
        "X-Request-Key": ["k"],
    }
    assert (found["request"]["uri"], found["request"]["body"]) == (
        "https://e.test/?api_key=a",
        '{"api_key":"a"}',
    )
    assert repr(item) == before


def test_a_run_hears_of_the_cassettes_that_vcrpy_records_and_plays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    watches = [Watch(), Watch()]
    with serve_in_thread(reply(*HELLO)) as server:
        for watch in watches:
            monkeypatch.setattr(WATCHING, "run", watch)
            with our_vcr().use_cassette(str(path)):
                ask(server.url)
            monkeypatch.undo()

    assert [{opened.path for opened in watch.opened} for watch in watches] == [{path}, {path}]
