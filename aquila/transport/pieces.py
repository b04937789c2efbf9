"""`Pieces`: a large request body, written piece by piece, as one write of megabytes would hold up the event loop."""

from __future__ import annotations

#: Bytes that are written at a time.
PIECE_BYTES = 256 * 1024


class Pieces:
    """An async iterable over a body. It can be read again, as a lost connection is tried a second time."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def __aiter__(self) -> Pieces:
        return Pieces(self._body)

    async def __anext__(self) -> bytes:
        piece = self._body[self._at : self._at + PIECE_BYTES]
        if not piece:
            raise StopAsyncIteration
        self._at += PIECE_BYTES
        return piece
