"""What every event can do."""

from __future__ import annotations

from typing import Any, ClassVar


class EventBase:
    """The base of all events; each is a frozen record with a `type` of its own."""

    __slots__ = ()
    #: The event's kind, in JSON and in logs.
    type: ClassVar[str]
    #: True for what a model says; a request that has given some is not repeated.
    is_content: ClassVar[bool] = False

    def to_dict(self) -> dict[str, Any]:
        """Give the event as JSON-ready values."""
        names: tuple[str, ...] = self.__slots__
        return {"type": self.type, **{name: getattr(self, name) for name in names}}
