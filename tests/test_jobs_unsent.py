from __future__ import annotations

import pytest

from jobs.live import Entry, Fragments
from jobs.unsent import Unsent


class Heard(Unsent):
    """Notes what it would tell a writer."""

    def __init__(self) -> None:
        super().__init__(1)
        self.urgent: list[bool] = []

    def changed(self, *, urgent: bool) -> None:
        self.urgent.append(urgent)

    def taken(self) -> list[tuple[str, str]]:
        return [(entry.type, entry.said()) for entry in self.take()]


@pytest.mark.parametrize("text", ["", "a", 'b"\\\n', "é\ud83d"])
@pytest.mark.parametrize("named", [{}, {"run": 'r"1'}, {"run": "r", "call_id": "c"}])
def test_fragments_are_written_like_any_other_event(named: dict[str, str], text: str) -> None:
    data = {**named, "text": text}
    joined = Fragments(("chunk", named.get("run"), named.get("call_id")), 3, [text[:1], text[1:]])

    assert joined.said() == Entry("chunk", 3, data).said()


def test_the_first_fragment_of_each_source_is_urgent_and_joined_ones_tell_nobody() -> None:
    heard = Heard()
    for source in (("chunk", "a", None), ("chunk", "a", None), ("chunk", "b", None), ("chunk", "a", None)):
        heard.add_text(source, "x")
    assert heard.urgent == [True, True, False]

    heard.take()
    heard.add_text(("chunk", "a", None), "x")
    assert heard.urgent == [True, True, False, False]


def test_the_calls_of_one_run_are_told_apart() -> None:
    heard = Heard()
    heard.opened = True
    for call, text in (("c1", "{"), ("c1", "}"), ("c2", "[]")):
        heard.append("tool_call_chunk", {"run": "r", "call_id": call, "text": text})

    assert heard.taken() == [
        ("tool_call_chunk", '1 {"run": "r", "call_id": "c1", "text": "{}"}'),
        ("tool_call_chunk", '1 {"run": "r", "call_id": "c2", "text": "[]"}'),
    ]
    assert heard.text == ""


def test_what_was_lost_is_said_again_with_all_of_the_text() -> None:
    heard = Heard()
    heard.add_text(("chunk", "r", None), "a")
    heard.take()
    heard.lost = True
    heard.add_text(("chunk", "r", None), "b")
    heard.add_text(("chunk", "s", None), "c")
    heard.append("status", {"name": "n"})

    assert heard.taken() == [
        ("attempt", '1 {"attempt": 1}'),
        ("chunk", '1 {"run": "r", "text": "ab"}'),
        ("chunk", '1 {"run": "s", "text": "c"}'),
        ("status", '1 {"name": "n"}'),
    ]
    assert heard.text == "abc"


def test_the_end_comes_last() -> None:
    heard = Heard()
    heard.ending = Entry("done", 1, {})
    heard.add_text(("chunk", None, None), "a")

    assert [type_ for type_, _ in heard.taken()] == ["attempt", "chunk", "done"]
