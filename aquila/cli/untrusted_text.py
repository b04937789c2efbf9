"""Printing what a model, a provider or a file says: no control character, no markup, no character it cannot show."""

from __future__ import annotations

from rich.console import Console
from rich.segment import Segment, Segments

from aquila.sink.printable import printable


class Paper:
    """Standard output, in colour on a terminal and plain into a pipe or a file. It ends quietly when its reader goes.

    Args:
        to: A console to print with. None prints on standard output.
    """

    def __init__(self, to: Console | None = None) -> None:
        self._out = to or Console()

    @property
    def width(self) -> int:
        """How many characters fit into a line."""
        return self._out.width

    def write(self, text: str, style: str | None = None) -> None:
        """Print text as it is and at once, without a line end."""
        encoding = self._out.encoding
        shown = printable(text).encode(encoding, "replace").decode(encoding)
        if self._out.color_system is None and not self._out.legacy_windows:
            self._write_plain(shown)
            return
        # A segment is not wrapped, its tabs are kept, and its brackets are no markup.
        segment = Segment(shown, self._out.get_style(style) if style else None)
        self._out.print(Segments([segment]), crop=False, end="")

    def _write_plain(self, text: str) -> None:
        # Without colours nothing is to be worked out, and an answer may have a hundred thousand pieces.
        try:
            self._out.file.write(text)
            self._out.file.flush()
        except BrokenPipeError:
            self._out.on_broken_pipe()

    def line(self, text: str = "", style: str | None = None) -> None:
        """Print text and end the line."""
        self.write(f"{text}\n", style)
