"""Imports the modules that declare a worker's actors, and tells in one line why one cannot be."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path, PurePath

import typer

from aquila.errors import ConfigError
from jobs.shadow import foreign_package, our_package


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
        raise ConfigError(f"the module {name} cannot be imported: its import {missing} is missing") from error
    except ImportError as error:
        raise ConfigError(f"the module {name} cannot be imported: {error}") from error
