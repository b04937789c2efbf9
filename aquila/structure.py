"""The object a run is asked for: shown while it grows, read at the end, mended once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aquila.errors import OutputInvalid
from aquila.events import Chunk, Event, Partial, Retrying
from aquila.response import Response

if TYPE_CHECKING:
    from aquila.output import Growing, Shape


class Structure:
    """Follows the answers of one run.

    Args:
        shape: What the answer must look like.
    """

    def __init__(self, shape: Shape[Any]) -> None:
        self._shape = shape
        self._repaired = False
        self._growing: Growing | None = None

    def restart(self) -> None:
        """Forget what has grown: another answer begins."""
        self._growing = None

    def shown(self, events: list[Event]) -> list[Event]:
        """Add the object as far as these events bring it, once for all of them."""
        from aquila.output import Growing  # noqa: PLC0415 - loads pydantic, which most runs do without

        value = None
        for event in events:
            if isinstance(event, Retrying):
                self.restart()
            elif isinstance(event, Chunk):
                self._growing = self._growing or Growing(self._shape)
                grown = self._growing.feed(event.text)
                value = value if grown is None else grown
        return events if value is None else [*events, Partial(value)]

    def parse(self, response: Response[Any]) -> Any:
        """Read the whole answer.

        Raises:
            OutputInvalid: It has not the shape asked for; `problems` is empty when asking again cannot help.
        """
        try:
            return self._shape.validate(response.text)
        except OutputInvalid as error:
            if response.refusal:
                raise OutputInvalid(f"the model refused to give the object: {response.refusal}") from error
            if response.status == "incomplete":
                long = response.finish_reason == "length"
                remedy = "raise max_output_tokens, or ask for less" if long else "ask in another way"
                raise OutputInvalid(
                    f"the answer was cut ({response.finish_reason}) before the object was whole; {remedy}"
                ) from error
            raise

    def repair(self, error: OutputInvalid) -> str:
        """Give the prompt that asks for a better answer.

        Raises:
            OutputInvalid: The error itself: it was asked for once already, or asking cannot help.
        """
        if self._repaired or not error.problems:
            raise error
        self._repaired = True
        return self._shape.repair_prompt(error)
