"""`aquila worker`: run jobs until a signal says to stop."""

from __future__ import annotations

import logging
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import anyio
import typer

from aquila.errors import ConfigError
from jobs.broker import close, configure, runtime
from jobs.settings import DEFAULT_GRACE, DEFAULT_LEASE, parse_queues
from jobs.shadow import foreign_package, our_package
from jobs.worker import Worker, serve

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True, context_settings={"allow_interspersed_args": True})
def worker(
    modules: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODULES]...", help="Modules that declare actors: myapp.jobs"),
    ] = None,
    queues: Annotated[
        str | None, typer.Option(help="Serve these queues and no others, with limits: llm=10,default=10")
    ] = None,
    lease: Annotated[
        float | None, typer.Option(help="Seconds an attempt is held without a sign of life. Default: 15.")
    ] = None,
    grace: Annotated[
        float | None, typer.Option(help="Seconds running attempts get at the end. Default: 10.")
    ] = None,
) -> None:
    """Run jobs until SIGTERM or Ctrl-C; what is not done by then is put back."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    _import_actors(modules or [])
    if lease is not None or grace is not None:
        configure(
            lease=DEFAULT_LEASE if lease is None else lease, grace=DEFAULT_GRACE if grace is None else grace
        )
    process = Worker(runtime(), queues=parse_queues(queues) if queues else None, announce=typer.echo)
    anyio.run(serve, process)
    close()
    typer.echo("worker stopped")
    if process.threads_left:
        # Their jobs are put back; a thread that went on would run them beside their next attempt.
        sys.stdout.flush()
        os._exit(0)


def _import_actors(modules: list[str]) -> None:
    folder = Path.cwd()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    foreign = foreign_package(folder)
    for name in ("jobs.llm", *modules):
        _import(name, folder, foreign)
    if foreign is not None:
        typer.echo(f"note: {foreign} is not what `import jobs` gives here; {our_package()} is", err=True)


def _import(name: str, folder: Path, foreign: Path | None) -> None:
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        # Else a module that is there lacks one of its own imports, and that error names it best.
        if name == missing or name.startswith(f"{missing}."):
            raise ConfigError(_not_found(name, folder, foreign)) from error
        raise


def _not_found(name: str, folder: Path, foreign: Path | None) -> str:
    if foreign is not None and name.partition(".")[0] == "jobs":
        return (
            f"{name} was looked for in Aquila's package {our_package()}, not in your {foreign}: "
            "two packages are called 'jobs'; rename yours"
        )
    return f"no module {name!r} in {folder} or on the path; name one that declares actors, like myapp.jobs"
