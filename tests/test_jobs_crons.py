from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

import jobs
from aquila.errors import ConfigError
from jobs import crons as declared
from jobs import registry
from jobs.crons import cron, crons, reschedule


class Report(BaseModel):
    day: str


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(declared, "_CRONS", {})
    monkeypatch.setattr(registry, "_ACTORS", {})


def nightly_actor() -> jobs.Actor[[str], None]:
    @jobs.actor(actor_name="nightly", queue_name="reports")
    def nightly(day: str = "today") -> None: ...

    return nightly


def test_a_cron_stands_above_an_actor_and_leaves_it_as_it_is() -> None:
    @cron("0 3 * * *", tz="Europe/Berlin")
    @jobs.actor
    def nightly() -> str:
        return "done"

    assert nightly() == "done"
    known = crons()["nightly"]
    assert (known.key, known.missed, known.leader) == (
        "nightly@0 3 * * * Europe/Berlin",
        "latest",
        "cron:nightly",
    )


def test_a_cron_makes_the_actor_s_job_with_its_arguments_and_options() -> None:
    actor = nightly_actor()
    cron("@daily", name="reports", kwargs={"day": "monday"})(actor.options(priority=2, tags=["night"]))

    message = crons()["reports"].message()

    assert (message.actor_name, message.queue_name, message.priority) == ("nightly", "reports", 2)
    assert (message.arguments, message.tags) == ({"args": ["monday"], "kwargs": {}}, ("night",))


def test_an_actor_may_have_several_crons() -> None:
    actor = nightly_actor()
    cron("0 3 * * *")(actor)
    cron("0 15 * * *", name="afternoon", args=["today"])(actor)

    assert set(crons()) == {"nightly", "afternoon"}


def test_a_second_cron_of_an_actor_needs_a_name() -> None:
    actor = nightly_actor()
    cron("0 3 * * *")(actor)

    with pytest.raises(ConfigError, match=r"two crons are called 'nightly'.*give one a name="):
        cron("0 15 * * *")(actor)


def test_a_module_that_is_loaded_twice_declares_the_same_cron() -> None:
    cron("0 3 * * *")(nightly_actor())
    cron("0 4 * * *")(nightly_actor())

    assert crons()["nightly"].schedule.expression == "0 4 * * *"


def test_the_same_declaration_may_be_made_again() -> None:
    actor = nightly_actor()
    cron("0 3 * * *", args=["today"])(actor)
    cron("0  3 * * *", args=["today"])(actor)

    with pytest.raises(ConfigError, match="two crons"):
        cron("0 3 * * *", args=["tomorrow"])(actor)


def test_crons_of_two_actors_need_names_of_their_own() -> None:
    @jobs.actor
    def other() -> None: ...

    cron("0 3 * * *", name="same")(nightly_actor())

    with pytest.raises(ConfigError, match=r"nightly at 0 3 \* \* \* UTC and of .*other"):
        cron("0 3 * * *", name="same")(other)


def test_arguments_that_do_not_fit_are_refused_where_they_are_written() -> None:
    @jobs.actor
    def report(report: Report) -> None: ...

    with pytest.raises(TypeError):
        cron("0 3 * * *")(report)
    with pytest.raises(ConfigError, match="does not fit its type"):
        cron("0 3 * * *", args=[{"month": "may"}])(report)
    assert not crons()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"missed": "some"}, "missed='some' of a cron must be one of latest, all, skip"),
        ({"name": "no spaces"}, "the cron name 'no spaces' may hold"),
        ({"name": "n" * 59}, "up to 58"),
        ({"args": "today"}, r"write args=\['today'\]"),
        ({"tz": "Mars"}, "no time zone"),
    ],
)
def test_what_cannot_be_used_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        cron("0 3 * * *", **options)(nightly_actor())  # type: ignore[arg-type]


def test_a_cron_below_its_actor_is_told_where_to_stand() -> None:
    def plain() -> None: ...

    with pytest.raises(ConfigError, match=r"in the line above @jobs\.actor"):
        cron("0 3 * * *")(plain)  # type: ignore[type-var]


def test_a_time_beside_the_cron_s_own_is_refused() -> None:
    tomorrow = datetime(2026, 11, 25, tzinfo=UTC)

    with pytest.raises(ConfigError, match="leave at= out"):
        cron("0 3 * * *")(nightly_actor().options(at=tomorrow))


def test_an_expression_that_the_tables_cannot_hold_is_refused() -> None:
    minutes = ",".join(str(minute) for minute in range(60))

    with pytest.raises(ConfigError, match="is too long; split it"):
        cron(f"{minutes} {','.join(map(str, range(24)))} 1,2,3,4,5,6 * *", name="many")(nightly_actor())


def test_a_declared_cron_can_be_given_other_times() -> None:
    cron("0 3 * * *", tz="Europe/Berlin", args=["today"])(nightly_actor())
    before = crons()["nightly"]

    reschedule("nightly", "*/10 * * * *")

    now = crons()["nightly"]
    assert now.key == "nightly@*/10 * * * * Europe/Berlin"
    assert now.key != before.key
    assert (now.leader, now.args, now.sender) == (before.leader, ("today",), before.sender)
    reschedule("nightly", "@daily", tz="UTC")
    assert crons()["nightly"].key == "nightly@0 0 * * * UTC"


@pytest.mark.parametrize(
    ("name", "expression", "words"),
    [
        ("hourly", "0 * * * *", "no cron is called 'hourly'; import the module"),
        ("nightly", "0 3", "'0 3' cannot be read"),
        (
            "nightly",
            f"{','.join(map(str, range(60)))} {','.join(map(str, range(24)))} 1-9 * 1,2,3,4",
            "too long",
        ),
    ],
)
def test_other_times_that_cannot_be_leave_a_cron_as_it_was(name: str, expression: str, words: str) -> None:
    cron("0 3 * * *")(nightly_actor())

    with pytest.raises(ConfigError, match=words):
        reschedule(name, expression)

    assert crons()["nightly"].key == "nightly@0 3 * * * UTC"
