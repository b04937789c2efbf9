"""A whole test run and its cassettes: what was used, what is not kept, which files are orphans or old."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aquila.cassette.journal import JOURNAL
from aquila.cassette.run_report import (
    FolderFile,
    RunReport,
    UsedCassette,
    file_digest,
    list_folder,
    load,
    save,
)
from aquila.cassette.tally import Tally
from aquila.cassette.watch import Watch
from aquila.errors import AquilaError
from aquila.pytest_plugin.names import cassette_name, some
from aquila.pytest_plugin.options import Choices
from aquila.pytest_plugin.process import hold_process
from aquila.settings import read_settings


class CassetteRun:
    """Lives as long as the run; under pytest-xdist one in each process, of which the controller's has the last word."""

    def __init__(self, config: pytest.Config, choices: Choices) -> None:
        self._config = config
        #: What the options say.
        self.choices = choices
        #: False once it is clear that some tests were left out.
        self.is_whole = _runs_all(config)
        #: Names of cassettes that the markers of several tests give.
        self.shared: frozenset[str | None] = frozenset()
        self._watch = Watch()
        self._others = Tally()
        self._tally = Tally()
        self._aside: list[Path] = []
        #: The tests that opened a cassette, by its path.
        self._tests: dict[str, set[str]] = {}
        self._before: RunReport | None = None
        self._files: tuple[FolderFile, ...] | None = None
        self._collected = 0
        self._problems: list[str] = []
        self._undo = hold_process(config, choices, self._watch)

    def close(self) -> None:
        """Take back what holds for the process."""
        self._undo.close()

    def collected(self, items: Sequence[pytest.Item]) -> None:
        """Look at all tests before the first one runs.

        Raises:
            UsageError: Two tests would have one cassette without saying so.
        """
        self._collected = len(items)
        named: Counter[str | None] = Counter()
        own: dict[str, str] = {}
        for item in items:
            marker = item.get_closest_marker("aquila_cassette")
            name = _name_in(marker) if marker is not None else None
            if name is not None:
                named[name] += 1
            elif marker is not None or "aquila_cassette" in getattr(item, "fixturenames", ()):
                other = own.setdefault(cassette_name(item.nodeid), item.nodeid)
                if other != item.nodeid:
                    raise pytest.UsageError(
                        f"{other} and {item.nodeid} would both have the cassette {cassette_name(item.nodeid)!r}; "
                        "give one of them a name: @pytest.mark.aquila_cassette('...')"
                    )
        self.shared = frozenset(name for name, count in named.items() if count > 1)

    def chosen(self, items: Sequence[pytest.Item]) -> None:
        """Look whether some tests were left out; plugins do so without a word."""
        self.is_whole &= len(items) >= self._collected

    def used_by(self, nodeid: str, paths: Iterable[Path], *, excused: bool) -> None:
        """Note what a test has opened, and whether it minds what is left unplayed."""
        for path in paths:
            self._tests.setdefault(str(path.resolve()), set()).add(nodeid)
            if excused:
                self._others.at(path).is_excused = True

    def others(self, path: Path, nodeid: str) -> list[str]:
        """Give the other tests that are known to use a cassette, from this run or an earlier one."""
        name = str(path.resolve())
        known = self._tests.get(name, set()).union(self._last().tests.get(name, ()))
        return sorted(known - {nodeid})

    def put_aside(self, paths: Iterable[Path], recordings: int) -> None:
        """Note that what a test has recorded is not kept."""
        self._aside += [path for path in paths if path not in self._aside]
        self._others.not_kept += recordings

    def add(self, plain: Mapping[str, Any] | None) -> None:
        """Add what another process of pytest-xdist counted."""
        if plain is not None:
            self._others.merge(Tally.from_plain(plain["tally"]))
            self._aside += [Path(path) for path in plain["aside"]]
            self.is_whole &= plain["is_whole"]
            for path, tests in plain["tests"].items():
                self._tests.setdefault(path, set()).update(tests)
            self._watch.lent.update(map(Path, plain["lent"]))

    def finish(self, session: pytest.Session) -> None:
        """Count; in the controlling process also save the report and look at the cassettes as a whole."""
        self._tally = Tally.of(self._watch.opened)
        self._tally.add_entries(JOURNAL.of_children())
        self._tally.merge(self._others)
        for path in self._watch.lent:
            self._tally.at(path).is_excused = True
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            aside = [str(path) for path in self._aside]
            output["aquila"] = {
                "tally": self._tally.to_plain(), "is_whole": self.is_whole, "aside": aside,
                "tests": {path: sorted(tests) for path, tests in self._tests.items()},
                "lent": sorted(map(str, self._watch.lent)),
            }  # fmt: skip
            return
        self.is_whole &= session.exitstatus == pytest.ExitCode.OK and not _has_left_out(self._config)
        for look in (self._find_unplayed, self._find_old, self._find_orphans):
            if look() and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._tally.used:
            self._save_report()

    def closing_lines(self) -> list[str]:
        """Give what is to be said at the very end."""
        lines = [f"aquila: {problem}" for problem in self._problems]
        if self._aside:
            lines.append(f"aquila: not kept, because the test did not pass: {some(map(str, self._aside))}")
        if self._tally.used:
            lines.append(f"aquila: {self._tally.line(_now())}")
        return lines

    def _save_report(self) -> None:
        try:
            settings = read_settings()
            save(self._report(settings.cassette_dir.absolute()), settings.state_dir)
        except AquilaError as error:
            self._problems.append(f"{error}; `aquila cassette prune` will know nothing of this run")

    def _report(self, folder: Path) -> RunReport:
        return RunReport(
            finished_at=_now(),
            complete=self.is_whole,
            folder=str(folder),
            files=self._files_in(folder),
            tests=self._known_tests(),
            used=tuple(
                UsedCassette(
                    path=path,
                    interactions=used.interactions,
                    played=tuple(sorted(used.played)),
                    digest=file_digest(Path(path)),
                    # What a job plays elsewhere, or nothing here has read, is in use as a whole.
                    recorded=bool(used.recordings or Path(path) in self._watch.lent or not used.groups),
                )
                for path, used in self._tally.used.items()
                if Path(path).is_file()
            ),
        )

    def _files_in(self, folder: Path) -> tuple[FolderFile, ...]:
        # Each file is read for it, so it is done once.
        if self._files is None:
            self._files = list_folder(folder)
        return self._files

    def _known_tests(self) -> dict[str, tuple[str, ...]]:
        known = {path: set(tests) for path, tests in self._tests.items()}
        if not self.is_whole:
            for path, tests in self._last().tests.items():
                known.setdefault(path, set()).update(tests)
        return {path: tuple(sorted(tests)) for path, tests in known.items()}

    def _last(self) -> RunReport:
        if self._before is None:
            nothing = RunReport(finished_at=_now(), complete=False, folder="", used=())
            try:
                self._before = load(read_settings().state_dir) or nothing
            except AquilaError:
                # It is written anew at the end.
                self._before = nothing
        return self._before

    def _find_unplayed(self) -> bool:
        """Look at cassettes that are held against no single test, because several share them."""
        verdict = self.choices.unplayed
        if not self.is_whole or verdict == "ignore":
            return False
        left = [f"{path}: {count}" for path, count in self._tally.unplayed().items()]
        if left:
            self._problems.append(f"interactions that no test played: {some(left)}")
        return bool(left) and verdict == "fail"

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
            self._problems.append(
                f"recorded more than {limit.days} days ago: {some(old)}; record again with --aquila-record=rewrite"
            )
        return bool(old) and self.choices.fails_when_old

    def _find_orphans(self) -> bool:
        if not self.choices.orphans:
            return False
        if not self.is_whole:
            self._problems.append("--aquila-orphans says nothing: not every test was run and passed")
            return False
        folder = read_settings().cassette_dir.absolute()
        used = {Path(path).resolve() for path in self._tally.used}
        files = [folder / file.path for file in self._files_in(folder)]
        orphans = [str(path) for path in files if path.resolve() not in used]
        if orphans:
            self._problems.append(
                f"used by no test: {some(orphans)}; `aquila cassette prune` removes what is not needed"
            )
        return bool(orphans)


def _name_in(marker: pytest.Mark) -> str | None:
    name = marker.args[0] if marker.args else marker.kwargs.get("name")
    return None if name is None else str(name)


def _runs_all(config: pytest.Config) -> bool:
    chosen = ("keyword", "markexpr", "lf", "ignore", "ignore_glob", "deselect", "maxfail")
    source, sources = config.args_source, pytest.Config.ArgsSource
    here = config.invocation_params.dir == config.rootpath
    whole = source == sources.TESTPATHS or (source == sources.INVOCATION_DIR and here)
    return whole and not any(getattr(config.option, name, None) for name in chosen)


def _has_left_out(config: pytest.Config) -> bool:
    """Say whether a test did not run to its end: what it would have played is not known."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    kinds = ("skipped", "xfailed", "xpassed", "rerun", "deselected")
    return reporter is None or any(reporter.stats.get(kind) for kind in kinds)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the edge: ages are told once, to a person
