"""Imports the modules that declare a worker's actors, and tells in one line why one cannot be."""

from __future__ import annotations

import os
import sys
import sysconfig
from importlib import import_module
from pathlib import Path, PurePath
from traceback import extract_tb

import typer

from aquila.errors import AquilaError, ConfigError
from jobs.shadow import foreign_package, our_package

#: How the files begin that are Python's, an installed package's or ours.
_NOT_THEIRS = (
    "<",
    *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    f"{our_package()}{os.sep}",
    f"{our_package().with_name('aquila')}{os.sep}",
)


def import_actors(modules: list[str]) -> None:
    """Import our own actors and those of `modules`, which are looked for in the current folder first.

    Raises:
        ConfigError: A name is no module's, or its module cannot be imported.
    """
    folder = Path.cwd()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    foreign = foreign_package(folder)
    for name in modules:
        _check_name(name, foreign)
    for name in ("jobs.llm", *modules):
        _import(name, folder)
    if foreign is not None:
        typer.echo(f"note: {foreign} is not what `import jobs` gives here; {our_package()} is", err=True)


def _check_name(name: str, foreign: Path | None) -> None:
    if "/" in name or "\\" in name or name.endswith(".py") or not name.strip(".") or name.startswith("."):
        raise ConfigError(f"{name!r} is no module name; write {_module_name(name)}")
    if foreign is not None and name.partition(".")[0] == "jobs":
        raise ConfigError(
            f"{name} would be looked for in Aquila's package {our_package()}, not in your {foreign}: "
            "two packages are called 'jobs'; rename yours"
        )


def _module_name(path: str) -> str:
    """Guess the module that is meant by a file's path."""
    plain = PurePath(path.replace("\\", "/").removesuffix(".py"))
    # What lies outside the current folder has no name from here.
    parts = plain.parts if not plain.is_absolute() and ".." not in plain.parts else plain.parts[-1:]
    return ".".join(part.strip(".") for part in parts if part.strip(".")) or "one that declares actors"


def _import(name: str, folder: Path) -> None:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            raise ConfigError(
                f"no module {name!r} in {folder} or on the path; name one that declares actors, like myapp.jobs"
            ) from error
        raise _broken(name, f"its import {missing} is missing", error, folder) from error
    except (AquilaError, ImportError) as error:
        raise _broken(name, str(error), error, folder) from error
    except SystemExit as error:
        raise _broken(name, "it ends the process when it is imported", error, folder) from error
    # What a user's module does when it is imported may raise anything.
    except Exception as error:
        raise _broken(name, f"{type(error).__name__}: {error}", error, folder) from error


def _broken(name: str, why: str, error: BaseException, folder: Path) -> ConfigError:
    place = place_of(error, folder)
    # A syntax error names its place itself.
    where = f" ({place})" if place and not isinstance(error, SyntaxError) else ""
    return ConfigError(
        f"the module {name} cannot be imported: {why}{where}; run again with --debug for the traceback"
    )


def place_of(error: BaseException, folder: Path) -> str | None:
    """Give the file and line where a user's code stood last when it raised, `shop.py, line 2`; None if none did.

    Args:
        error: What was raised.
        folder: Files below it are named from there.
    """
    places = [(frame.filename, frame.lineno) for frame in extract_tb(error.__traceback__)]
    own = [(Path(file), line) for file, line in places if not file.startswith(_NOT_THEIRS)]
    if not own:
        return None
    file, line = own[-1]
    shown = file.relative_to(folder) if file.is_relative_to(folder) else file
    return f"{shown}, line {line}"
