"""`Scope`: a cassette that several calls share."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from aquila.cassette.defaults import DEFAULTS
from aquila.cassette.matching.project_rules import project_rules
from aquila.cassette.matching.rules import Rules
from aquila.cassette.mode import Mode, cassette_path, check_mode, check_name, resolve_mode
from aquila.cassette.watch import WATCHING
from aquila.errors import CassetteUnplayed
from aquila.settings import Settings

if TYPE_CHECKING:
    from aquila.cassette.deck import Deck
    from aquila.cassette.faults import Fault


class Scope:
    """A cassette that many calls share; opened by the first of them, with that call's settings.

    Each interaction is played once among all the calls, and whether `once` records or replays is decided at their
    first request, for good.

    Args:
        name: Path below the cassette folder, without suffix: `jobs/explain`.
        mode: None for `AQUILA_CASSETTES`, else `none` in tests and CI, else `off`.
        speed: 0 plays without waiting, 1 in the recorded time, n at n times its speed; None for
            `AQUILA_CASSETTE_SPEED`, else 0.
        rules: What is compared and hidden, besides what the project's pyproject.toml says.
        faults: What is to go wrong in a replay.
        waits: Whether a recording waits until the test that makes it has passed. None: it does unless the mode is
            explicit, for then recording is what the code is about, and unless it is named outside of the tests of a
            run, for what outlives a test is no concern of its verdict.

    Raises:
        ConfigError: The name leads out of the folder, or there is no such mode.
    """

    def __init__(
        self,
        name: str,
        mode: str | None = None,
        *,
        speed: float | None = None,
        rules: Rules | None = None,
        faults: Iterable[Fault] = (),
        waits: bool | None = None,
    ) -> None:
        check_name(name)
        #: Path below the cassette folder.
        self.name = name
        #: The explicit mode; None leaves it to the environment.
        self.mode: Mode | None = check_mode(mode) if mode is not None else None
        self._speed = speed
        self._rules = rules or Rules()
        self._faults = tuple(faults)
        outlives_tests = WATCHING.run is not None and WATCHING.test is None
        self._waits = (self.mode is None and not outlives_tests) if waits is None else waits
        self._named_in = WATCHING.test
        self._deck: Deck | None = None
        self._opening = threading.Lock()

    def deck(self, settings: Settings) -> Deck | None:
        """Give the shared cassette; None in mode `off`.

        Raises:
            ConfigError: There is no such mode, a rule or fault cannot be used, or PyYAML is missing.
        """
        mode = resolve_mode(self.mode, settings)
        if mode == "off":
            return None
        # In production the mode is off, and nothing there may need the `cassettes` extra.
        from aquila.cassette.deck import Deck  # noqa: PLC0415
        from aquila.cassette.playback import Pace, check_speed  # noqa: PLC0415

        with self._opening:
            if self._deck is None:
                path = cassette_path(self.name, settings.cassette_dir)
                rules = project_rules(settings.project_dir).merged(self._rules)
                speed = next(
                    (x for x in (self._speed, DEFAULTS.speed, settings.cassette_speed) if x is not None), 0.0
                )
                self._deck = Deck(
                    path, mode,
                    rules=rules, pace=Pace(speed=check_speed(speed)), faults=self._faults, named_in=self._named_in,
                    waits=self._waits,
                )  # fmt: skip
            return self._deck

    def held(self, settings: Settings) -> tuple[Path, int] | None:
        """Give the file of a cassette that is to be replayed, and how many interactions it holds; None where there is none.

        Raises:
            CassetteError: The file is broken.
            ConfigError: There is no such mode.
        """
        if resolve_mode(self.mode, settings) not in {"none", "once"}:
            return None
        from aquila.cassette.file.disk import read  # noqa: PLC0415 - see deck

        path = cassette_path(self.name, settings.cassette_dir)
        interactions = read(path)
        return (path, len(interactions)) if interactions is not None else None

    @property
    def path(self) -> Path | None:
        """The file; None before the first request, and in mode `off`."""
        return self._deck.path if self._deck is not None else None

    def unplayed(self) -> tuple[int, ...]:
        """Give the numbers, from 1, of the interactions that nothing has asked for; nothing before the first request."""
        player = self._deck.player if self._deck is not None else None
        index = player.index if player is not None else None
        return tuple(number + 1 for number in index.unplayed()) if index is not None else ()

    def unused_faults(self) -> tuple[Fault, ...]:
        """Give the faults that have not struck; nothing before the first request."""
        player = self._deck.player if self._deck is not None else None
        return player.unused_faults() if player is not None else ()

    def check_played(self) -> None:
        """Make sure that everything was asked for.

        Raises:
            CassetteUnplayed: Something was not; names the interactions. Or nothing was asked for at all, because the
                mode is `off` or no call was made.
        """
        if self._deck is None:
            raise CassetteUnplayed(
                f"cassette {self.name!r} was not used: no call was made, or its mode is off (outside of pytest and CI set "
                "AQUILA_CASSETTES=none, or use(..., mode='none'))"
            )
        numbers = self.unplayed()
        if numbers:
            raise CassetteUnplayed(
                f"cassette {self.path}: interaction{'s' if len(numbers) > 1 else ''} "
                f"{', '.join(map(str, numbers))} not played"
            )

    def close(self) -> None:
        """Write what has come of answers that nobody finished reading. The scope may be used again.

        Raises:
            CassetteError: A secret is still inside, or the file cannot be written.
        """
        if self._deck is not None:
            self._deck.close()
