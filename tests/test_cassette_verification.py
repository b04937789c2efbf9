from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from aquila.cassette.file.format import assemble, render
from aquila.cassette.file.verification import Finding, Terms, verify
from aquila.cassette.interaction import Interaction
from aquila.cassette.matching.rules import Rules
from aquila.cassette.secrets.secret import Secret
from tests.tapes import HELLO, interaction, request

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TERMS = Terms(now=NOW)


def saved(*interactions: Interaction) -> str:
    return assemble(render(item) for item in interactions)


GOOD = saved(interaction(chunks=[(5, HELLO[0]), (9, HELLO[2])], recorded_at=NOW - timedelta(days=40)))


def line(text: str, part: str) -> int:
    return text.count("\n", 0, text.index(part)) + 1


def one(text: str | bytes, terms: Terms = TERMS) -> Finding:
    data = text if isinstance(text, bytes) else text.encode()
    (finding,) = verify(data, "a.yaml", terms)
    return finding


def test_nothing_is_wrong_with_what_the_recorder_wrote() -> None:
    text = saved(interaction(), interaction(), interaction(request("B"), source="written"))

    assert verify(text.encode(), "a.yaml", TERMS) == ()


def test_an_unreadable_file_is_told_with_its_line() -> None:
    finding = one(GOOD.replace("code: 200", "code: ok"))

    assert (finding.line, finding.is_warning) == (line(GOOD, "code: 200"), False)
    assert finding.what == "interaction 1, response.status.code is not a whole number"
    assert finding.remedy == "correct it, restore the file from git or record it again"


def test_a_body_changed_by_hand_is_a_problem() -> None:
    finding = one(GOOD.replace("Grü", "Trü"))

    assert (finding.line, finding.is_warning) == (line(GOOD, "    body:\n"), False)
    assert "the answer's body was changed by hand" in finding.what
    assert "aquila cassette import --in-place a.yaml" in finding.remedy


def test_a_request_changed_by_hand_is_a_problem() -> None:
    finding = one(GOOD.replace('"Hello"', '"Bye"'))

    assert (finding.line, finding.is_warning) == (line(GOOD, "- request:"), False)
    assert "the request was changed by hand" in finding.what


def test_under_rules_of_the_project_another_key_is_a_warning_and_theirs_none() -> None:
    rules = Rules.of(ignore=["$.messages[*].content"])
    terms = Terms(now=NOW, rules=rules)

    assert verify(GOOD.encode(), "a.yaml", terms) == ()
    assert one(GOOD.replace('"tiny"', '"huge"'), terms).is_warning


@pytest.mark.parametrize(
    ("old", "new", "at", "place"),
    [
        (
            "application/json",
            "sk-abcdefgh12345678ijkl",
            "      content-type: [",
            "request header content-type",
        ),
        ("/v1/chat", "/v1/sk-abcdefgh12345678ijkl", "    uri: ", "request URL"),
        ('"Hello"', '"sk-abcdefgh12345678ijkl"', "    body: |", "request body at $.messages[0].content"),
        ("version: 1\n", "# sk-abcdefgh12345678ijkl\nversion: 1\n", "version: 1", "file"),
    ],
)
def test_a_key_that_is_inside_is_told_with_its_place(old: str, new: str, at: str, place: str) -> None:
    text = GOOD.replace(old, new)

    leaks = [finding for finding in verify(text.encode(), "a.yaml", TERMS) if "API key" in finding.what]

    (leak,) = leaks
    assert leak.what == f"an API key (sk-...) is in the {place}"
    assert leak.line == (1 if place == "file" else line(text, at))
    assert not leak.is_warning
    assert "revoke it" in leak.remedy
    assert "`allow`" in leak.remedy or "import --in-place" in leak.remedy


