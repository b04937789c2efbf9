"""The command `aquila`."""

from aquila.cli.main import app, main

__all__ = ["app", "main"]
