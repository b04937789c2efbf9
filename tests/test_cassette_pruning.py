from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aquila.cassette.pruning import Folder, Leftover, Leftovers, leftovers
from aquila.cassette.run_report import FolderFile, RunReport, UsedCassette

FOLDER = Path("/project/cassettes")


def report(*used: UsedCassette, folder: Path = FOLDER, listed: Iterable[str] = ()) -> RunReport:
    return RunReport(
        datetime(2026, 11, 22, tzinfo=UTC), complete=True, folder=str(folder), used=used,
        files=tuple(FolderFile(f"{name}.yaml", name) for name in listed),
    )  # fmt: skip


def present(*files: Path) -> Folder:
    return Folder(files=files, digest=digest, is_ours=lambda path: not path.name.startswith("foreign"))


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
    found = leftovers(report(used), present(FOLDER / used.path), orphans=True)

    assert found == Leftovers((expected,) if expected else (), ())


def test_a_file_goes_when_nothing_of_it_was_played() -> None:
    whole, some = (UsedCassette(f"{name}.yaml", 2, played, name) for name, played in (("a", ()), ("b", (1,))))

    found = leftovers(report(whole, some), present(), orphans=True)

    assert [item.is_whole for item in found.unused] == [True, False]


def test_a_file_that_has_changed_since_is_left_alone() -> None:
    changed, played = UsedCassette("b.yaml", 2, (), "another"), UsedCassette("a.yaml", 1, (0,), "another")

    assert leftovers(report(changed, played), present(), orphans=True) == Leftovers((), (FOLDER / "b.yaml",))


def test_files_that_no_test_opened_are_unused_unless_they_are_to_stay() -> None:
    used = report(UsedCassette("a.yaml", 1, (0,), "a"), listed="abz")
    files = present(FOLDER / "z.yaml", FOLDER / "a.yaml", FOLDER / "b.yaml")

    found = leftovers(used, files, orphans=True)

    assert [(item.path.name, item.is_whole) for item in found.unused] == [("b.yaml", True), ("z.yaml", True)]
    assert leftovers(used, files, orphans=False) == Leftovers((), ())


def test_a_file_that_came_or_changed_after_the_run_stays() -> None:
    ended = RunReport(
        datetime(2026, 11, 22, tzinfo=UTC), complete=True, folder=str(FOLDER), used=(),
        files=(FolderFile("changed.yaml", "as it was"), FolderFile("old.yaml", "old")),
    )  # fmt: skip

    found = leftovers(
        ended, present(*(FOLDER / f"{name}.yaml" for name in ("new", "changed", "old"))), orphans=True
    )

    assert [item.path.name for item in found.unused] == ["old.yaml"]
    assert [path.name for path, _ in found.kept] == ["changed.yaml", "new.yaml"]
    assert all(reason.endswith("run the tests again") for _, reason in found.kept)


def test_the_report_of_an_older_release_makes_no_file_unused() -> None:
    found = leftovers(report(), present(FOLDER / "a.yaml"), orphans=True)

    assert found.unused == ()


def test_files_of_other_tools_stay_opened_or_not() -> None:
    opened = UsedCassette("foreign-1.yaml", 2, (0,), "foreign-1")

    found = leftovers(
        report(opened, listed=["foreign-2"]),
        present(FOLDER / "foreign-1.yaml", FOLDER / "foreign-2.yaml"),
        orphans=True,
    )

    assert found.unused == ()
    assert [path.name for path, _ in found.kept] == ["foreign-1.yaml", "foreign-2.yaml"]


def test_what_the_run_recorded_is_in_use_whole() -> None:
    recorded = UsedCassette("a.yaml", 3, (), "a", recorded=True)

    assert leftovers(report(recorded, listed="a"), present(FOLDER / "a.yaml"), orphans=True) == Leftovers(
        (), ()
    )


def test_a_file_that_a_link_leads_to_is_in_use_with_the_link(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").touch()
    (tmp_path / "link.yaml").symlink_to("a.yaml")
    files = present(tmp_path / "a.yaml", tmp_path / "link.yaml")

    by_link = report(UsedCassette("link.yaml", 1, (0,), "a"), folder=tmp_path, listed=["a", "link"])
    by_both = report(
        UsedCassette("link.yaml", 3, (0,), "a"), UsedCassette("a.yaml", 3, (2,), "a"), folder=tmp_path
    )

    assert leftovers(by_link, files, orphans=True) == Leftovers((), ())
    assert [item.positions for item in leftovers(by_both, files, orphans=True).unused] == [(1,)]
