"""`aquila cassette ls`: the cassettes of a folder, one a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from aquila.cassette.story.summary import Summary, summarise, total_cost
from aquila.cli.cassette_files import oddity
from aquila.cli.cassette_find import cassette_names
from aquila.cli.cassette_words import age, count, money, size
from aquila.cli.untrusted_text import Paper
from aquila.errors import CassetteError, ConfigError
from aquila.settings import read_settings
from aquila.sink.printable import one_line

HELP = """List cassettes: interactions, turns of conversation, models, tokens, cost, size, age in days, and how the answers ended.

Broken ones are listed with the reason, and the exit code is then 1.

Example: aquila cassette ls tests/cassettes"""

#: Heading, then whether the column is a number.
_COLUMNS = (("NAME", False), ("INTERACTIONS", True), ("TURNS", True), ("MODEL", False), ("TOKENS", True),
            ("COST", True), ("SIZE", True), ("AGE", True), ("END", False))  # fmt: skip
_LONGEST_CELL = 200


def ls(
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Where to look; AQUILA_CASSETTE_DIR unless given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List cassettes, one a line.

    Raises:
        ConfigError: There is no such folder.
        Exit: With 1, if a cassette is broken.
    """
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; name another one, or none for AQUILA_CASSETTE_DIR")
    root = folder or read_settings().cassette_dir
    now = datetime.now(UTC)  # noqa: TID251 - the edge: ages are told once, to a person
    entries = [_entry(root, name) for name in cassette_names(root)]
    paper = Paper()
    if as_json:
        paper.line(json.dumps([_facts(entry, now) for entry in entries], indent=2))
    else:
        for line in _lines(entries, now):
            paper.line(line)
    if any(entry.summary is None for entry in entries):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    name: str
    path: Path
    size: int = 0
    #: None: it is broken.
    summary: Summary | None = field(default=None)
    problem: str = ""


def _entry(root: Path, name: str) -> _Entry:
    # PyYAML belongs to the `cassettes` extra: the other commands work without it.
    from aquila.cassette.file.disk import read, signature  # noqa: PLC0415

    path = root / f"{name}.yaml"
    odd = oddity(path)
    if odd is not None:
        return _Entry(name=name, path=path, problem=f"{path} cannot be read: {odd}; remove it")
    try:
        state, interactions = signature(path), read(path)
    except CassetteError as error:
        return _Entry(name=name, path=path, problem=str(error))
    if state is None or interactions is None:
        return _Entry(
            name=name, path=path, problem=f"{path} has just been removed; restore it or record it again"
        )
    return _Entry(name=name, path=path, size=state.size, summary=summarise(interactions))


def _lines(entries: Sequence[_Entry], now: datetime) -> list[str]:
    rows = [_row(entry, entry.summary, now) for entry in entries if entry.summary is not None]
    table = [tuple(heading for heading, _ in _COLUMNS), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS))]
    broken = [
        f"{_cell(entry.name)}: broken: {' '.join(entry.problem.split())}"
        for entry in entries
        if entry.summary is None
    ]
    return [*(_align(row, widths) for row in (table if rows else [])), *broken, _total(entries, len(broken))]


def _row(entry: _Entry, summary: Summary, now: datetime) -> tuple[str, ...]:
    ends = ", ".join(
        end if number == summary.interactions else f"{number} {end}" for end, number in summary.ends
    )
    cells = (
        entry.name, f"{summary.interactions:,}", f"{summary.turns:,}", ", ".join(summary.models) or "-",
        f"{summary.tokens:,}", money(summary.cost_usd), size(entry.size), age(summary.oldest, now),
        (ends or "empty") + (" (edited)" if summary.edited else ""),
    )  # fmt: skip
    return tuple(map(_cell, cells))


def _cell(text: str) -> str:
    # A file's name and a model's name may hold anything, a line end too.
    return one_line(text, _LONGEST_CELL)


def _align(row: tuple[str, ...], widths: Sequence[int]) -> str:
    cells = zip(row, widths, _COLUMNS, strict=True)
    return "  ".join(
        cell.rjust(width) if is_number else cell.ljust(width) for cell, width, (_, is_number) in cells
    ).rstrip()


def _total(entries: Sequence[_Entry], broken: int) -> str:
    summaries = [entry.summary for entry in entries if entry.summary is not None]
    cost = total_cost(summary.cost_usd for summary in summaries)
    facts = [
        count(len(entries), "cassette"),
        count(sum(summary.interactions for summary in summaries), "interaction"),
        count(sum(summary.tokens for summary in summaries), "token"),
        *([money(cost)] if cost is not None else []),
        size(sum(entry.size for entry in entries)),
        *([f"{broken} broken"] if broken else []),
    ]
    return ", ".join(facts)


def _facts(entry: _Entry, now: datetime) -> dict[str, Any]:
    summary = entry.summary
    if summary is None:
        return {"name": entry.name, "path": str(entry.path), "broken": entry.problem}
    oldest = summary.oldest
    return {
        "name": entry.name,
        "path": str(entry.path),
        "interactions": summary.interactions,
        "turns": summary.turns,
        "models": list(summary.models),
        "tokens": summary.tokens,
        "cost_usd": None if summary.cost_usd is None else str(summary.cost_usd),
        "bytes": entry.size,
        "recorded_at": None if oldest is None else oldest.isoformat(),
        "age_days": None if oldest is None else (now - oldest).days,
        "ends": dict(summary.ends),
        "edited": summary.edited,
        "broken": None,
    }
