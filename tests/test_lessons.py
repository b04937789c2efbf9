from __future__ import annotations

from aquila.endpoint import Profile
from aquila.lessons import lessons_of
from aquila.testing import ScriptedTransport
from aquila.transport import BorrowedTransport, Request


class Unhashable:
    """A transport that cannot be referred to weakly."""

    __slots__ = ()

    async def send(self, request: Request) -> None:
        raise AssertionError(request)

    async def aclose(self) -> None:
        return None


def test_what_a_server_taught_is_known_wherever_the_transport_is_lent() -> None:
    owner = ScriptedTransport()
    lessons_of(BorrowedTransport(owner))["http://a/v1"] = Profile(name="learnt")

    assert lessons_of(BorrowedTransport(owner))["http://a/v1"].name == "learnt"
    assert lessons_of(ScriptedTransport()) == {}


def test_a_transport_that_cannot_be_remembered_learns_each_time() -> None:
    lessons_of(Unhashable())["http://a/v1"] = Profile(name="learnt")  # type: ignore[arg-type]

    assert lessons_of(Unhashable()) == {}  # type: ignore[arg-type]
