from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aquila.cassette.file.disk import read
from aquila.cassette.file.parse import load
from aquila.errors import CassetteError
from tests.tape_files import FULL, refusal, saved
from tests.tapes import interaction, request

GOOD = saved(interaction())


@pytest.mark.parametrize(
    ("data", "place"),
    [
        pytest.param(b"", "line 1: the file is empty; delete it", id="empty"),
        pytest.param(b" \n\t\n", "line 1: the file is empty; delete it", id="blank"),
        pytest.param(b"\xff\xfe", "line 1: not UTF-8", id="not UTF-8"),
        pytest.param(b"version: 1\n# \xfc\n", "line 2: not UTF-8", id="Latin-1"),
        pytest.param(GOOD.replace("uri:", "\turi:").encode(), "line 5: not valid YAML", id="tab"),
        pytest.param((GOOD + "<<<<<<< HEAD\n").encode(), "unresolved merge conflict", id="conflict"),
        pytest.param("version: 1\n# é\ninteractions:\n- \x00".encode(), "line 4: not valid YAML", id="NUL"),
        pytest.param(b"version: 1\ninteractions: !!python/name:os.system\n", "line 2: not valid YAML", id="code"),
        pytest.param(b"- a\n", "line 1: the file is not a mapping", id="a list"),
        pytest.param(b"hello\n", "line 1: the file is not a mapping", id="prose"),
        pytest.param(b"interactions: []\n", "line 1: the file has no `version`", id="no version"),
        pytest.param(GOOD.replace("version: 1", "version: 2").encode(), "line 1: version is 2, expected 1", id="version"),
        pytest.param(b"version: true\ninteractions: []\n", "line 1: version is True", id="true version"),
        pytest.param(b"version: 1\n", "line 1: the file has no `interactions`", id="no interactions"),
        pytest.param(b"version: 1\ninteractions: 3\n", "line 2: interactions is not a list", id="a number"),
        pytest.param(b"version: 1\ninteractions:\n- a\n", "line 3: interaction 1 is not a mapping", id="item"),
        pytest.param((GOOD + "interactions: []\n").encode(), "not valid YAML (the key 'interactions' stands twice)", id="twice"),
        pytest.param(b'{"version": 1, "version": 1, "interactions": []}', "line 1: not valid YAML (the key", id="JSON twice"),
        pytest.param(b'{"version": 1,\n "interactions": [\n', "line 3: not valid YAML", id="JSON cut"),
    ],
)  # fmt: skip
def test_a_broken_file_is_told_in_one_line_with_its_line(data: bytes, place: str) -> None:
    message = refusal(data)

    assert place in message
    assert any(remedy in message for remedy in ("restore", "delete"))


@pytest.mark.parametrize(
    ("line", "written", "place"),
    [
        ("    uri: ", "    url: ", "interaction 1, request has no `uri`"),
        ("    method: POST", "    method: [POST]", "interaction 1, request.method is not a text"),
        ("code: 200", "code: ok", "interaction 1, response.status.code is not a whole number"),
        ("code: 200", "code: 20", "interaction 1, response.status.code is not a status of three digits"),
        ("{code: 200, message: OK}", "200", "interaction 1, response.status is not a mapping"),
        ("[text/event-stream]", "[no]", "interaction 1, response.headers.content-type is not a text; put"),
        ("[text/event-stream]", "{a: b}", "interaction 1, response.headers.content-type is not a text"),
        ("      string: ", "      text: ", "interaction 1, request has its body in another recorder's form; convert it: aquila cassette import x.yaml"),
        ("      v: 1", "      v: 2", "interaction 1, response.aquila.v is 2, which a newer release writes; pip"),
        ("      v: 1", "      recorded_at: now", "interaction 1, response.aquila.recorded_at is not a time"),
        ("      end: complete", "      end: maybe", "interaction 1, response.aquila.end is 'maybe', expected complete"),
        ("      end: complete", "      end: {message: x}", "interaction 1, response.aquila.end has no `error`"),
        ("      head_ms: 0", "      head_ms: 1.5", "interaction 1, response.aquila.head_ms is not a whole"),
        ("      head_ms: 0", "      head_ms: -1", "interaction 1, response.aquila.head_ms is not a time between 0 and"),
        ("      total_ms: 0", f"      total_ms: {10**30}", "interaction 1, response.aquila.total_ms is not a time between"),
        ("      head_ms: 0", f"      seq: 0x{'f' * 4000}", "interaction 1, response.aquila.seq has more than 4,000 digits"),
        ("      v: 1", "      recorded_at: '0001-01-01T00:00:00+14:00'", "interaction 1, response.aquila.recorded_at is not a time between the years"),
        ("      end: complete", "      end: {error: ReadTimeout, seconds: .inf}", "interaction 1, response.aquila.end.seconds is not a time"),
        ("'22:14'", f"'{10**20}:14'", "interaction 1, response.aquila.chunks ends later than"),
        ("'22:14'", "22:14", "interaction 1, response.aquila.chunks is not a text"),
        ("'22:14'", "a:b", "interaction 1, response.aquila.chunks has 'a:b', which is not milliseconds:bytes"),
        ("'22:14'", f"'0:{'9' * 5000}'", "interaction 1, response.aquila.chunks has '0:999"),
        ("'22:14'", "'22:13'", "interaction 1, response.aquila.chunks counts 13 bytes where the body has 14"),
        ("      sha: ", "      usage: many\n      sha: ", "interaction 1, response.aquila.usage is not a mapping"),
        ("      sha: ", "      usage: {input: a}\n      sha: ", "interaction 1, response.aquila.usage.input is not a whole"),
        ("      sha: ", "      cost_usd: cheap\n      sha: ", "interaction 1, response.aquila.cost_usd is not an amount"),
        ("      sha: ", "      cost_usd: .nan\n      sha: ", "interaction 1, response.aquila.cost_usd is not an amount"),
        ("      sha: ", "      cost_usd: -1\n      sha: ", "interaction 1, response.aquila.cost_usd is not an amount"),
        ("      sha: ", "      cost_usd: true\n      sha: ", "interaction 1, response.aquila.cost_usd is not a whole number"),
        ("      sha: ", "      cost_usd: '1e-999999'\n      sha: ", "interaction 1, response.aquila.cost_usd has more than 4,000"),
        ("      sha: ", "      cost_usd: '0e999999'\n      sha: ", "interaction 1, response.aquila.cost_usd has more than 4,000"),
    ],
)  # fmt: skip
def test_a_field_changed_by_hand_is_named_with_its_line(line: str, written: str, place: str) -> None:
    # What is missing is told at the line of what lacks it.
    number = 3 if place.startswith("interaction 1, request ") else GOOD.count("\n", 0, GOOD.index(line)) + 1

    assert f"line {number}: {place}" in refusal(GOOD.replace(line, written).encode())


