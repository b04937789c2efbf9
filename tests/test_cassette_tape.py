"""What a tape writes: nothing secret, or nothing at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette.file.disk import read as read_cassette
from aquila.cassette.interaction import Failure, Interaction
from aquila.cassette.matching.match import request_key
from aquila.cassette.matching.rules import Rules
from aquila.cassette.secrets.secret import Secret
from aquila.cassette.store import open_store
from aquila.cassette.tape import Tape, _abandon_all, unfinished
from aquila.errors import CassetteError
from aquila.transport.base import Request
from tests.planted_secrets import PLANTED, planting
from tests.tapes import HELLO, KEY, record, replay, request, scripted

NOW = datetime(2026, 11, 22, 10, 24, 1, tzinfo=UTC)
JSON = {"content-type": "application/json"}


def tape(path: Path, sent: Request, *, rules: Rules | None = None, secrets: tuple[Secret, ...] = ()) -> Tape:
    rules = rules or Rules()
    ticks = count()
    store, key = open_store(path), request_key(sent, rules)
    return Tape(
        store,
        store.reserve(key, {}),
        sent,
        key=key,
        rules=rules,
        secrets=secrets,
        clock=lambda: next(ticks) / 100,
        recorded_at=NOW,
    )


def put(path: Path, sent: Request, *parts: bytes, rules: Rules | None = None, **headers: str) -> Interaction:
    """Record one answer and read it back."""
    made = tape(path, sent, rules=rules)
    made.answered(200, {name.replace("_", "-"): value for name, value in headers.items()})
    made.parts += [(number / 10, part) for number, part in enumerate(parts, start=1)]
    made.finish("complete")
    return (read_cassette(path) or ())[-1]


@settings(deadline=None, max_examples=60)
@given(planting(), planting(), st.lists(st.integers(0, 500), max_size=4))
def test_a_secret_of_a_body_is_nowhere_in_the_file(
    tmp_path_factory: pytest.TempPathFactory,
    write_request: Callable[[str], bytes],
    write_answer: Callable[[str], bytes],
    cuts: list[int],
) -> None:
    path = tmp_path_factory.mktemp("tape") / "a.yaml"
    sent = Request(method="POST", url="https://e.test/v1", headers=JSON, body=write_request(PLANTED))
    answer = write_answer(PLANTED)
    bounds = sorted({0, *(min(cut, len(answer)) for cut in cuts), len(answer)})
    parts = [answer[start:end] for start, end in pairwise(bounds)]

    found = put(path, sent, *parts, content_type="application/json")

    assert "pl4nted" not in path.read_text()
    assert found.body == write_answer("[redacted]")
    assert len(found.chunks) == len(parts)
    assert found.key == request_key(sent)


async def test_a_request_with_a_secret_field_is_answered_by_its_recording(tmp_path: Path) -> None:
    sent = request(tools=[{"type": "mcp", "authorization": "abc", "headers": {"x-key": "def"}}])
    other = request(tools=[{"type": "mcp", "authorization": "another", "headers": {"x-key": "key"}}])

    await record(tmp_path / "a.yaml", scripted(*HELLO), sent)

    assert await replay(tmp_path / "a.yaml", other) == [list(HELLO)]


def test_a_project_names_what_it_hides(tmp_path: Path) -> None:
    sent = replace(request(), url="https://e.test/v1?tenant=abc", headers={**JSON, "tenant": "abc"})
    rules = Rules.of(redact=["tenant"])

    found = put(tmp_path / "a.yaml", sent, b'{"Tenant":"abc"}', rules=rules, tenant="abc")

    assert found.request.url == "https://e.test/v1?tenant=[redacted]"
    assert found.request.headers["tenant"] == found.headers["tenant"] == "[redacted]"
    assert found.body == b'{"Tenant":"[redacted]"}'


def test_what_is_known_of_the_body_is_known_of_the_redacted_one(tmp_path: Path) -> None:
    answer = b'{"api_key":"' + b"x" * 50 + b'"}'

    found = put(tmp_path / "a.yaml", request(), answer, content_length=str(len(answer)))

    assert found.headers == {}
    assert not found.edited
    assert found.chunks[0].at_ms == 100


def test_a_reader_who_had_the_promised_bytes_had_them_all_although_some_were_replaced(tmp_path: Path) -> None:
    made = tape(tmp_path / "a.yaml", request())
    made.answered(200, {"content-length": "15"})
    made.parts.append((1.0, b'{"api_key":"x"}'))
    made.finish("cut")

    (found,) = read_cassette(tmp_path / "a.yaml") or ()
    assert (found.end, found.body) == ("complete", b'{"api_key":"[redacted]"}')


@pytest.mark.parametrize("body", [KEY.encode(), b"a named value", b'{"a":"a n\\u0061med value"}'])
def test_a_known_value_stops_the_save_and_leaves_the_file(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "a.yaml"
    put(path, request("First"), *HELLO)
    before = path.read_bytes()

    with pytest.raises(CassetteError, match="is in the response body") as caught:
        put(path, request(), body, rules=Rules.of(secrets=["a named value"]))

    assert "a named value" not in str(caught.value)
    assert path.read_bytes() == before
    assert unfinished() == ()


def test_a_secret_that_comes_in_pieces_stops_the_save_and_its_event_is_named(tmp_path: Path) -> None:
    texts = ["Your key: sk", "-abcdefghij", "0123456789"]
    events = [
        f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': text}}]})}\n\n" for text in texts
    ]

    with pytest.raises(CassetteError) as caught:
        put(tmp_path / "a.yaml", request(), *(event.encode() for event in events))

    assert "an API key (sk-...) is in the response body, event 1 at $.choices[0].delta.content;" in str(
        caught.value
    )
    assert not (tmp_path / "a.yaml").exists()


@pytest.mark.parametrize(
    ("prompt", "answer", "remedy"),
    [
        ("sk-abcdefghij0123456789", b"{}", "content; put a placeholder into the prompt, and record again"),
        ("Hello", b"sk-abcdefghij0123456789", "change the prompt or the provider's test data"),
    ],
)
def test_a_leak_says_what_to_do_and_what_is_allowed_is_saved(
    tmp_path: Path, prompt: str, answer: bytes, remedy: str
) -> None:
    with pytest.raises(CassetteError, match=remedy) as caught:
        put(tmp_path / "a.yaml", request(prompt), answer)
    found = put(
        tmp_path / "a.yaml", request(prompt), answer, rules=Rules.of(allow=["sk-abcdefghij0123456789"])
    )

    assert "if it is no secret, list the text in `allow`" in str(caught.value)
    assert found.body == answer


def test_a_leak_beside_the_texts_of_a_request_names_its_field(tmp_path: Path) -> None:
    sent = replace(request(), body=b'{"metadata":{"note":"sk-abcdefghij0123456789"}}')

    with pytest.raises(
        CassetteError, match="note; keep it out of the request, or name its field in `redact`"
    ):
        put(tmp_path / "a.yaml", sent, b"{}")


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
def test_an_answer_without_a_body_keeps_the_length_it_tells(tmp_path: Path, method: str, status: int) -> None:
    made = tape(tmp_path / "a.yaml", Request(method=method, url="https://e.test/f"))
    made.answered(status, {"content-length": "1234", "content-encoding": "gzip"})
    made.finish("complete")

    (found,) = read_cassette(tmp_path / "a.yaml") or ()
    assert found.headers == {"content-length": "1234", "content-encoding": "gzip"}


def test_half_a_surrogate_pair_is_written_as_its_escape(tmp_path: Path) -> None:
    sent = replace(request(), url="https://e.test/\udc80")

    found = put(tmp_path / "a.yaml", sent, b'{"model":"m\\ud83d"}')

    assert (found.request.url, found.model) == ("https://e.test/\\udc80", "m\\ud83d")
    assert found.key == request_key(sent)


def test_at_exit_one_tape_that_cannot_be_written_does_not_keep_the_others_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tapes = [tape(tmp_path / f"{number}.yaml", request()) for number in range(3)]
    for made in tapes:
        made.answered(200, {})

    def broken(*_: object) -> None:
        raise ValueError("out of order")

    monkeypatch.setattr(tapes[1], "_write", broken)
    _abandon_all()

    assert [path.name for path in sorted(tmp_path.glob("*.yaml"))] == ["0.yaml", "2.yaml"]
    assert "out of order" in capsys.readouterr().err


def test_the_limits_of_an_organisation_can_be_recorded(tmp_path: Path) -> None:
    words = "Rate limit reached for m in organization {} on requests per min (RPM): Limit 3"
    body = json.dumps({"error": {"message": words.format("org-AbCdEfGhIjKlMnOpQrStUv12")}}).encode()

    found = put(tmp_path / "a.yaml", request(), body)

    assert json.loads(found.body)["error"]["message"] == words.format("[redacted]")


def test_the_words_of_a_failure_are_redacted(tmp_path: Path) -> None:
    made = tape(tmp_path / "a.yaml", request())

    made.finish("error", Failure(error="ConnectionFailed", message='refused {"password": "abc"}'))

    (found,) = read_cassette(tmp_path / "a.yaml") or ()
    assert found.failure is not None
    assert found.failure.message == 'refused {"password": "[redacted]"}'


@pytest.mark.parametrize(
    ("url", "cost"),
    [
        ("https://api.openai.com/v1/chat/completions", Decimal("0.0000075")),
        ("http://aquila.local/v1/chat/completions", None),
        ("http://127.0.0.1:8080/v1/chat/completions", None),
    ],
)
def test_an_answer_has_its_price(tmp_path: Path, url: str, cost: Decimal | None) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
    body = json.dumps({"model": "gpt-4o-mini-2024-07-18", "usage": usage}).encode()

    found = put(tmp_path / "a.yaml", replace(request(), url=url), body)

    assert found.usage == {"input": 10, "output": 10, "cached": 0}
    assert found.cost_usd == cost