@pytest.mark.parametrize(
    ("old", "new", "at", "place"),
    [
        ("    aquila:\n", "    aquila:\n      note: >-\n        correct\n        horse battery\n", "note", "file, interaction 1, response.aquila.note"),
        ("    aquila:\n", '    aquila:\n      "correct\\x20horse battery": 1\n', "x20", "file, interaction 1, response.aquila, one of its names"),
        ("version: 1\n", "version: 1\nby: 'correct horse battery'\n", "by:", "file, by"),
        ("message: OK", "message: 'correct horse battery'", "- request", "reason phrase"),
    ],
)  # fmt: skip
def test_a_secret_is_found_in_what_nobody_reads_however_it_is_written(
    old: str, new: str, at: str, place: str
) -> None:
    terms = Terms(now=NOW, secrets=(Secret("the value of MY_KEY", "correct horse battery"),))
    text = GOOD.replace(old, new)

    finding = next(found for found in verify(text.encode(), "a.yaml", terms) if "MY_KEY" in found.what)

    assert (finding.what, finding.line) == (f"the value of MY_KEY is in the {place}", line(text, at))
    assert "horse" not in f"{finding.what}{finding.remedy}"


def test_what_the_rules_allow_is_no_problem() -> None:
    text = saved(interaction(request("sk-abcdefgh12345678ijkl")))

    assert verify(text.encode(), "a.yaml", TERMS) != ()
    assert (
        verify(text.encode(), "a.yaml", Terms(now=NOW, rules=Rules.of(allow=["sk-abcdefgh12345678ijkl"])))
        == ()
    )


def test_a_value_of_the_environment_or_of_the_rules_is_found_and_not_told() -> None:
    for terms in (
        Terms(now=NOW, secrets=(Secret("the value of MY_KEY", "correct-horse"),)),
        Terms(now=NOW, rules=Rules.of(secrets=["correct-horse"])),
    ):
        text = saved(interaction(chunks=[(1, b"data: correct-horse\n\ndata: [DONE]\n\n")]))

        finding = one(text, terms)

        assert "response body" in finding.what
        assert "correct-horse" not in f"{finding.what}{finding.remedy}"


def test_an_old_recording_is_a_problem_where_there_is_a_limit() -> None:
    finding = one(GOOD, Terms(now=NOW, max_age=timedelta(days=39)))

    assert (finding.what, finding.remedy) == ("it was recorded 40 days ago, more than 39", "record it again")
    assert finding.line == line(GOOD, "recorded_at")
    assert verify(GOOD.encode(), "a.yaml", Terms(now=NOW, max_age=timedelta(days=41))) == ()


@pytest.mark.parametrize(
    ("end", "what"),
    [("cut", "the answer was cut: its reader stopped"), ("abandoned", "the answer was abandoned: nobody read it to its end")],
)  # fmt: skip
def test_an_answer_that_nobody_finished_is_a_warning(end: str, what: str) -> None:
    text = saved(interaction(end=end))

    assert one(text) == Finding(
        line=line(text, "end: "), what=what, remedy="record it again", is_warning=True
    )


def test_a_stream_without_a_last_event_is_a_warning() -> None:
    finding = one(saved(interaction(chunks=[(1, HELLO[0])])))

    assert (finding.what, finding.is_warning) == ("the stream ends without a last event", True)


def test_another_style_is_a_warning_at_the_first_line_that_differs() -> None:
    finding = one(GOOD.replace("{code: 200, message: OK}", "{code: 200,  message: OK}"))

    assert (finding.line, finding.is_warning) == (line(GOOD, "code: 200"), True)
    assert finding.remedy == "aquila cassette import --in-place a.yaml rewrites it"


def test_windows_line_ends_are_another_style_and_no_damage() -> None:
    assert one(GOOD.replace("\n", "\r\n")).is_warning


def test_findings_stand_in_the_order_of_their_lines() -> None:
    text = re.sub("Grü", "Trü", saved(interaction(end="cut"), interaction(chunks=[(5, HELLO[0])], end="cut")))

    findings = verify(text.encode(), "a.yaml", TERMS)

    assert [finding.is_warning for finding in findings] == [True, False, True]
    assert [finding.line for finding in findings] == sorted(finding.line for finding in findings)


def test_many_files_take_seconds() -> None:
    data = saved(
        *(interaction(request("x" * 2000), chunks=[(0, HELLO[0] * 20 + HELLO[2])]) for _ in "12")
    ).encode()
    started = time.process_time()

    for _ in range(200):
        assert verify(data, "a.yaml", TERMS) == ()

    assert time.process_time() - started < 10
