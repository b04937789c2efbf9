"""`aquila cassette`: look at recorded traffic."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from aquila.errors import CassetteError, ConfigError
from aquila.settings import read_settings

app = typer.Typer(help="Look at recorded LLM traffic.", no_args_is_help=True)

#: Heading, then whether the column is a number.
_COLUMNS = (("NAME", False), ("INTERACTIONS", True), ("MODEL", False), ("TOKENS", True), ("SIZE", True),
            ("AGE", True), ("END", False))  # fmt: skip

_STEP = 1000


@app.callback()
def cassette() -> None:
    """Look at recorded LLM traffic."""


@app.command(
    "ls",
    help="List cassettes: interactions, models, tokens, size, age in days, and how the answers ended. "
    "Broken ones are listed with the reason, and the exit code is then 1.",
)
def ls(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where to look; AQUILA_CASSETTE_DIR unless given.")
    ] = None,
) -> None:
    """List cassettes, one a line.

    Raises:
        ConfigError: There is no such folder.
        Exit: With 1, if a cassette is broken.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; name another one, or none for AQUILA_CASSETTE_DIR")
    root = folder or read_settings().cassette_dir
    paths = sorted(path for path in root.rglob("*.yaml") if not path.name.startswith("."))
    now = datetime.now(UTC)  # noqa: TID251 - the edge: ages are told once, to a person
    listing = _Listing(root, now)
    for path in paths:
        listing.add(path)
    for line in listing.lines():
        typer.echo(line)
    if listing.broken:
        raise typer.Exit(1)


class _Listing:
    def __init__(self, root: Path, now: datetime) -> None:
        self.broken: list[str] = []
        self._root = root
        self._now = now
        self._rows: list[tuple[str, ...]] = []
        self._totals = [0, 0, 0]

    def add(self, path: Path) -> None:
        # PyYAML belongs to the `cassettes` extra: the other commands work without it.
        from aquila.cassette.disk import read, signature  # noqa: PLC0415
        from aquila.cassette.summary import summarise  # noqa: PLC0415

        name = path.relative_to(self._root).with_suffix("").as_posix()
        try:
            state, interactions = signature(path), read(path)
        except CassetteError as error:
            self.broken.append(f"{name}: broken: {error}")
            return
        if state is None or interactions is None:
            self.broken.append(f"{name}: broken: {path} is a link to a file that does not exist; remove it")
            return
        summary, size = summarise(interactions), state.size
        age = f"{(self._now - summary.oldest).days}d" if summary.oldest is not None else "-"
        ends = ", ".join(
            end if count == summary.interactions else f"{count} {end}" for end, count in summary.ends
        )
        self._rows.append((
            name, f"{summary.interactions:,}", ", ".join(summary.models) or "-", f"{summary.tokens:,}", _size(size),
            age, (ends or "empty") + (" (edited)" if summary.edited else ""),
        ))  # fmt: skip
        self._totals = [
            total + more
            for total, more in zip(self._totals, (summary.interactions, summary.tokens, size), strict=True)
        ]

    def lines(self) -> list[str]:
        table = [tuple(heading for heading, _ in _COLUMNS), *self._rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS))]
        interactions, tokens, size = self._totals
        total = len(self._rows) + len(self.broken)
        closing = f"{_count(total, 'cassette')}, {_count(interactions, 'interaction')}, {_count(tokens, 'token')}, {_size(size)}"
        if self.broken:
            closing += f", {len(self.broken)} broken"
        aligned = [_align(row, widths) for row in table] if self._rows else []
        return [*aligned, *self.broken, closing]


def _align(row: tuple[str, ...], widths: list[int]) -> str:
    cells = zip(row, widths, _COLUMNS, strict=True)
    return "  ".join(
        cell.rjust(width) if is_number else cell.ljust(width) for cell, width, (_, is_number) in cells
    ).rstrip()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < _STEP:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _STEP
    return f"{size:.1f} GB"
