"""What a run and its other processes hear of the cassettes that are opened, played and recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aquila.cassette import RecordTransport, ReplayTransport, Scope, Status, wrap
from aquila.cassette.journal import JOURNAL, Entry
from aquila.cassette.session import has_rewritten
from aquila.cassette.tally import Tally
from aquila.cassette.watch import WATCHING, Watch
from aquila.settings import read_settings
from tests.tapes import EchoTransport, read, record, replay, request


@pytest.fixture
def run() -> Iterator[Watch]:
    """The watch of a run, and that of a test in it."""
    before = WATCHING.run, WATCHING.test
    WATCHING.run, WATCHING.test = Watch(), Watch()
    yield WATCHING.run
    WATCHING.run, WATCHING.test = before


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "journal"
    file.touch()
    monkeypatch.setattr(JOURNAL, "file", file)


def told(*kinds: str) -> list[Entry]:
    return [entry for entry in JOURNAL.entries() if entry.kind in kinds]


async def test_transports_used_by_hand_count_for_the_run_and_for_no_test(tmp_path: Path, run: Watch) -> None:
    path = tmp_path / "a.yaml"
    recording = RecordTransport(EchoTransport(), path)
    for prompt in "AB":
        await read(recording, request(prompt))
    replaying = ReplayTransport(path)
    assert len(run.opened) == 1, "nothing is opened before the first request"
    for prompt in "AB":
        await read(replaying, request(prompt))

    recorded, played = run.opened
    assert (recorded.records, recorded.recordings, recorded.player) == (True, 2, None)
    assert (played.records, played.recordings) == (False, 0)
    used = Tally.of(run.opened).used[str(path)]
    assert (used.plays, used.recordings, used.played) == (2, 2, {0, 1})
    assert WATCHING.test is not None
    assert WATCHING.test.opened == []


@pytest.mark.usefixtures("journal")
async def test_the_journal_hears_what_was_opened_recorded_and_played(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    await record(path, EchoTransport(), request("A"), request("B"))
    await replay(path, request("B"), request("A"))

    assert [(entry.kind, entry.position) for entry in JOURNAL.entries()] == [
        ("opened", None), ("recorded", None), ("recorded", None), ("opened", None), ("played", 1), ("played", 0),
    ]  # fmt: skip
    assert {entry.path for entry in JOURNAL.entries()} == {str(path.resolve())}


@pytest.mark.usefixtures("journal")
async def test_the_journal_hears_of_a_named_cassette_too(tmp_path: Path) -> None:
    settings = read_settings({"AQUILA_CASSETTE_DIR": str(tmp_path)}, cwd=tmp_path)
    for mode, faults in (("rewrite", ()), ("none", (Status(code=503),))):
        scope = Scope("a", mode, faults=faults)
        await read(wrap(EchoTransport, None, settings=settings, scope=scope), request("A"))
        scope.close()

    kinds = [entry.kind for entry in JOURNAL.entries()]
    assert sorted(kinds) == ["opened", "opened", "played", "recorded", "rewritten"]
    assert [entry.position for entry in told("played")] == [0]


@pytest.mark.usefixtures("journal")
def test_what_another_process_of_the_run_has_rewritten_is_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    assert not has_rewritten(path)

    JOURNAL.note("rewritten", path)

    assert has_rewritten(path)
