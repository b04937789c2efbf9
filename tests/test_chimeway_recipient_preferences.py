from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from chimeway_notifiers import MovedClock, told
from job_hosts import async_engine, plain_engine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from aquila.errors import ConfigError
from chimeway.policy import DeliveryCap, Preference, QuietHours
from chimeway.recipient import Recipient
from chimeway.recipients.limits import (
    aclear_quiet_hours,
    aset_delivery_cap,
    aset_quiet_hours,
    clear_quiet_hours,
    set_delivery_cap,
    set_quiet_hours,
)
from chimeway.recipients.preferences import (
    Preferences,
    apreferences,
    aset_preference,
    preferences,
    set_preference,
)

pytest_plugins = ["job_fixtures"]

BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)
NIGHT = QuietHours(start=22 * 60, end=7 * 60, time_zone="Europe/Berlin")


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    with told(clock=MovedClock()):
        yield


@BOTH
def test_what_a_recipient_said_is_kept_by_its_names(place: None) -> None:
    set_preference(7, False, channel="email")
    set_preference("7", False, notification_key="mention")
    set_preference(Recipient("7"), True, notification_key="mention", channel="sms")
    set_preference(7, False, category="news")
    set_preference(8, False)
    set_preference(7, False, tenant_id="another")

    known = preferences(7)

    assert (known.recipient_identity, known.tenant_id) == ("7", "default")
    assert set(known.said) == {
        Preference(enabled=False, channel="email"),
        Preference(enabled=False, notification_key="mention"),
        Preference(enabled=True, notification_key="mention", channel="sms"),
        Preference(enabled=False, category="news"),
    }
    assert preferences(7, tenant_id="another").said == (Preference(enabled=False),)
    assert preferences("nobody") == Preferences(recipient_identity="nobody", tenant_id="default", said=())


def test_a_later_word_takes_the_place_of_the_one_before_and_none_takes_it_back(place: None) -> None:
    set_preference(7, False, channel="email")
    set_preference(7, True, channel="email")
    assert preferences(7).said == (Preference(enabled=True, channel="email"),)

    set_preference(7, None, channel="sms")
    set_preference(7, None, channel="email")
    set_preference(7, None, channel="email")
    assert preferences(7).said == ()


def test_what_is_wanted_can_be_asked_for(place: None) -> None:
    set_preference(7, False, channel="email")
    set_preference(7, True, channel="email", notification_key="mention")
    set_preference(7, False, category="news")

    known = preferences(7)

    assert known.allows("email", notification_key="mention")
    assert not known.allows("email", notification_key="mention", category="news")
    assert not known.allows("email")
    assert known.allows("sms", notification_key="welcome", category="billing")


@BOTH
def test_quiet_hours_and_caps_are_kept_beside_each_other(place: None) -> None:
    set_quiet_hours(7, start="22:00", end="07:00", time_zone="Europe/Berlin")
    set_delivery_cap(7, 5, 86_400)
    known = preferences(7)
    assert (known.quiet_hours, known.delivery_cap) == (NIGHT, DeliveryCap(5, 86_400))

    set_delivery_cap(7, 1, 60)
    clear_quiet_hours(7)
    assert (preferences(7).quiet_hours, preferences(7).delivery_cap) == (None, DeliveryCap(1, 60))

    set_delivery_cap(7, None)
    clear_quiet_hours("nobody")
    assert (preferences(7).quiet_hours, preferences(7).delivery_cap) == (None, None)


def test_all_of_it_is_given_as_json(place: None) -> None:
    set_preference(7, False, category="news")
    set_quiet_hours(7, "22:00", "7:00", "Europe/Berlin")
    set_delivery_cap(7, 5, 60)

    assert preferences(7).to_dict() == {
        "recipient_identity": "7",
        "tenant_id": "default",
        "said": [{"enabled": False, "category": "news"}],
        "quiet_hours": {"start": "22:00", "end": "07:00", "time_zone": "Europe/Berlin"},
        "delivery_cap": {"count": 5, "seconds": 60},
    }


@BOTH
def test_a_rollback_of_the_host_takes_back_what_was_written_in_its_transaction(place: None) -> None:
    set_preference(7, True, channel="sms")
    engine = plain_engine()
    with Session(engine) as session:
        set_preference(7, False, channel="email", session=session)
        set_quiet_hours(7, "22:00", "07:00", "UTC", session=session)
        set_delivery_cap(7, 1, 60, session=session)
        assert len(preferences(7, session=session).said) == 2
        assert preferences(7, session=session).quiet_hours is not None
        session.rollback()
        assert preferences(7).said == (Preference(enabled=True, channel="sms"),)
        assert preferences(7).quiet_hours is None

        set_preference(7, False, channel="email", session=session)
        session.commit()
    assert len(preferences(7).said) == 2
    engine.dispose()


@BOTH
async def test_the_asynchronous_forms_do_the_same(place: None) -> None:
    await aset_preference(7, False, channel="email")
    await aset_quiet_hours(7, "22:00", "07:00", "Europe/Berlin")
    await aset_delivery_cap(7, 5, 60)
    known = await apreferences(7)
    assert known.said == (Preference(enabled=False, channel="email"),)
    assert (known.quiet_hours, known.delivery_cap) == (NIGHT, DeliveryCap(5, 60))

    engine = async_engine()
    async with AsyncSession(engine) as session:
        await aset_preference(7, None, channel="email", session=session)
        await aclear_quiet_hours(7, session=session)
        await aset_delivery_cap(7, None, session=session)
        inside = await apreferences(7, session=session)
        assert (inside.said, inside.quiet_hours, inside.delivery_cap) == ((), None, None)
        await session.rollback()
    await engine.dispose()

    assert await apreferences(7) == known


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: set_preference(7, False, category="a", notification_key="b"), "not about both"),
        (lambda: set_preference(7, False, channel="E-Mail"), "channel='E-Mail' must be"),
        (lambda: set_preference(7, False, category=" "), "category=' ' must be a text"),
        (lambda: set_preference(7, False, category="c" * 101), "1 to 100 printable"),
        (lambda: set_preference(7, False, notification_key="k" * 256), "1 to 255 printable"),
        (lambda: set_preference(7, False, notification_key="a\0b"), "notification_key="),
        (lambda: set_preference(7, "no"), "enabled='no' must be True, False"),
        (lambda: set_preference(7, False, tenant_id=""), "tenant_id has 1 to 100 characters"),
        (lambda: set_preference([7, 8], False), "takes one recipient, not 2"),
        (lambda: set_preference(None, False), "a recipient is an id"),
        (lambda: preferences([]), "takes one recipient, not 0"),
        (lambda: set_quiet_hours(7, "22", "07:00", "UTC"), "start='22' must be"),
        (lambda: set_quiet_hours(7, "22:00", "24:00", "UTC"), "end='24:00' must be"),
        (lambda: set_quiet_hours(7, "22:00", "07:00", "Mars"), "time_zone='Mars' is unknown"),
        (lambda: set_delivery_cap(7, 5), "needs the seconds it is for"),
        (lambda: set_delivery_cap(7, 0, 60), "a number from 1"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_opened(
    work: Callable[[], Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        work()


def test_a_recipient_may_be_known_by_a_uuid(place: None) -> None:
    name = UUID(int=7)
    set_preference(name, False)

    assert preferences(str(name)).said == (Preference(enabled=False),)
