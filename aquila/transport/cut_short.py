"""What a replay says where its recording was ended by the reader, and the reader of now asks for more."""

from __future__ import annotations

from aquila.errors import CassetteError


class CutShortError(CassetteError):
    """Nobody knows what comes next. Behind the end of a whole answer it matters no more than a lost connection."""
