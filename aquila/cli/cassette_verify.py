"""`aquila cassette verify`: what is wrong with cassettes, one problem a line; also a pre-commit hook."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from aquila.cli.cassette_files import cassette_files, oddity, shown_path
from aquila.cli.cassette_words import count
from aquila.cli.untrusted_text import Paper
from aquila.settings import read_settings
from aquila.sink.printable import one_line

HELP = """Check cassettes: unreadable files, bodies and requests changed by hand, secrets, age, answers that were cut.

One problem a line, as path:line: what; remedy. Exit code 1 if there is one; warnings alone are 0 unless --strict.

Example: aquila cassette verify --max-age 90 tests/cassettes
"""

#: A hundred years.
_OLDEST = 36_500
_LONGEST = 2000


def verify(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="Files and folders; AQUILA_CASSETTE_DIR unless given."),
    ] = None,
    max_age: Annotated[
        int | None,
        typer.Option(metavar="DAYS", min=1, max=_OLDEST, help="Recordings older than this are a problem."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Check cassettes.

    Raises:
        ConfigError: A path does not exist.
        Exit: With 1, if something is wrong.
    """
    files = list(cassette_files(paths or [read_settings().cassette_dir], must_exist=bool(paths)))
    found = list(_problems(files, max_age))
    paper = Paper()
    if as_json:
        paper.line(json.dumps([_as_json(path, finding) for path, finding in found], indent=2))
    else:
        for path, finding in found:
            paper.line(f"{shown_path(path)}:{finding.line}: {_say(finding)}")
        paper.line(_summary(files, found))
    if any(strict or not finding.is_warning for _, finding in found):
        raise typer.Exit(1)


def _problems(files: Iterable[Path], max_age: int | None) -> Iterator[tuple[Path, Any]]:
    # PyYAML belongs to the `cassettes` extra: the other commands work without it.
    from aquila.cassette.file.verification import Finding, Terms, verify  # noqa: PLC0415
    from aquila.cassette.matching.project_rules import project_rules  # noqa: PLC0415
    from aquila.cassette.secrets.secret import environment_secrets  # noqa: PLC0415

    terms = Terms(
        now=datetime.now(UTC),  # noqa: TID251 - the edge: ages are told once, to a person
        max_age=None if max_age is None else timedelta(days=max_age),
        secrets=environment_secrets(os.environ),
        rules=project_rules(read_settings().project_dir),
    )
    for path in files:
        odd = oddity(path)
        if odd is not None:
            yield path, Finding(line=1, what=odd, remedy="remove it, or name another file")
            continue
        try:
            data = path.read_bytes()
        except OSError as error:
            yield (
                path,
                Finding(line=1, what=f"cannot be read ({error.strerror})", remedy="check its permissions"),
            )
            continue
        for finding in verify(data, str(path), terms):
            yield path, finding


def _say(finding: Any) -> str:
    warning = "warning: " if finding.is_warning else ""
    return f"{warning}{one_line(f'{finding.what}; {finding.remedy}', _LONGEST)}"


def _as_json(path: Path, finding: Any) -> dict[str, Any]:
    return {"path": str(path), **asdict(finding)}


def _summary(files: list[Path], found: list[tuple[Path, Any]]) -> str:
    warnings = sum(finding.is_warning for _, finding in found)
    parts = [count(len(files), "cassette"), count(len(found) - warnings, "problem")]
    return ", ".join([*parts, count(warnings, "warning")] if warnings else parts)
