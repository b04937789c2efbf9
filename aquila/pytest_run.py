"""A whole test run and its cassettes: what the options say, what was used, which files are orphans or old."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from aquila.cassette.defaults import DEFAULTS
from aquila.cassette.run_report import RunReport, UsedCassette, file_digest, save
from aquila.cassette.tally import Tally
from aquila.cassette.watch import WATCHING, Watch
from aquila.errors import AquilaError
from aquila.settings import read_settings

_MODE_VARIABLE = "AQUILA_CASSETTES"
_MOST_LISTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the options and settings say."""

    #: None leaves it to the environment.
    mode: str | None
    speed: float | None
    unplayed: str
    #: None: no recording is too old.
    max_age: timedelta | None
    fails_when_old: bool
    orphans: bool
    required: bool


def read_choices(config: pytest.Config, recording: tuple[str, ...]) -> Choices:
    """Read the options and settings.

    Args:
        config: The run's.
        recording: The modes that send requests.

    Raises:
        UsageError: One of them cannot be used.
    """
    mode = config.getoption("--aquila-record") or config.getoption("record_mode", None)
    speed = config.getoption("--aquila-speed")
    if speed is not None and not 0 <= speed < float("inf"):
        raise pytest.UsageError(
            f"--aquila-speed={speed} is no speed; use 0 for no waiting, 1 for the recorded time"
        )
    if mode in recording and config.getoption("block_network", False):
        raise pytest.UsageError(
            f"--aquila-record={mode} needs the network that --block-network blocks; drop one of them"
        )
    return Choices(
        mode=mode,
        speed=speed,
        unplayed=_one_of(config, "aquila_unplayed", ("fail", "warn", "ignore")),
        max_age=_days(config.getini("aquila_max_age")),
        fails_when_old=_one_of(config, "aquila_old", ("warn", "fail")) == "fail",
        orphans=config.getoption("--aquila-orphans"),
        required=config.getini("aquila_require_cassette"),
    )


class CassetteRun:
    """Lives as long as the run; under pytest-xdist one in each process, of which the controller's has the last word."""

    def __init__(self, config: pytest.Config, choices: Choices) -> None:
        self._config = config
        #: What the options say.
        self.choices = choices
        #: False once it is clear that some tests were left out.
        self.is_whole = _runs_all(config)
        self._watch = Watch()
        self._others = Tally()
        self._tally = Tally()
        self._problems: list[str] = []
        # A run inside a run, as tests of plugins have it, gives back what was.
        self._undo = ExitStack()
        self._undo.callback(setattr, WATCHING, "run", WATCHING.run)
        self._undo.callback(setattr, WATCHING, "test", WATCHING.test)
        WATCHING.run, WATCHING.test = self._watch, None
        for name, value in (
            ("mode", choices.mode),
            ("speed", choices.speed),
            ("required", choices.required),
            ("has_plugin", True),
        ):
            self._undo.callback(setattr, DEFAULTS, name, getattr(DEFAULTS, name))
            setattr(DEFAULTS, name, value)
        if choices.mode is not None:
            # Processes that the tests start, such as workers, do as the tests do.
            self._undo.callback(_set_variable, os.environ.get(_MODE_VARIABLE))
            _set_variable(choices.mode)

    def close(self) -> None:
        """Take back what holds for the process."""
        self._undo.close()

    def add(self, plain: Mapping[str, Any] | None) -> None:
        """Add what another process counted."""
        if plain is not None:
            self._others.merge(Tally.from_plain(plain["tally"]))
            self.is_whole &= plain["is_whole"]

    def finish(self, session: pytest.Session) -> None:
        """Count; in the controlling process also save the report and look at the cassettes as a whole."""
        self._tally = Tally.of(self._watch.opened)
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["aquila"] = {"tally": self._tally.to_plain(), "is_whole": self.is_whole}
            return
        self._tally.merge(self._others)
        self.is_whole &= session.exitstatus == pytest.ExitCode.OK
        try:
            self._look_back(session)
        except AquilaError as error:
            self._problems.append(str(error))

    def closing_lines(self) -> list[str]:
        """Give what is to be said at the very end."""
        lines = [f"aquila: {problem}" for problem in self._problems]
        if self._tally.used:
            lines.append(f"aquila: {self._tally.line(_now())}")
        return lines

    def _look_back(self, session: pytest.Session) -> None:
        settings = read_settings()
        if self._tally.used:
            save(self._report(settings.cassette_dir), settings.state_dir)
        failed = self._find_old()
        if self.choices.orphans:
            failed |= self._find_orphans(settings.cassette_dir)
        if failed and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _report(self, folder: Path) -> RunReport:
        return RunReport(
            finished_at=_now(),
            complete=self.is_whole and not _has_skipped(self._config),
            folder=str(folder.absolute()),
            used=tuple(
                UsedCassette(
                    path=str(Path(path).absolute()),
                    interactions=used.interactions,
                    played=tuple(sorted(used.played)),
                    digest=file_digest(Path(path)),
                )
                for path, used in self._tally.used.items()
                if Path(path).is_file() and not used.recordings
            ),
        )

    def _find_old(self) -> bool:
        limit = self.choices.max_age
        if limit is None:
            return False
        old = [
            f"{path}: {(_now() - used.oldest).days} days"
            for path, used in self._tally.used.items()
            if used.oldest is not None and _now() - used.oldest > limit
        ]
        if old:
            self._problems += [
                f"recorded more than {limit.days} days ago: {_some(old)}; record again with --aquila-record=rewrite"
            ]
        return bool(old) and self.choices.fails_when_old

    def _find_orphans(self, folder: Path) -> bool:
        if not self.is_whole or _has_skipped(self._config):
            self._problems.append("--aquila-orphans says nothing: not every test was run and passed")
            return False
        used = {Path(path).resolve() for path in self._tally.used}
        files = (path for path in folder.rglob("*.yaml") if not path.name.startswith("."))
        orphans = sorted(str(path) for path in files if path.resolve() not in used)
        if orphans:
            self._problems.append(
                f"used by no test: {_some(orphans)}; `aquila cassette prune` removes what is not needed"
            )
        return bool(orphans)


def _set_variable(value: str | None) -> None:
    if value is None:
        os.environ.pop(_MODE_VARIABLE, None)
    else:
        os.environ[_MODE_VARIABLE] = value


def _runs_all(config: pytest.Config) -> bool:
    chosen = ("keyword", "markexpr", "lf", "ignore", "ignore_glob", "deselect", "maxfail")
    named = config.args_source == pytest.Config.ArgsSource.ARGS
    return not named and not any(getattr(config.option, name, None) for name in chosen)


def _has_skipped(config: pytest.Config) -> bool:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return reporter is None or bool(reporter.stats.get("skipped"))


def _one_of(config: pytest.Config, name: str, allowed: tuple[str, ...]) -> str:
    value = cast("str", config.getini(name))
    if value not in allowed:
        raise pytest.UsageError(f"{name} = {value!r} is unknown; use one of {', '.join(allowed)}")
    return value


def _days(value: str) -> timedelta | None:
    if not value:
        return None
    if not value.isdecimal():
        raise pytest.UsageError(f"aquila_max_age = {value!r} is no whole number of days")
    return timedelta(days=int(value))


def _some(items: list[str]) -> str:
    more = len(items) - _MOST_LISTED
    return ", ".join(items[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the edge: ages are told once, to a person
