"""`aquila cassette prune`: take out what the last test run did not play."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from aquila.cli.cassette_files import cassette_files, shown_path
from aquila.cli.cassette_words import count
from aquila.cli.untrusted_text import Paper
from aquila.errors import CassetteError
from aquila.settings import read_settings

if TYPE_CHECKING:
    from aquila.cassette.pruning import Leftover, Leftovers
    from aquila.cassette.run_report import RunReport

HELP = """Take out interactions that the last test run did not play, and files that it did not open.

Only cassettes that Aquila wrote or imported, and that are as the run left them; what the run recorded stays whole.
Lists them first. On a terminal it then asks; elsewhere it removes only with --yes, and exits with 1 while something is
left to remove. A run in which tests failed or were deselected proves nothing: it needs --force.

Example: pytest && aquila cassette prune
"""

#: Files that stay and are named; more are counted.
_MOST = 20


def prune(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
    orphans: Annotated[
        bool, typer.Option("--orphans/--no-orphans", help="Whether files that no test opened go too.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Believe a run that was not whole.")] = False,
) -> None:
    """Take out what the last test run did not play.

    Raises:
        CassetteError: There is no report of a whole run, or a file cannot be written.
        Exit: With 1, if something unused is still there.
    """
    report = _report(force=force)
    found = _leftovers(report, orphans=orphans)
    paper = Paper()
    for item in found.unused:
        paper.line(f"{_short(item.path, report)}: {_say(item)}")
    _tell_what_stays(found, report)
    if not found.unused:
        paper.line("nothing to remove")
    elif yes or (_is_terminal() and typer.confirm(f"Remove {_total(found)}?")):
        for item in found.unused:
            _remove(item)
        paper.line(f"removed {_total(found)}")
    else:
        paper.line(f"{_total(found)} to remove; nothing was removed: pass --yes")
        raise typer.Exit(1)
    if found.changed:
        raise typer.Exit(1)


def _report(*, force: bool) -> RunReport:
    from aquila.cassette.run_report import load  # noqa: PLC0415 - PyYAML belongs to the `cassettes` extra

    report = load(read_settings().state_dir)
    if report is None:
        raise CassetteError("no test run has left a report; run all tests first: pytest")
    if not report.complete and not force:
        raise CassetteError(
            f"the last test run, of {report.finished_at:%Y-%m-%d %H:%M}, was not whole: tests failed or were left out; "
            "run all tests again, or pass --force"
        )
    return report


def _leftovers(report: RunReport, *, orphans: bool) -> Leftovers:
    from aquila.cassette.pruning import Folder, leftovers  # noqa: PLC0415 - see _report
    from aquila.cassette.run_report import file_digest, is_ours  # noqa: PLC0415 - see _report

    def is_of_aquila(path: Path) -> bool:
        try:
            return is_ours(path.read_bytes(), str(path))
        except OSError:
            return False  # What cannot be read stays.

    files = [path for path in cassette_files([Path(report.folder)], must_exist=False) if path.is_file()]
    return leftovers(report, Folder(files=files, digest=file_digest, is_ours=is_of_aquila), orphans=orphans)


def _tell_what_stays(found: Leftovers, report: RunReport) -> None:
    paper = Paper(Console(stderr=True))
    for path in found.changed:
        paper.line(f"{_short(path, report)}: has changed since the run; run the tests again")
    for path, reason in found.kept[:_MOST]:
        paper.line(f"{_short(path, report)}: stays: {reason}")
    if len(found.kept) > _MOST:
        paper.line(f"and {count(len(found.kept) - _MOST, 'file')} more that stay")


def _remove(item: Leftover) -> None:
    from aquila.cassette.file.disk import rewrite  # noqa: PLC0415 - see _report
    from aquila.cassette.file.exclusive import exclusive  # noqa: PLC0415 - see _report
    from aquila.cassette.file.removal import without  # noqa: PLC0415 - see _report
    from aquila.cassette.run_report import file_digest  # noqa: PLC0415 - see _report

    # A link stays one: what it names is changed.
    path = item.path if item.is_whole else item.path.resolve()
    with exclusive(path):
        if file_digest(path) != item.digest:
            raise CassetteError(
                f"cassette {path} has changed just now and was left as it is; run the tests again"
            )
        rewrite(path, None if item.is_whole else without(path.read_bytes(), str(path), item.positions))


def _say(item: Leftover) -> str:
    if item.interactions is None:
        return "no test opened it"
    if item.is_whole:
        return "nothing of it was played"
    numbers = ", ".join(str(position + 1) for position in item.positions)
    return f"{len(item.positions)} of {count(item.interactions, 'interaction')} not played: {numbers}"


def _total(found: Leftovers) -> str:
    files = sum(item.is_whole for item in found.unused)
    interactions = sum(len(item.positions) for item in found.unused if not item.is_whole)
    parts = [(interactions, "interaction"), (files, "file")]
    return " and ".join(count(number, noun) for number, noun in parts if number)


def _short(path: Path, report: RunReport) -> str:
    folder = Path(report.folder)
    return shown_path(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
