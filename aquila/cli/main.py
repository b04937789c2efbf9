"""The main command: sub-commands of this package and of those that add theirs, and how errors are told."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Annotated

import typer

from aquila import __version__
from aquila.cli import ask, cassette, doctor, local
from aquila.errors import AquilaError, CassetteMismatch, ConfigError
from aquila.sink.printable import printable

app = typer.Typer(
    name="aquila",
    help="Stream LLMs from the terminal, run them as durable jobs, replay them offline.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("ask")(ask.ask)
app.command("stream")(ask.stream)
app.command("doctor")(doctor.doctor)
app.add_typer(cassette.app, name="cassette")
app.add_typer(local.app, name="local")


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"aquila {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Stream LLMs from the terminal, run them as durable jobs, replay them offline."""


def main() -> None:
    """Run the command line.

    Exit code 0 means that everything asked for happened; 1 an error, told in one line on stderr; 2 a wrong command
    line; 130 Ctrl-C.
    """
    arguments = sys.argv[1:]
    # --debug is welcome behind the sub-command too, where people add it after an error.
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        _add_commands_of_others(arguments)
        app(args=arguments)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        # A file's name, a prompt or a provider's words may hold anything.
        sys.stderr.write(f"aquila: {printable(_say(error))}\n")
        sys.exit(1)


def _add_commands_of_others(arguments: list[str]) -> None:
    """Mount the commands that other packages offer, importing only the one that is asked for."""
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    offered = entry_points(group="aquila.commands")
    for entry_point in offered:
        if asked == entry_point.name:
            _mount(entry_point, _load(entry_point))
            return
    own = {command.name for command in app.registered_commands} | {
        group.name for group in app.registered_groups
    }
    if asked not in own:
        _mount_all(list(offered))


def _mount_all(offered: list[EntryPoint]) -> None:
    for entry_point in offered:
        try:
            group = _load(entry_point)
        except ConfigError:
            # The help stays useful without the extra; asking for the command itself names what is missing.
            continue
        _mount(entry_point, group)


def _mount(entry_point: EntryPoint, group: typer.Typer) -> None:
    callback = group.registered_callback
    if callback is not None and callback.callback is not None and not group.registered_commands:
        # A group without sub-commands is a command, and its help should say so.
        app.command(entry_point.name, context_settings=callback.context_settings)(callback.callback)
        return
    app.add_typer(group, name=entry_point.name)


def _load(entry_point: EntryPoint) -> typer.Typer:
    try:
        group: typer.Typer = entry_point.load()
    except ModuleNotFoundError as error:
        raise ConfigError(f"the command '{entry_point.name}' {_missing(entry_point, error)}") from error
    return group


def _missing(entry_point: EntryPoint, error: ModuleNotFoundError) -> str:
    package = entry_point.module.partition(".")[0]
    if (error.name or "").partition(".")[0] != package:
        return f"needs {error.name}, which is not installed: pip install 'aquila-llm[jobs]'"
    found = find_spec(package)
    where = found.origin if found is not None else "nothing"
    return (
        f"needs Aquila's package '{package}', but {where} comes first on the path; rename yours, or start the "
        "command from another folder"
    )


def _say(error: Exception) -> str:
    """Tell an error in one line: what happened and what to do."""
    if isinstance(error, AquilaError):
        said = " ".join(str(error).split())
        # The first difference stands in the message already.
        if isinstance(error, CassetteMismatch) and "\n" in error.diff:
            return f"{said}\n{error.diff}"
        return said
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{where}; check the disk and the permissions"
    return f"unexpected {type(error).__name__}: {error}; run again with --debug to see where"
