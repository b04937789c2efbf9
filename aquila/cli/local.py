"""`aquila local`: the local model, installed, served, stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from aquila.errors import ConfigError
from aquila.local.attach import ALIAS, require_extra, server_name
from aquila.local.model import install as install_model
from aquila.local.model import installed_model
from aquila.settings import ensure_state_dir, read_settings
from aquila.shared_server import status, stop

app = typer.Typer(help="The local model: state, install, stop.", invoke_without_command=True)


@app.callback()
def show(context: typer.Context) -> None:
    """Say whether the local model is installed and whether its server runs.

    Raises:
        ConfigError: The environment or the state folder cannot be used.
    """
    if context.invoked_subcommand is not None:
        return
    settings = read_settings()
    ensure_state_dir(settings.state_dir)
    try:
        require_extra()
        typer.echo(f"The local model is installed: {installed_model(settings)}")
    except ConfigError as error:
        typer.echo(f"The local model is not ready: {error}.")
    address = status(server_name(settings.local_model), settings.state_dir)
    if address is None:
        typer.echo(f"Its server does not run; the first call with model={ALIAS!r} starts it.")
    else:
        typer.echo(
            f"Its server runs at {address['url']}/v1 (process {address['supervisor']}) "
            f"and stops {address['linger']:g} s after its last client."
        )


@app.command(help="Download the local model, SmolLM2 with 135M parameters (about 95 MB), unless it is there.")
def install() -> None:
    """Download the local model, SmolLM2 with 135M parameters (about 95 MB), unless it is there.

    Raises:
        ConfigError: It cannot be downloaded or stored.
    """
    require_extra()
    install_model(read_settings(), typer.echo)


@app.command("stop", help="Stop the local model's server now instead of a minute after its last client.")
def stop_server(
    *, force: Annotated[bool, typer.Option("--force", help="Stop it even though it is in use.")] = False
) -> None:
    """Stop the local model's server now instead of a minute after its last client.

    Raises:
        ConfigError: It is in use.
    """
    settings = read_settings()
    name = server_name(settings.local_model)
    ran = status(name, settings.state_dir) is not None
    if not stop(name, settings.state_dir, force=force):
        raise ConfigError(
            "the local server is in use by another process; use --force to stop it all the same"
        )
    typer.echo("The local server has stopped." if ran else "The local server does not run.")
