from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from jobs import leader
from jobs.database import Database
from jobs.leader import Leadership
from jobs.sqltypes import db_now
from jobs.tables import leaders

pytest_plugins = ["job_fixtures"]


def run_out(database: Database, name: str, seconds: float = 1.0) -> None:
    past = update(leaders).where(leaders.c.name == name).values(until=db_now(-seconds))
    database.write(lambda connection: connection.execute(past))


def left(database: Database, name: str) -> float:
    def seconds(connection: object) -> float:
        query = select(leaders.c.until).where(leaders.c.name == name)
        until = connection.execute(query).scalar_one()  # type: ignore[attr-defined]
        now = connection.execute(select(db_now())).scalar_one()  # type: ignore[attr-defined]
        return float((until - now).total_seconds())

    return database.read(seconds)


def test_one_worker_leads_and_goes_on_leading(database: Database) -> None:
    assert database.write(leader.take, "cron:a", "w1", 60.0)
    assert not database.write(leader.take, "cron:a", "w2", 60.0)
    assert database.write(leader.take, "cron:a", "w1", 60.0)


def test_each_thing_is_led_apart(database: Database) -> None:
    assert database.write(leader.take, "cron:a", "w1", 60.0)
    assert database.write(leader.take, "cron:b", "w2", 60.0)


def test_a_dead_leader_is_followed_when_its_lease_is_over(database: Database) -> None:
    database.write(leader.take, "cron:a", "w1", 60.0)
    run_out(database, "cron:a")

    assert database.write(leader.take, "cron:a", "w2", 60.0)
    assert not database.write(leader.take, "cron:a", "w1", 60.0)


def test_who_resigns_is_followed_at_once(database: Database) -> None:
    database.write(leader.take, "cron:a", "w1", 60.0)

    assert not database.write(leader.resign, "cron:a", "w2")
    assert database.write(leader.resign, "cron:a", "w1")
    assert database.write(leader.take, "cron:a", "w2", 60.0)
    assert not database.write(leader.resign, "cron:a", "w1")


def test_of_many_who_want_to_lead_at_once_one_does(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(database.write, leader.take, "cron:a", f"w{n}", 60.0) for n in range(8)]

    assert [one.result() for one in asked].count(True) == 1


async def test_a_worker_leads_what_is_free(database: Database) -> None:
    first, second = Leadership(database, "w1", 60.0), Leadership(database, "w2", 60.0)

    assert (await first.lead(["cron:a"])).names == {"cron:a"}
    assert (await second.lead(["cron:a", "cron:b"])).names == {"cron:b"}
    assert (await first.lead(["cron:a", "cron:b"])).names == {"cron:a"}


async def test_a_lease_is_renewed_once_a_third_is_over(database: Database) -> None:
    first = Leadership(database, "w1", 60.0)
    await first.lead(["cron:a"])
    run_out(database, "cron:a", -50.0)

    assert (await first.lead(["cron:a"])).names == {"cron:a"}
    assert left(database, "cron:a") <= 50.0

    run_out(database, "cron:a", -30.0)
    assert (await first.lead(["cron:a"])).names == {"cron:a"}
    assert left(database, "cron:a") > 50.0


async def test_a_leader_that_slept_too_long_learns_that_it_leads_no_more(database: Database) -> None:
    first, second = Leadership(database, "w1", 60.0), Leadership(database, "w2", 60.0)
    await first.lead(["cron:a"])
    run_out(database, "cron:a")

    assert (await second.lead(["cron:a"])).names == {"cron:a"}
    assert (await first.lead(["cron:a"])).names == frozenset()


async def test_resigning_gives_up_what_is_led_and_nothing_else(database: Database) -> None:
    first, second = Leadership(database, "w1", 60.0), Leadership(database, "w2", 60.0)
    await first.lead(["cron:a"])
    await second.lead(["cron:b"])

    await first.resign(["cron:a", "cron:b"])

    assert (await second.lead(["cron:a", "cron:b"])).names == {"cron:a", "cron:b"}


async def test_the_database_s_time_comes_with_it(database: Database) -> None:
    led = await Leadership(database, "w1", 60.0).lead(["cron:a"])
    now = database.read(lambda connection: connection.execute(select(db_now())).scalar_one())

    assert 0 <= (now - led.now).total_seconds() < 5


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_many_names_are_led(database: Database) -> None:
    names = {f"cron:{n}" for n in range(600)}
    for name in sorted(names)[:-1]:
        database.write(leader.take, name, "w1", 60.0)

    assert (await Leadership(database, "w1", 60.0).lead(names)).names == names


def test_what_nobody_leads_is_forgotten(database: Database) -> None:
    database.write(leader.take, "cron:a", "w1", 60.0)
    database.write(leader.take, "cron:b", "w1", 60.0)
    run_out(database, "cron:a", 100.0)

    assert database.write(leader.forget_leaders, 90.0) == 1
    assert database.write(leader.take, "cron:a", "w2", 60.0)
    assert not database.write(leader.take, "cron:b", "w2", 60.0)
