"""The file that a person means by a cassette's name or path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from aquila.cassette.interaction import Interaction
from aquila.cassette.mode import cassette_path
from aquila.cli.cassette_files import oddity
from aquila.errors import CassetteMissing, ConfigError
from aquila.settings import read_settings

NameArgument: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="NAME", help="A name such as jobs/explain, below AQUILA_CASSETTE_DIR, or a path."),
]
NumberOption: TypeAlias = Annotated[
    int | None, typer.Option("--number", "-n", min=1, help="Only this interaction; the first is 1.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A cassette that was read."""

    path: Path
    size: int
    interactions: tuple[Interaction, ...]


def find_cassette(name: str) -> Path:
    """Give the file of a cassette: a name below the cassette folder, else a path.

    Raises:
        CassetteMissing: There is neither, or it is no file; names what is spelt alike.
    """
    folder = read_settings().cassette_dir
    try:
        named = cassette_path(name, folder)
    except ConfigError:
        # An absolute path, or one that leads upwards, is no name but may be a file.
        named = None
    meant = [path for path in (named, Path(name)) if path is not None]
    for path in meant:
        if _is_file(path):
            return path
    for path in meant:
        odd = oddity(path) if path.suffix else None
        if odd is not None:
            raise CassetteMissing(f"cassette {path} cannot be read: {odd}; remove it or name another one")
    raise CassetteMissing(
        f"there is no cassette {name!r}, neither below {folder} nor as a path; {_remedy(name, folder)}"
    )


def read_cassette(name: str) -> Found:
    """Find a cassette and read it.

    Raises:
        CassetteMissing: There is none.
        CassetteError: It is broken.
    """
    # PyYAML belongs to the `cassettes` extra: the other commands work without it.
    from aquila.cassette.file.disk import read, signature  # noqa: PLC0415

    path = find_cassette(name)
    state, interactions = signature(path), read(path)
    if state is None or interactions is None:
        raise CassetteMissing(
            f"cassette {path} has just been removed; restore it from git or record it again"
        )
    return Found(path=path, size=state.size, interactions=interactions)


def check_number(number: int | None, interactions: Sequence[object]) -> None:
    """Refuse the number of an interaction that there is not.

    Raises:
        ConfigError: The cassette holds fewer.
    """
    if number is not None and number > len(interactions):
        held = f"holds {len(interactions):,}" if interactions else "is empty"
        raise ConfigError(
            f"there is no interaction {number}: the cassette {held}; leave -n out to see all of it"
        )


def cassette_names(folder: Path) -> list[str]:
    """List the cassettes below a folder by name; what begins with a dot is none."""
    paths = (path for path in folder.rglob("*.yaml") if not path.name.startswith("."))
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in paths)


def _remedy(name: str, folder: Path) -> str:
    names = cassette_names(folder)
    asked = name.removesuffix(".yaml")
    # People forget the folder, or mistype a letter.
    near = [known for known in names if known.rpartition("/")[2] == asked.rpartition("/")[2]]
    near += [known for known in get_close_matches(asked, names, n=3) if known not in near]
    if near:
        return f"did you mean {' or '.join(near[:3])}?"
    return "`aquila cassette ls` lists those there are"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        # A name that no file can have, such as one that is too long.
        return False
