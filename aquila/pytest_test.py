"""One test and its cassettes: which one holds, what was left unplayed, and whether recordings are kept."""

from __future__ import annotations

import hashlib
import re
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from aquila.cassette.blocks import for_the_test
from aquila.cassette.holding import Hold, hold, release
from aquila.cassette.matching.rules import Rules
from aquila.cassette.scope import Scope
from aquila.cassette.tally import unplayed
from aquila.cassette.watch import WATCHING, Watch
from aquila.errors import ConfigError

if TYPE_CHECKING:
    from aquila.pytest_run import Choices

_RULES = ("ignore", "ignore_text", "match_on", "redact", "secrets")
_VERDICTS = ("fail", "warn", "ignore")
#: File systems allow 255 bytes for a name; the rest is for the suffixes.
_LONGEST_NAME = 150
_MOST_LISTED = 10
_UNUSUAL = re.compile(r"[^\w.\-\[\]]+")


class CassetteTest:
    """Holds from before a test's set-up until after its tear-down.

    Args:
        item: The test.
        choices: What the run's options say.
        stack: Unwound when the test has ended.
    """

    def __init__(self, item: pytest.Item, choices: Choices, stack: ExitStack) -> None:
        self._item = item
        self._choices = choices
        self._hold = Hold()
        self._failed = False
        self._passed = False
        self._watch = Watch()
        self._verdict = choices.unplayed
        #: The test's own cassette; None without marker and fixture.
        self.scope: Scope | None = None
        WATCHING.test = self._watch
        stack.callback(self._leave)
        hold(self._hold)
        stack.callback(release, self._hold)
        self._trouble = ""
        try:
            self._verdict = self._marked_verdict() or choices.unplayed
            self.scope = self._scope()
        except (ConfigError, TypeError) as error:
            self._trouble = f"the test's markers: {error}"
        if self.scope is not None:
            stack.enter_context(for_the_test(self.scope))

    def went(self, report: pytest.TestReport) -> None:
        """Note how a phase of the test went."""
        self._failed |= report.failed
        self._passed |= report.when == "call" and report.passed

    def check_marker(self) -> None:
        """Fail the test if its marker cannot be used."""
        if self._trouble:
            pytest.fail(self._trouble, pytrace=False)

    def check(self) -> None:
        """Fail the test, or warn, if it has left something unplayed."""
        said = "; ".join([*self._unplayed(), *self._unused_faults()])
        if not said or self._verdict == "ignore":
            return
        if self._verdict == "warn":
            self._item.warn(pytest.PytestWarning(said))
            return
        pytest.fail(
            f"{said}. The test no longer makes these requests: record it again "
            f"(pytest {self._item.nodeid!r} --aquila-record=rewrite), or allow it with "
            "@pytest.mark.aquila_unplayed('ignore')",
            pytrace=False,
        )

    def settle(self) -> None:
        """Write what was recorded, if the test has passed.

        Raises:
            CassetteError: A cassette cannot be written.
        """
        if self.scope is not None:
            self.scope.close()
        if self._passed and not self._failed:
            self._hold.keep()
        else:
            self.give_up()

    def give_up(self) -> None:
        """Leave the cassettes as they were."""
        for path in self._hold.drop():
            self._item.add_report_section(
                "teardown", "aquila", f"what was recorded is in {path}; the cassette is as it was"
            )

    def _leave(self) -> None:
        WATCHING.test = None

    def _marked_verdict(self) -> str | None:
        marker = self._item.get_closest_marker("aquila_unplayed")
        if marker is None:
            return None
        verdict = marker.args[0] if len(marker.args) == 1 and not marker.kwargs else None
        if verdict not in _VERDICTS:
            raise ConfigError(f"aquila_unplayed takes one of {', '.join(map(repr, _VERDICTS))}")
        return str(verdict)

    def _scope(self) -> Scope | None:
        marker = self._item.get_closest_marker("aquila_cassette")
        if marker is None:
            wants = "aquila_cassette" in getattr(self._item, "fixturenames", ())
            return Scope(cassette_name(self._item.nodeid), speed=None) if wants else None
        return self._marked(*marker.args, **marker.kwargs)

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
        # The option names what a person wants now, and wins over what the file says.
        return Scope(
            name or cassette_name(self._item.nodeid),
            self._choices.mode or mode,
            speed=speed if self._choices.speed is None else self._choices.speed,
            rules=Rules.of(**rules),  # type: ignore[arg-type] # checked there
            waits=True,
            faults=faults,  # type: ignore[arg-type] # checked where they are used
        )

    def _unplayed(self) -> list[str]:
        return [
            f"cassette {path}: interaction{'s' if len(numbers) > 1 else ''} {_listed(numbers)} not played"
            for path, numbers in unplayed(self._watch.opened).items()
        ]

    def _unused_faults(self) -> list[str]:
        players = [deck.player for deck in self._watch.opened]
        return [
            f"the fault {fault} has not struck"
            for player in players
            if player is not None
            for fault in player.unused_faults()
        ]


def cassette_name(nodeid: str) -> str:
    """Give the cassette of a test that names none: `tests/test_chat.py::TestA::test_b` is `test_chat/TestA/test_b`."""
    path, _, test = nodeid.partition("::")
    folder = PurePosixPath(path).with_suffix("")
    parts = [part for part in folder.parts if part not in {"..", "/"}]
    if len(parts) > 1 and parts[0] in {"test", "tests"}:
        parts = parts[1:]
    # A parameter may hold anything, `::` and slashes included.
    names, bracket, parameters = test.partition("[")
    last = [*names.split("::")]
    last[-1] += bracket + parameters
    return "/".join(_file_name(part) for part in [*parts, *last] if part)


def _file_name(part: str) -> str:
    plain = _UNUSUAL.sub("-", part).lstrip(".") or "-"
    if plain == part and len(part) <= _LONGEST_NAME:
        return part
    # Names that are made equal by this stay different.
    digest = hashlib.blake2b(part.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    return f"{plain[:_LONGEST_NAME]}-{digest}"


def _listed(numbers: list[int]) -> str:
    more = len(numbers) - _MOST_LISTED
    return ", ".join(map(str, numbers[:_MOST_LISTED])) + (f" and {more} more" if more > 0 else "")
