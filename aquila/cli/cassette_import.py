"""`aquila cassette import`: turn the files of other recorders into cassettes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from aquila.cli.cassette_files import oddity, shown_path
from aquila.cli.cassette_words import count
from aquila.cli.untrusted_text import Paper
from aquila.errors import CassetteError, ConfigError
from aquila.settings import read_settings
from aquila.sink.printable import one_line

if TYPE_CHECKING:
    from aquila.cassette.file.importing import Imported

HELP = """Turn files that vcrpy, pytest-recording or cassetter recorded into cassettes, redacted and readable.

Reads YAML, JSON and TOML; folders with all that is below them. What it writes replays in vcrpy too. A file with a secret
that cannot be redacted is refused, and so is one that would take another's place, unless --force says otherwise.

Example: aquila cassette import tests/cassettes --in-place
"""

_SUFFIXES = (".yaml", ".yml", ".json", ".toml")
_LONGEST = 9000


def import_(
    sources: Annotated[list[Path], typer.Argument(metavar="SRC...", help="Files and folders.")],
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write; AQUILA_CASSETTE_DIR unless given.")
    ] = None,
    in_place: Annotated[
        bool, typer.Option("--in-place", help="Write each beside its source, or over it if that is .yaml.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Turn the files of other recorders into cassettes.

    Raises:
        ConfigError: A source does not exist.
        BadParameter: Two places to write to are named.
        Exit: With 1, if a file was refused; the others are written.
    """
    if to is not None and in_place:
        raise typer.BadParameter("--to and --in-place exclude each other")
    folder = None if in_place else to or read_settings().cassette_dir
    for source in sources:
        if not (source.exists() or source.is_symlink()):
            raise ConfigError(f"there is no {shown_path(source)}; name a file or a folder")
    taken: dict[Path, Path] = {}
    refused = False
    paper, trouble = Paper(), Paper(Console(stderr=True))
    for source, target in _targets(sources, folder):
        try:
            _refuse_taken(source, target, taken)
            may_replace = force or (in_place and source == target)
            paper.line(one_line(_import_one(source, target, may_replace=may_replace), _LONGEST))
        except CassetteError as error:
            refused = True
            trouble.line(one_line(f"not imported: {error}", _LONGEST))
        except (OSError, ValueError, RecursionError, RuntimeError) as error:
            # Whatever one file does to us, the others are imported.
            refused = True
            told = f"{type(error).__name__}: {error}; take it out of what is imported"
            trouble.line(one_line(f"not imported: {source}: {told}", _LONGEST))
    if refused:
        raise typer.Exit(1)


def _refuse_taken(source: Path, target: Path, taken: dict[Path, Path]) -> None:
    other = taken.setdefault(target, source)
    if other != source:
        raise CassetteError(f"{source}: {other} becomes {target} too; rename one of them")


def _targets(sources: Iterable[Path], folder: Path | None) -> Iterator[tuple[Path, Path]]:
    for source in sources:
        root = source if source.is_dir() else source.parent
        for path in sorted(_cassettes_in(source)) if source.is_dir() else [source]:
            target = path if folder is None else folder / path.relative_to(root)
            yield path, _named(target)


def _named(path: Path) -> Path:
    return path.with_suffix(".yaml") if path.suffix in _SUFFIXES else path.with_name(f"{path.name}.yaml")


def _cassettes_in(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.suffix in _SUFFIXES and not path.name.startswith(".") and _may_be_cassette(path):
            yield path


def _may_be_cassette(path: Path) -> bool:
    # Other data of the tests may lie beside the cassettes.
    try:
        return path.is_file() and b"interactions" in path.read_bytes()
    except OSError:
        return True  # Importing it says what is wrong.


def _read(path: Path) -> bytes:
    odd = oddity(path)
    if odd is not None:
        raise CassetteError(f"{path} cannot be read: {odd}; name another file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise CassetteError(f"{path} cannot be read ({error.strerror}); check its permissions") from error


def _import_one(source: Path, target: Path, *, may_replace: bool) -> str:
    # PyYAML belongs to the `cassettes` extra: the other commands work without it.
    from aquila.cassette.file.disk import make_folder, rewrite  # noqa: PLC0415
    from aquila.cassette.file.exclusive import exclusive  # noqa: PLC0415
    from aquila.cassette.file.format import assemble, render  # noqa: PLC0415

    data = _read(source)
    found = _imported(data, source)
    text = assemble(map(render, found.interactions)).encode()
    said = f"{source}: {count(len(found.interactions), 'interaction')} of {found.writer}"
    if source == target and text == data:
        return f"{said}; nothing to change"
    if target.exists() and not may_replace:
        raise CassetteError(f"{source}: {target} is there already; --force overwrites it")
    make_folder(target)
    place = target.resolve()
    with exclusive(place):
        rewrite(place, text)
    redacted = f"; redacted {', '.join(found.redacted)}" if found.redacted else ""
    left_out = f"; left out {', '.join(found.left_out)}" if found.left_out else ""
    return f"{said} -> {target}{redacted}{left_out}"


def _imported(data: bytes, source: Path) -> Imported:
    from aquila.cassette.file.importing import import_file  # noqa: PLC0415 - see _import_one
    from aquila.cassette.matching.project_rules import project_rules  # noqa: PLC0415 - see _import_one
    from aquila.cassette.secrets.secret import environment_secrets  # noqa: PLC0415 - see _import_one

    rules = project_rules(read_settings().project_dir)
    found = import_file(data, str(source), rules=rules, secrets=environment_secrets(os.environ))
    if found.leak is not None:
        number, leak = found.leak
        raise CassetteError(
            f"{source}: {leak.kind} is in the {leak.place} of interaction {number}; take it out, or add its field to "
            "`redact` under [tool.aquila.cassettes] in pyproject.toml; if it is no secret, list the text in `allow` there"
        )
    return found
