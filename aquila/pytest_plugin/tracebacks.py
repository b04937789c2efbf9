"""Tracebacks of cassette errors without the frames of Aquila: what matters is the call in the test."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from aquila.errors import CassetteError

_PLUGIN = Path(__file__).parent
_OURS = str(_PLUGIN.parent)


def shorten(error: BaseException) -> None:
    """Cut the traceback of a cassette error behind the last frame that is the user's."""
    if not isinstance(error, CassetteError):
        return
    frame, last = error.__traceback__, None
    while frame is not None:
        if not _is_ours(frame):
            last = frame
        elif last is not None:
            break
        frame = frame.tb_next
    if last is not None and frame is not None:
        last.tb_next = None
        error.__cause__ = error.__context__ = None


def _is_ours(frame: TracebackType) -> bool:
    # The plugin itself stands above the test.
    name = frame.tb_frame.f_code.co_filename
    return name.startswith(_OURS) and not name.startswith(str(_PLUGIN))
