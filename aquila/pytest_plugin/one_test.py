"""One test and its cassettes: which one holds, what was left unplayed, and whether recordings are kept."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aquila.cassette.blocks import for_the_test
from aquila.cassette.holding import Hold, hold, release
from aquila.cassette.journal import JOURNAL
from aquila.cassette.matching.rules import Rules
from aquila.cassette.scope import Scope
from aquila.cassette.tally import unplayed
from aquila.cassette.watch import WATCHING, Watch
from aquila.errors import CassetteError, ConfigError
from aquila.pytest_plugin.names import cassette_name, listed
from aquila.settings import read_settings

if TYPE_CHECKING:
    from aquila.pytest_plugin.run import CassetteRun

_RULES = ("allow", "ignore", "ignore_text", "match_on", "redact", "secrets")
_VERDICTS = ("fail", "warn", "ignore")


class CassetteTest:
    """Holds from before a test's set-up until after its tear-down.

    Args:
        item: The test.
        run: The run it belongs to.
    """

    def __init__(self, item: pytest.Item, run: CassetteRun) -> None:
        self._item = item
        self._run = run
        self._hold = Hold()
        self._failed = False
        self._passed = False
        self._wrong_markers = ""
        #: Whether the test's faults do nothing, because its cassette is being recorded.
        self._records_without_faults = False
        #: What was wrong although the test itself passed.
        self._complaint = ""
        self._watch = Watch()
        self._verdict = run.choices.unplayed
        self._scope: Scope | None = None
        self._began = JOURNAL.size()
        self._stack = ExitStack()
        self._stack.callback(setattr, WATCHING, "test", WATCHING.test)
        WATCHING.test = self._watch
        hold(self._hold)
        self._stack.callback(release, self._hold)

    def begin(self) -> None:
        """Take the cassette that the markers name."""
        try:
            self._read_markers()
        except (ConfigError, TypeError) as error:
            self._wrong_markers = f"the test's markers: {error}"

    def check_markers(self) -> None:
        """Fail the test if its markers cannot be used."""
        if self._wrong_markers:
            pytest.fail(self._wrong_markers, pytrace=False)

    def cassette(self) -> Scope:
        """Give the test's own cassette."""
        if self._scope is None:
            self._use(Scope(cassette_name(self._item.nodeid)))
        assert self._scope is not None  # noqa: S101 - just made
        return self._scope

    def went(self, report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
        """Note how a phase of the test went, and do not let an expected failure hide trouble with a cassette."""
        expected = hasattr(report, "wasxfail")
        if expected and (trouble := self._hidden_trouble(call)):
            del report.wasxfail
            report.outcome, report.longrepr, expected = "failed", trouble, False
        if report.failed and report.when == "call" and self._records_without_faults:
            report.outcome, report.longrepr = "skipped", _skipped(self._item)
            self._passed = True
            return
        self._failed |= report.failed
        if report.when == "call" and type(report) is pytest.TestReport:
            self._passed = report.passed or (report.skipped and expected)

    def check(self) -> None:
        """Fail the test, or warn, if it has left something unplayed."""
        said = []
        if left := self._unplayed():
            said.append(
                f"{left}. The test no longer makes these requests: record it again, with all tests that use the file "
                f"(pytest {self._item.nodeid!r} --aquila-record=rewrite), or allow it with "
                "@pytest.mark.aquila_unplayed('ignore')"
            )
        if faults := self._unused_faults():
            said.append(f"{faults}: nothing was asked that it is for, or it would change nothing")
        if not said or self._verdict == "ignore":
            return
        self._complaint = ". ".join(said)
        if self._verdict == "warn":
            self._item.warn(pytest.PytestWarning(self._complaint))
            return
        pytest.fail(self._complaint, pytrace=False)

    def settle(self) -> None:
        """Write what was recorded, if the test has passed.

        Raises:
            CassetteError: A cassette cannot be written.
        """
        if self._scope is not None:
            self._scope.close()
        if self._passed and not self._failed:
            self._hold.keep()

    def leave(self) -> None:
        """End it; what is not kept by now is put aside."""
        paths, count = self._hold.drop()
        for path in paths:
            state = (
                "the cassette is as it was" if path.with_suffix("").exists() else "no cassette was made of it"
            )
            self._item.add_report_section("teardown", "aquila", f"what was recorded is in {path}; {state}")
        self._run.put_aside(paths, count)
        opened = {deck.path for deck in self._watch.opened}
        if self._scope is not None and self._scope.path is not None:
            opened.add(self._scope.path)
        self._run.used_by(self._item.nodeid, opened, excused=self._verdict != "fail")
        self._stack.close()

    def _read_markers(self) -> None:
        marker = self._item.get_closest_marker("aquila_unplayed")
        if marker is not None:
            verdict = marker.args[0] if len(marker.args) == 1 and not marker.kwargs else None
            if verdict not in _VERDICTS:
                raise ConfigError(f"aquila_unplayed takes one of {', '.join(map(repr, _VERDICTS))}")
            self._verdict = str(verdict)
        marker = self._item.get_closest_marker("aquila_cassette")
        if marker is not None:
            self._use(self._marked(*marker.args, **marker.kwargs))
        elif "aquila_cassette" in getattr(self._item, "fixturenames", ()):
            self.cassette()

    def _marked(
        self,
        name: str | None = None,
        *,
        mode: str | None = None,
        speed: float | None = None,
        faults: tuple[object, ...] = (),
        **rules: object,
    ) -> Scope:
        if strange := sorted(rules.keys() - set(_RULES)):
            raise ConfigError(f"{', '.join(strange)} is unknown; use {', '.join(_RULES)}")
        choices = self._run.choices
        self._records_without_faults = bool(faults) and choices.mode not in {None, "none"}
        if name in self._run.shared:
            # What one of the tests leaves unplayed another one may play.
            WATCHING.test = None
        try:
            return Scope(
                name or cassette_name(self._item.nodeid),
                # The option names what a person wants now, and wins over what the file says.
                choices.mode or mode,
                speed=speed if choices.speed is None else choices.speed,
                rules=Rules.of(**rules),  # type: ignore[arg-type] # checked there
                waits=True,
                faults=faults,  # type: ignore[arg-type] # checked where they are used
            )
        finally:
            WATCHING.test = self._watch

    def _use(self, scope: Scope) -> None:
        self._scope = scope
        self._stack.enter_context(for_the_test(scope))

    def _hidden_trouble(self, call: pytest.CallInfo[None]) -> str:
        if self._complaint:
            return self._complaint
        error = call.excinfo.value if call.excinfo is not None else None
        marker = self._item.get_closest_marker("xfail")
        if isinstance(error, CassetteError) and (marker is None or not marker.kwargs.get("raises")):
            return f"{type(error).__name__}: {error}\n(no failure of its own: say xfail(raises=...) if it is the expected one)"
        return ""

    def _unplayed(self) -> str:
        elsewhere: dict[str, set[int]] = {}
        for entry in JOURNAL.of_children(self._began):
            if entry.position is not None:
                elsewhere.setdefault(entry.path, set()).add(entry.position)
        left = unplayed(self._watch.opened, elsewhere) | self._never_asked(elsewhere)
        # What another test may play is looked at when all have run.
        return "; ".join(
            f"cassette {path}: interaction{'s' if len(numbers) > 1 else ''} {listed(numbers)} not played"
            for path, numbers in left.items()
            if path.resolve() not in self._watch.lent and not self._run.others(path, self._item.nodeid)
        )

    def _never_asked(self, elsewhere: dict[str, set[int]]) -> dict[Path, list[int]]:
        """Give all of the test's cassette if nothing was asked of it at all."""
        scope = self._scope
        if scope is None or scope.path is not None or scope.name in self._run.shared:
            return {}
        held = scope.held(read_settings())
        if held is None:
            return {}
        path, count = held
        played = elsewhere.get(str(path.resolve()), set())
        numbers = [number + 1 for number in range(count) if number not in played]
        return {path: numbers} if numbers else {}

    def _unused_faults(self) -> str:
        players = [deck.player for deck in self._watch.opened]
        faults = [fault for player in players if player is not None for fault in player.unused_faults()]
        if self._scope is not None and self._scope.name in self._run.shared:
            faults += self._scope.unused_faults()
        return "; ".join(f"the fault {fault} has not struck" for fault in faults)


def _skipped(item: pytest.Item) -> tuple[str, int, str]:
    path, line, _ = item.reportinfo()
    return str(path), (line or 0) + 1, "Skipped: recorded; its faults strike when it is replayed"
