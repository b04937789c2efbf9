"""`aquila cassette diff`: what two cassettes say differently."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from aquila.cassette.interaction import Interaction
from aquila.cassette.matching.project_rules import project_rules
from aquila.cassette.story.comparison import Comparison, Pair, compare
from aquila.cli.cassette_find import Found, read_cassette
from aquila.cli.cassette_turn import request_line
from aquila.cli.cassette_words import count
from aquila.cli.untrusted_text import Paper
from aquila.errors import AquilaError
from aquila.settings import read_settings
from aquila.sink.printable import one_line

HELP = """Compare two cassettes in meaning: requests, and answers by status, text, tool calls, finish reason and usage.

Ids, chunk boundaries, times and the order of interactions are no differences, nor is what the project's
[tool.aquila.cassettes] ignores. The exit code is 0 if they say the same, 1 if not, and 2 if one cannot be read.

Example: aquila cassette diff jobs/explain /tmp/recorded-again.yaml"""

#: Differences shown of a request or an answer; the rest is counted.
_MOST = 12
_LONGEST = 2000
_TROUBLE = 2


def diff(
    left: Annotated[str, typer.Argument(metavar="A", help="A name below AQUILA_CASSETTE_DIR, or a path.")],
    right: Annotated[str, typer.Argument(metavar="B", help="The cassette to compare it with.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all differences.")] = False,
) -> None:
    """Compare two cassettes.

    Raises:
        Exit: With 1, if they differ; with 2, if one cannot be read.
    """
    try:
        ours, theirs = read_cassette(left), read_cassette(right)
        rules = project_rules(read_settings().project_dir)
    except AquilaError as error:
        typer.echo(f"aquila: {one_line(str(error), _LONGEST)}", err=True)
        raise typer.Exit(_TROUBLE) from error
    found = compare(ours.interactions, theirs.interactions, rules)
    paper = Paper()
    if as_json:
        paper.line(json.dumps(_document(ours, theirs, found), indent=2))
    else:
        for text, style in _lines(ours, theirs, found):
            paper.line(text, style)
    if not found.equal:
        raise typer.Exit(1)


def _lines(ours: Found, theirs: Found, found: Comparison) -> Iterator[tuple[str, str | None]]:
    for pair in found.pairs:
        if not pair.equal:
            yield from _pair_lines(pair, theirs.interactions[pair.right - 1])
    for number in found.only_left:
        yield f"only in A: {number}  {request_line(ours.interactions[number - 1])}", "red"
    for number in found.only_right:
        yield f"only in B: {number}  {request_line(theirs.interactions[number - 1])}", "green"
    equal = sum(pair.equal for pair in found.pairs)
    if found.equal:
        yield f"both say the same: {count(equal, 'interaction')}", None
        return
    changed = len(found.pairs) - equal
    yield (
        (
            f"{equal:,} equal, {changed:,} changed, {len(found.only_left):,} only in A, "
            f"{len(found.only_right):,} only in B"
        ),
        None,
    )


def _pair_lines(pair: Pair, interaction: Interaction) -> Iterator[tuple[str, str | None]]:
    yield f"A {pair.left}, B {pair.right}  {request_line(interaction)}", "bold"
    for label, lines in (("request", pair.request), ("answer", pair.answer)):
        for line in _some(lines):
            yield f"   {label:<8} {one_line(line, _LONGEST)}", None


def _some(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:_MOST]
    if len(lines) > _MOST:
        yield f"and {count(len(lines) - _MOST, 'more difference')}; --json shows all"


def _document(ours: Found, theirs: Found, found: Comparison) -> dict[str, Any]:
    return {"a": str(ours.path), "b": str(theirs.path), "equal": found.equal, **asdict(found)}
