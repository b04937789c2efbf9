"""Which cassette a job's runs use: the sender's, which follows the job into whatever process runs it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from aquila.cassette import resolve_mode, use
from aquila.cassette.blocks import in_effect
from aquila.cassette.mode import cassette_path
from aquila.cassette.watch import WATCHING
from aquila.settings import read_settings


@dataclass(frozen=True, slots=True)
class JobCassette:
    """A cassette as the row keeps it."""

    #: None: the job's runs use none.
    name: str | None
    #: The sender's mode; None leaves it to the environment of the worker.
    mode: str | None = None

    def playing(self) -> AbstractContextManager[Any]:
        """Give the block in which the job's runs use it.

        Raises:
            CassetteError: It is not clear which cassette is in effect.
            ConfigError: The environment names an unknown mode.
        """
        if self.name is None or self._is_in_effect():
            return nullcontext()
        return use(self.name, mode=self.mode)

    def _is_in_effect(self) -> bool:
        # The block of a test that runs its jobs itself has faults and rules, which count for them, too.
        settings = read_settings()
        scope = in_effect(settings)
        return scope is not None and scope.name == self.name and resolve_mode(scope.mode, settings) != "off"


def cassette_of_send(named: str | None, declared: str | None) -> JobCassette:
    """Choose the cassette of a job that is being sent.

    It is the one that the send names, else the one in effect where it is sent (that of a `use` block, or of a test), else
    the one that the actor declares.

    Raises:
        CassetteError: It is not clear which cassette is in effect.
        ConfigError: The environment names an unknown mode.
    """
    settings = read_settings()
    scope = in_effect(settings) if named is None else None
    mode = resolve_mode(scope.mode if scope is not None else None, settings)
    if scope is not None and mode != "off":
        name: str | None = scope.name
    else:
        name = declared if named is None else named
    if name is None or mode == "off":
        return JobCassette(name)
    WATCHING.lend(cassette_path(name, settings.cassette_dir))
    return JobCassette(name, mode)


def cassette_of_call(declared: str | None) -> AbstractContextManager[Any]:
    """Give the block for an actor that is called like a function: the cassette in effect goes before the declared one.

    Raises:
        CassetteError: It is not clear which cassette is in effect.
    """
    if declared is None or in_effect(read_settings()) is not None:
        return nullcontext()
    return use(declared)
