from __future__ import annotations

import pytest

from aquila.transport.pieces import PIECE_BYTES, Pieces


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
async def test_a_body_comes_whole_in_pieces_as_often_as_it_is_asked_for(size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    pieces = Pieces(body)

    first, second = [piece async for piece in pieces], [piece async for piece in pieces]

    assert b"".join(first) == body
    assert first == second
    assert all(len(piece) <= PIECE_BYTES for piece in first)
