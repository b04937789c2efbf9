from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from aquila.cassette.pruning import Leftover, Leftovers, leftovers
from aquila.cassette.run_report import RunReport, UsedCassette

FOLDER = Path("/project/cassettes")


def report(*used: UsedCassette) -> RunReport:
    return RunReport(datetime(2026, 11, 22, tzinfo=UTC), complete=True, folder=str(FOLDER), used=used)


def digest(path: Path) -> str:
    return "" if path.name.startswith("gone") else path.stem


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (UsedCassette("a.yaml", 3, (0, 2), "a"), Leftover(FOLDER / "a.yaml", (1,), 3, "a")),
        (UsedCassette("/other/a.yaml", 2, (), "a"), Leftover(Path("/other/a.yaml"), (0, 1), 2, "a")),
        (UsedCassette("a.yaml", 3, (2, 0, 1), "a"), None),
        (UsedCassette("a.yaml", 0, (), "a"), None),
        (UsedCassette("gone.yaml", 3, (), "a"), None),
    ],
)
def test_what_was_not_played_is_unused(used: UsedCassette, expected: Leftover | None) -> None:
    found = leftovers(report(used), [FOLDER / used.path], digest, orphans=True)

    assert found == Leftovers((expected,) if expected else (), ())


def test_a_file_goes_when_nothing_of_it_was_played() -> None:
    whole, some = (UsedCassette(f"{name}.yaml", 2, played, name) for name, played in (("a", ()), ("b", (1,))))

    found = leftovers(report(whole, some), [], digest, orphans=True)

    assert [item.is_whole for item in found.unused] == [True, False]


def test_a_file_that_has_changed_since_is_left_alone() -> None:
    changed, played = UsedCassette("b.yaml", 2, (), "another"), UsedCassette("a.yaml", 1, (0,), "another")

    assert leftovers(report(changed, played), [], digest, orphans=True) == Leftovers((), (FOLDER / "b.yaml",))


def test_files_that_no_test_opened_are_unused_unless_they_are_to_stay() -> None:
    used = report(UsedCassette("a.yaml", 1, (0,), "a"))
    files = [FOLDER / "z.yaml", FOLDER / "a.yaml", FOLDER / "b.yaml"]

    found = leftovers(used, files, digest, orphans=True)

    assert [(item.path.name, item.is_whole) for item in found.unused] == [("b.yaml", True), ("z.yaml", True)]
    assert leftovers(used, files, digest, orphans=False) == Leftovers((), ())
