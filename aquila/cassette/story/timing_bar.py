"""When the parts of an answer came, in one line. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from aquila.cassette.interaction import Interaction

#: From few chunks in a cell to the most there are in one.
_DENSITY = ".:-=+*#"
#: A cell with fewer is never the darkest, however few the others have.
_DENSE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Milliseconds since the request was sent."""

    head_ms: int
    #: None if no chunk came.
    first_chunk_ms: int | None
    last_chunk_ms: int | None
    total_ms: int
    chunks: int


def timing(interaction: Interaction) -> Timing | None:
    """Measure an answer; None if its file has no times, or times that hold no more."""
    chunks = interaction.chunks
    end = max(interaction.total_ms, interaction.head_ms, chunks[-1].at_ms if chunks else 0)
    if interaction.edited or not (end or interaction.recorded_at):
        return None
    return Timing(
        head_ms=interaction.head_ms,
        first_chunk_ms=chunks[0].at_ms if chunks else None,
        last_chunk_ms=chunks[-1].at_ms if chunks else None,
        total_ms=end,
        chunks=len(chunks),
    )


def timing_bar(interaction: Interaction, width: int = 60) -> str | None:
    """Draw an answer: `h` where its head came, `>` the first chunk, then how dense the chunks are, to its end.

    None if there are no times to draw.
    """
    measured = timing(interaction)
    if measured is None:
        return None
    cells = [0] * width
    for chunk in interaction.chunks:
        cells[_cell(chunk.at_ms, measured.total_ms, width)] += 1
    most = max(_DENSE, *cells)
    drawn = [_DENSITY[(count * len(_DENSITY) - 1) // most] if count else " " for count in cells]
    drawn[_cell(measured.head_ms, measured.total_ms, width)] = "h"
    if measured.first_chunk_ms is not None:
        drawn[_cell(measured.first_chunk_ms, measured.total_ms, width)] = ">"
    return f"[{''.join(drawn)}] {_labels(measured)}"


def _cell(at_ms: int, total_ms: int, width: int) -> int:
    return min(at_ms * width // max(total_ms, 1), width - 1)


def _labels(measured: Timing) -> str:
    facts = [f"head {measured.head_ms:,} ms"]
    if measured.first_chunk_ms is not None and measured.last_chunk_ms is not None:
        noun = "chunk" if measured.chunks == 1 else "chunks"
        facts.append(f"{measured.chunks:,} {noun} {measured.first_chunk_ms:,}-{measured.last_chunk_ms:,} ms")
    return ", ".join([*facts, f"end {measured.total_ms:,} ms"])
