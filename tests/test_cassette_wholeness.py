from __future__ import annotations

from textwrap import dedent

import pytest

from aquila.cassette.file.parse import load
from aquila.errors import CassetteError
from tests.tape_files import FULL, WRITTEN, refusal, saved
from tests.tapes import interaction


def test_a_file_cut_at_any_byte_is_refused_or_whole_as_far_as_it_goes() -> None:
    recorded = FULL[1], FULL[0], FULL[6]
    facts = [(item.key, item.body, item.end, item.failure) for item in recorded]
    data = saved(*recorded).encode()
    accepted = []

    for length in range(len(data)):
        try:
            found = load(data[:length], "x.yaml")
        except CassetteError:
            refusal(data[:length])
        else:
            accepted.append(len(found))
            assert [(item.key, item.body, item.end, item.failure) for item in found] == facts[: len(found)]

    # At the end of each interaction, before and behind its line break, nothing shows that another one was there.
    assert accepted == [1, 1, 2, 2, 3]


@pytest.mark.parametrize("number", range(len(FULL)))
def test_a_file_of_one_interaction_cut_at_any_byte_is_refused(number: int) -> None:
    data = saved(FULL[number]).encode()

    for length in range(len(data) - 1):
        refusal(data[:length])


@pytest.mark.parametrize(
    ("kind", "body", "problem"),
    [
        ("text/event-stream", 'data: {"a": 1}', "ends in a stream without a last event: the file is cut off"),
        ("application/json", '{"a": ', "ends in the middle of a JSON body: the file is cut off"),
    ],
)
def test_a_body_of_another_tool_cut_off_with_its_file_is_refused(kind: str, body: str, problem: str) -> None:
    text = dedent(WRITTEN).strip().format(kind=kind, body=body)

    message = refusal(text.encode())

    assert message.startswith("x.yaml, line 14: interaction 1 ")
    assert problem in message
    assert "`aquila: {source: written}`" in message
    (found,) = load(f"{text}\n    aquila: {{source: written}}\n".encode(), "x.yaml")
    assert found.body == f"{body}\n".encode()


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/event-stream", "data: [DONE]"), ("application/json", '{"a": 1}'), ("text/plain", "one")],
)
def test_a_whole_body_of_another_tool_may_be_the_last_thing_in_its_file(kind: str, body: str) -> None:
    (found,) = load(dedent(WRITTEN).strip().format(kind=kind, body=body).encode(), "x.yaml")

    assert found.body == body.encode()


OLD_VCRPY = """
interactions:
- request:
    body: null
    headers: {}
    method: POST
    uri: https://e.test/v1
  response:
    body: {string: plain}
    headers: {}
    status: {code: 200, message: OK}
version: 1
"""


def test_a_status_on_one_line_is_no_sign_of_a_cut_where_old_vcrpy_wrote_it() -> None:
    assert load(OLD_VCRPY.encode(), "x.yaml")[0].body == b"plain"


def test_what_another_tool_recorded_may_come_to_stand_last_in_a_file_of_ours() -> None:
    text = (
        dedent(WRITTEN).strip().format(kind="text/event-stream", body="data: a\n\n        data: b")
        + "\n    x: y\n"
    )
    foreign = load(text.encode(), "x.yaml")

    again = load(saved(interaction(), *foreign).encode(), "x.yaml")

    assert again[1].body == foreign[0].body
