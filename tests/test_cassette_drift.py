from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aquila.cassette.matching.drift import Drift, explain, goal_text
from aquila.cassette.matching.match import Index, request_key
from aquila.cassette.matching.rules import Rules
from aquila.cassette.secrets.secret import Secret
from aquila.errors import CassetteMismatch
from aquila.transport.base import Request
from tests.talks import drift, talk
from tests.tapes import HELLO, KEY, URL, interaction, record, replay, request, scripted


def test_a_request_sent_too_often_says_how_often_it_is_recorded() -> None:
    index = Index([interaction(), interaction(request("Other")), interaction()])
    for _ in range(2):
        index.claim(request_key(request()))

    found = explain(request(), index)

    assert (found.reason, found.number, found.equal, found.ignored) == ("already_played", 1, (1, 3), ())
    assert found.lines == ("it is recorded 2 times, as interactions 1 and 3, and sent once more",)


def test_a_request_recorded_once_and_sent_twice() -> None:
    found = drift(request(), request("Other"), request())

    assert found.lines == ("it is recorded once, as interaction 2, and sent once more",)


def test_nothing_is_like_a_request_to_an_empty_cassette() -> None:
    assert drift(request()) == Drift("nothing_similar")


def test_a_request_to_another_endpoint_is_like_nothing_recorded() -> None:
    models = Request(method="GET", url="https://api.example.test/v1/models?limit=2")

    found = drift(models, talk())

    assert (found.reason, found.number) == ("nothing_similar", 1)
    assert found.lines == (
        "method: POST -> GET",
        "url: https://api.example.test/v1/chat/completions -> https://api.example.test/v1/models?limit=2",
    )


def test_another_base_url_is_the_only_difference() -> None:
    sent = replace(talk(), url="http://localhost:8080/v1/chat/completions")

    found = drift(sent, request("Other"), talk())

    assert (found.reason, found.number) == ("nothing_similar", 2)
    assert found.lines == (f"url: {talk().url} -> {sent.url}",)


def test_a_url_that_is_none_is_compared_all_the_same() -> None:
    found = drift(replace(request(), url="http://[broken"), request())

    assert found.lines == (f"url: {request().url} -> http://[broken",)


def test_one_character_of_a_large_image_is_found() -> None:
    data = base64.b64encode(b"".join(hashlib.sha512(b"%d" % n).digest() for n in range(12_000))).decode()
    url = f"data:image/png;base64,{data}"
    changed = url[:777_777] + ("-" if url[777_777] != "-" else "_") + url[777_778:]
    one, other = (
        talk(lambda m, _, url=url: m[4].update(content=[{"type": "image_url", "image_url": {"url": url}}]))
        for url in (url, changed)
    )

    start = time.process_time()
    (line,) = drift(other, one).lines

    assert time.process_time() - start < 5
    assert line.startswith("$.messages[4].content[0].image_url.url: at character 777")
    assert changed[777_770:777_790] in line.replace("+}", "").replace("{+", "")
    assert len(line) < 700


def test_what_is_ignored_is_named_and_not_listed() -> None:
    rules = Rules.of(ignore=["$.metadata.run_id", "$..trace"], ignore_text=[r"\d{4}-\d\d-\d\d"])
    recorded = talk(
        lambda m, _: m[4].update(content="On 2026-01-02 by train?"), metadata={"run_id": 1, "trace": "x"}
    )
    sent = talk(lambda m, _: m[4].update(content="On 2026-11-22 by boat?"), metadata={"run_id": 2})

    found = drift(sent, recorded, rules=rules)

    assert found.lines == ("$.messages[4].content: at character 17: On 2026-01-02 by [-train-]{+boat+}?",)
    assert found.ignored == ("$.metadata.run_id", "$.metadata.trace", "text in $.messages[4].content")


def test_ignored_fields_that_are_equal_are_not_named() -> None:
    rules = Rules.of(ignore=["$.metadata.run_id"], ignore_text=[r"\d+"])

    found = drift(talk(metadata={"run_id": 1}, seed=1), talk(metadata={"run_id": 1}), rules=rules)

    assert found.ignored == ()


def test_an_ignored_item_does_not_move_the_others() -> None:
    found = drift(
        talk(lambda m, _: m[4].update(content="Hm")), talk(), rules=Rules.of(ignore=["$.messages[0]"])
    )

    assert found.lines[0].startswith("$.messages[4].content: ")


def test_a_secret_is_not_shown() -> None:
    rules = Rules.of(secrets=["my-own-credential"])
    sent = request(
        f"Hello my-own-credential {KEY} sk-proj-abcdef0123456789abcdef", api_key="the-key-of-a-field"
    )

    found = drift(sent, request("Hi"), rules=rules)

    told = "\n".join(found.lines)
    for secret in ("my-own", KEY, "sk-proj-abc", "the-key-of"):
        assert secret not in told
    assert "$.messages[0].content: at character 0: [-Hi-]{+Hello [redacted] [redacted] [redacted]+}" in told
    assert '$.api_key: not recorded, now "[redacted]"' in told


def test_a_secret_is_not_shown_in_pieces_either() -> None:
    key = "sk-proj-Abc123def456Ghi789jkl0-mnoPQR-stuXYZaaaaaaaaaaaaaaaaa"
    secret = Secret("the value of X_TOKEN", "hunter2 hunter2 xyz")
    index = Index([interaction(request("my sk-aaa-mnoPQR-stuXYZaaaaaaaaaaaaaaaaa and hunter2 abc"))])

    found = explain(request(f"my {key} and {secret.value}"), index, [secret])

    told = "\n".join(found.lines)
    assert "{+[redacted]+}" in told
    for part in ("proj", "Abc123", "xyz"):
        assert part not in told


def test_a_secret_that_is_written_in_another_way_is_not_shown() -> None:
    secret = Secret("the value of X_TOKEN", 'quo"ted secret')
    encoded = base64.b64encode(secret.value.encode()).decode()
    nested = {"a": 'x quo\\"ted secret', "b": encoded, secret.value: "as a name"}

    found = explain(request(**nested), Index([interaction(request())]), [secret])

    told = "\n".join(found.lines)
    assert '$.a: not recorded, now "[holds the value of X_TOKEN]"' in found.lines
    assert encoded not in told
    assert "ted secret" not in told


def test_a_request_that_differs_in_a_secret_only_says_so() -> None:
    index = Index([interaction(request("it is [redacted]"))])

    found = explain(request("it is hunter2hunter2"), index, [Secret("it", "hunter2hunter2")])

    assert found.lines == ("a secret only, which is not recorded",)


def test_where_a_request_goes_is_told_without_secrets() -> None:
    sent = replace(request(), url=f"https://me:pass@e.test/bot/{KEY}/x?a=b#c")

    assert goal_text(sent, Rules()) == "POST https://e.test/bot/[redacted]/x"


async def test_a_replay_tells_no_secret_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X_TOKEN", "hunter2hunter2xyz")
    await record(tmp_path / "a.yaml", scripted(*HELLO), request("tell me"))
    sent = replace(request("tell me hunter2hunter2xyz and more"), url=f"{URL}/hunter2hunter2xyz")

    with pytest.raises(CassetteMismatch) as caught:
        await replay(tmp_path / "a.yaml", sent)

    told = f"{caught.value}{caught.value.diff}{caught.value.__notes__}"
    assert "[redacted]" in told
    assert "hunter2" not in told
