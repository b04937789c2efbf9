from __future__ import annotations

import pytest

import chimeway
from chimeway.errors import NotifierInvalid


def test_nobody_can_tell_of_a_decision_but_by_deciding() -> None:
    with pytest.raises(NotifierInvalid, match=r"chimeway\.approve"):
        chimeway.track("default", "ada", "chimeway.approval", {"decision": "approved"})
    with pytest.raises(NotifierInvalid, match="begin it otherwise"):
        chimeway.track("default", "ada", "text.read", dedup_key="chimeway.approval:run:check")


@pytest.mark.parametrize("name", ["", " ", "1st", "text read", "x" * 101, "text.read\n"])
def test_a_name_is_one_that_a_wait_may_have(name: str) -> None:
    with pytest.raises(NotifierInvalid, match="event_name"):
        chimeway.track("default", "ada", name)
