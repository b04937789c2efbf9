from __future__ import annotations

from pathlib import Path

import pytest
from chimeway_explained import Digested, Escalating, Note, Stand, a_stand, lose_job
from chimeway_notifiers import told
from sqlalchemy import text

import chimeway
from aquila.checks import Check
from chimeway import store
from chimeway.checks import checks
from chimeway.dispatch.performing import perform_sync

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


def found() -> dict[str, Check]:
    return {one.name: one for one in checks()}


def test_looking_makes_no_database(tmp_path: Path) -> None:
    with told():
        assert found()["chimeway: tables"] == Check(
            name="chimeway: tables", state="off", detail="they are made at the first use"
        )
    assert not list(tmp_path.rglob("*.db"))


def test_the_dispatcher_and_the_channels_are_told(place: None) -> None:
    with a_stand():
        said = found()

    assert said["chimeway: dispatcher"].detail.startswith("dramatiq: workers deliver")
    assert said["chimeway: channels"].detail.startswith("in_app (inbox), email (provider) here")


def test_a_dispatcher_that_is_none_is_a_problem(place: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIMEWAY_DISPATCHER", "pigeon")
    with told():
        (said,) = checks()

    assert (said.state, said.detail) == (
        "problem",
        "CHIMEWAY_DISPATCHER='pigeon' must be 'sync' or 'dramatiq'",
    )


@BOTH
def test_work_that_is_overdue_is_counted_with_what_is_in_the_way(place: None) -> None:
    with a_stand() as stand:
        assert found().get("chimeway: work", Check(name="", state="ok", detail="")).state == "ok"
        everything_due(stand)
        assert found()["chimeway: work"].state == "ok"
        stand.clock.advance(hours=3)
        alone = found()["chimeway: work"]
        with stand.all_queues():
            served = found()["chimeway: work"]

    counted = "2 deliveries, 1 workflow wait, 1 signal, 1 digest, 1 part of the recipients are overdue"
    assert (alone.state, alone.detail) == ("problem", f"{counted}; no worker serves this database")
    assert alone.remedy == "start one with `aquila worker MODULE`"
    assert (served.state, served.detail) == ("problem", f"{counted}, and workers serve the queues")


def everything_due(stand: Stand) -> None:
    lose_job(stand.now(stand.sent()).carrier_id)
    stand.claimed(stand.sent())
    perform_sync(stand.sent(Escalating))
    chimeway.track("default", "ada", "comment.answered")
    stand.sent(Digested)
    Note.trigger([f"person-{number}" for number in range(101)], {"word": "a"})


def test_tables_of_another_version_are_left_to_the_jobs_to_tell(place: None) -> None:
    with a_stand() as stand:
        stand.sent()
        older = text(
            "UPDATE aquila_alembic_version SET version_num = 'chimeway_0000' WHERE version_num LIKE 'chimeway%'"
        )
        store.write(lambda connection: connection.execute(older))

        said = found()

    assert said["chimeway: tables"].state == "off"
    assert said["chimeway: tables"].remedy == "see jobs: database"
    assert "chimeway: work" not in said