def test_interactions_are_counted_from_one() -> None:
    text = saved(interaction(), interaction(request("B"))).replace("chunks: '22:14'", "chunks: 7")
    second = text.rindex("chunks: 7")
    text = text[:second].replace("chunks: 7", "chunks: '22:14'") + text[second:]

    assert f"line {text.count(chr(10), 0, second) + 1}: interaction 2, " in refusal(text.encode())


def test_saving_what_was_loaded_changes_no_byte() -> None:
    text = saved(
        *FULL, interaction(request("x"), source="imported", cost_usd=Decimal("0.1234567890123456789"))
    )

    assert saved(*load(text.encode(), "x.yaml")) == text


@settings(deadline=None)
@given(st.decimals(min_value=0, max_value=10**6, allow_nan=False, allow_infinity=False))
def test_a_cost_comes_back_exactly(cost: Decimal) -> None:
    (found,) = load(saved(interaction(cost_usd=cost)).encode(), "x.yaml")

    assert found.cost_usd == cost


def test_a_cost_reads_as_a_plain_number_between_usage_and_key() -> None:
    lines = saved(interaction(usage={"input": 1}, cost_usd=Decimal("0.000021"))).splitlines()

    assert lines[-3:-1] == ["      usage: {input: 1}", "      cost_usd: 0.000021"]


def test_chunks_written_by_hand_need_no_checksum() -> None:
    text = re.sub(r" +sha: .*\n", "", saved(interaction(chunks=[(5, b"data: a\n"), (9, b"\n")])))

    (found,) = load(text.encode(), "x.yaml")

    assert [tuple(chunk) for chunk in found.chunks] == [(5, b"data: a\n"), (9, b"\n")]
    assert not found.edited


def test_what_was_imported_without_times_claims_none() -> None:
    text = saved(interaction(source="imported", chunks=[(0, b"a")]))

    assert "_ms" not in text
    assert load(text.encode(), "x.yaml")[0].total_ms == 0


def test_a_file_of_twenty_megabytes_is_read() -> None:
    line = b'data: {"choices":[{"delta":{"content":"word"}}]}\n\n'
    body = line * 200_000
    text = saved(interaction(chunks=[(0, body)], headers={"content-type": "text/event-stream"}))

    assert load(text.encode(), "x.yaml")[0].body == body


def test_a_folder_in_the_place_of_a_cassette_is_told(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match=r"x\.yaml is a folder; name a file in it"):
        (tmp_path / "x.yaml").mkdir()
        read(tmp_path / "x.yaml")


@settings(deadline=None)
@given(st.binary(max_size=80), st.integers(0, 10**6))
def test_no_damage_does_anything_but_refuse(noise: bytes, at: int) -> None:
    data = saved(FULL[0]).encode()
    start = at % len(data)

    damaged = data[:start] + noise + data[start + len(noise) :]

    try:
        load(damaged, "x.yaml")
    except CassetteError:
        refusal(damaged)
