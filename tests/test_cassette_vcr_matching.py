from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
import vcr

from aquila.cassette.matching.match import Index, request_key
from aquila.cassette.matching.rules import Rules
from aquila.errors import ConfigError
from tests.tapes import interaction, request


def test_matchers_of_vcrpy_are_asked_when_nothing_is_equal() -> None:
    asked = []

    def same_path(sent: vcr.request.Request, recorded: vcr.request.Request) -> None:
        asked.append((json.loads(sent.body)["messages"][0]["content"], sent.headers["authorization"]))
        assert sent.path == recorded.path

    rules = Rules.of(match_on=[vcr.matchers.method, same_path])
    elsewhere = replace(request("A"), url="https://e.test/v2")
    index = Index([interaction(elsewhere), interaction(request("B")), interaction(request("C"))], rules)

    found = [index.claim(request_key(sent, rules), sent) for sent in map(request, "CDEF")]

    assert found == [2, 1, None, None]
    assert asked == [(sent, "[redacted]") for sent in "DDEF"]
    assert index.unplayed() == (0,)


@pytest.mark.parametrize(("verdict", "position"), [(True, 0), (None, 0), (False, None)])
def test_a_matcher_says_no_by_false_only(verdict: bool | None, position: int | None) -> None:
    rules = Rules.of(match_on=[lambda *_: verdict])

    index = Index([interaction(request("A"))], rules)

    assert index.claim("unknown", request("B")) == position


def test_matchers_without_vcrpy_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vcr.request", None)
    index = Index([interaction()], Rules.of(match_on=[print]))

    with pytest.raises(ConfigError, match=r"match_on needs vcrpy; pip install 'aquila-llm\[cassettes\]'"):
        index.claim("unknown", request("B"))
