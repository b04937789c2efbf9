"""The tools for tests, as a user's tests use them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chimeway_notifiers import Both, Mention, Welcome
from sqlalchemy import Engine, create_engine, insert
from sqlalchemy.orm import Session

import chimeway
import jobs
import jobs.testing
from aquila.errors import ConfigError
from chimeway import store
from chimeway.errors import TemporaryFailure
from chimeway.fanout import AT_ONCE
from chimeway.in_app.marks import mark_read
from chimeway.in_app.pages import inbox
from chimeway.settings import settings
from chimeway.tables import fanouts
from chimeway.testing import Captured, FakeClock, TestAdapter, capture
from tests.outgoing import outgoing

MORNING = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

CONFTEST = """
import chimeway.testing.plugin as plugin
import pytest

def pytest_configure(config):
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin)

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""

TESTS = """
from datetime import datetime, timedelta, UTC
import chimeway, pytest

class Hello(chimeway.Notifier):
    notification_key = "hello"
    channels = ("email",)
    email = chimeway.Content(text="Hello, {name}.")

def test_plain(chimeway_sandbox):
    Hello.trigger("ada", {"name": "Ada"})
    assert chimeway_sandbox.assert_delivered(Hello, "ada").content.text == "Hello, Ada."

def test_each_test_has_its_own(chimeway_sandbox):
    chimeway_sandbox.assert_nothing_sent()

@pytest.mark.chimeway_sandbox("sms", dispatcher="dramatiq", now=datetime(2030, 1, 1, tzinfo=UTC))
def test_marked(chimeway_sandbox):
    Hello.trigger("ada", {"name": "Ada"})
    chimeway_sandbox.drain(until=timedelta(minutes=1))
    chimeway_sandbox.assert_nothing_sent()
    assert chimeway_sandbox.clock.now().year == 2030

@pytest.mark.chimeway_sandbox()
def test_with_the_marker_alone():
    assert Hello.trigger("ada", {"name": "Ada"}).deliveries[0].status == "succeeded"

@pytest.mark.anyio
async def test_async(chimeway_sandbox):
    await Hello.atrigger("ada", {"name": "Ada"})
    await chimeway_sandbox.adrain()
    chimeway_sandbox.assert_delivered("hello", "ada", channel="email", count=1)
"""


@pytest.fixture
def captured() -> Iterator[Captured]:
    with jobs.testing.sandbox(), capture(now=MORNING) as found:
        yield found


@pytest.fixture
def queued() -> Iterator[Captured]:
    with jobs.testing.sandbox(), capture(now=MORNING, dispatcher="dramatiq") as found:
        yield found


def test_what_is_sent_stays_in_the_test(captured: Captured) -> None:
    Both.trigger("7", {"what": "x"})

    message = captured.assert_delivered(Both, 7, channel="email")
    assert message.content.text == "7: x"
    assert [one.channel for one in captured.delivered("test.both", "7")] == ["in_app", "email"]
    assert [one.content.text for one in captured.adapter("email").sent] == ["7: x"]
    assert [item.content.text for item in inbox("7").items] == ["news: x"]


def test_nothing_sent_is_checked(captured: Captured) -> None:
    captured.assert_nothing_sent()
    Welcome.trigger("7", {"name": "A"})

    captured.assert_nothing_sent(Both)
    captured.assert_nothing_sent(recipient="8")
    captured.assert_nothing_sent(channel="sms")
    with pytest.raises(AssertionError, match=r"'test\.welcome' to '7' on email"):
        captured.assert_nothing_sent()
    captured.clear()
    captured.assert_nothing_sent()


def test_a_failed_assertion_says_what_became_of_the_delivery(captured: Captured) -> None:
    captured.adapter("email").fail_with(TemporaryFailure("busy"))
    Welcome.trigger("7", {"name": "A secret name"})

    with pytest.raises(AssertionError, match="email is failed, temporary_failure") as caught:
        captured.assert_delivered(Welcome, "7")
    assert "A secret name" not in str(caught.value)
    with pytest.raises(AssertionError, match="nothing was planned"):
        captured.assert_delivered(Both, "7")


def test_a_number_of_messages_is_checked(captured: Captured) -> None:
    Welcome.trigger("7", {"name": "A"})
    Welcome.trigger("7", {"name": "B"})

    assert captured.assert_delivered(Welcome, "7", count=2).content.subject == "Welcome, B!"
    with pytest.raises(AssertionError, match="reached '7' 2 times"):
        captured.assert_delivered(Welcome, "7", count=1)


def test_with_named_channels_there_are_no_others() -> None:
    with jobs.testing.sandbox(), capture("sms") as found:
        Both.trigger("7", {"what": "x"})

        found.assert_delivered(Both, "7", channel="in_app")
        found.assert_nothing_sent(channel="email")
        with pytest.raises(AssertionError, match="email is failed"):
            found.assert_delivered(Both, "7", channel="email")


def test_what_was_configured_is_back_after_the_block() -> None:
    before = settings()
    with pytest.raises(RuntimeError), capture(), capture("sms"):
        assert settings().clock is not before.clock
        raise RuntimeError

    assert settings() is before


def test_a_capture_is_entered_once() -> None:
    with capture() as found, pytest.raises(ConfigError, match="open"):
        found.__enter__()


def test_a_retry_comes_when_its_time_has_come(captured: Captured) -> None:
    captured.adapter("email").fail_with(TemporaryFailure("busy"), times=1)
    Welcome.trigger("7", {"name": "A"})

    captured.drain()
    captured.assert_nothing_sent()
    captured.drain(until=timedelta(minutes=5))

    message = captured.assert_delivered(Welcome, "7", count=1)
    assert message.attempt == 2
    assert captured.clock.now() == MORNING + timedelta(minutes=5)


@pytest.mark.parametrize("dispatcher", ["captured", "queued"])
def test_a_journey_runs_through_in_its_own_time(dispatcher: str, request: pytest.FixtureRequest) -> None:
    found: Captured = request.getfixturevalue(dispatcher)
    Mention.trigger("ada", {"who": "Bo"})

    found.drain(until=timedelta(hours=1, minutes=59))
    found.assert_nothing_sent(channel="email")
    found.drain(until=MORNING + timedelta(hours=2))
    assert (
        found.assert_delivered(Mention, "ada", channel="email", count=1).content.subject == "Bo mentioned you"
    )
    found.drain(until=timedelta(days=1))

    assert (
        found.assert_delivered(Mention, "ada", channel="email", count=2).content.subject == "Bo still waits"
    )
    assert [one.created_at - MORNING for one in found.sent] == [
        timedelta(),
        timedelta(hours=2),
        timedelta(hours=3),
    ]


def test_a_journey_ends_by_a_signal(captured: Captured) -> None:
    done = Mention.trigger("ada", {"who": "Bo"})
    mark_read("ada", done.notifications[0].notification_id)

    captured.drain(until=timedelta(days=1))

    captured.assert_nothing_sent(channel="email")


def test_queued_deliveries_wait_for_the_drain(queued: Captured) -> None:
    Welcome.trigger("7", {"name": "A"})
    queued.assert_nothing_sent()

    queued.drain()

    queued.assert_delivered(Welcome, "7", count=1)


def test_a_queued_retry_comes_in_time_on_a_clock_that_lags(queued: Captured) -> None:
    # The test's time is another than the database's, which is the machine's.
    queued.clock.move_to(MORNING - timedelta(days=3650))
    queued.adapter("email").fail_with(TemporaryFailure("busy"), times=2)
    Welcome.trigger("7", {"name": "A"})

    queued.drain()
    queued.drain()
    assert queued.adapter("email").calls() == 1
    queued.drain(until=timedelta(minutes=10))

    assert queued.assert_delivered(Welcome, "7").attempt == 3


def test_an_event_of_many_is_planned_and_sent(queued: Captured) -> None:
    Welcome.trigger([str(number) for number in range(AT_ONCE + 1)], {"name": "A"})

    queued.drain()

    assert len(queued.sent) == AT_ONCE + 1


def test_a_job_that_always_fails_does_not_keep_the_drain_from_its_end(queued: Captured) -> None:
    event_id = Welcome.trigger("7", {"name": "A"}).event.event_id
    # Its recipients cannot be read.
    row = {"event_id": event_id, "chunk": 9, "recipients": [{"strange": True}], "revision": 0}
    store.write(lambda connection: connection.execute(insert(fanouts).values(**row)))

    queued.drain(until=timedelta(hours=1))

    queued.assert_delivered(Welcome, "7", count=1)


def test_a_hosts_transaction_sends_after_its_commit(captured: Captured) -> None:
    engine: Engine = create_engine(jobs.database_url())
    with Session(engine) as session:
        Welcome.trigger("gone", {"name": "A"}, session=session)
        session.rollback()
        Welcome.trigger("7", {"name": "B"}, session=session)
        captured.assert_nothing_sent()
        session.commit()
    engine.dispose()

    captured.assert_delivered(Welcome, "7", count=1)
    captured.assert_nothing_sent(recipient="gone")


async def test_a_drain_on_a_loop(queued: Captured) -> None:
    await Welcome.atrigger("7", {"name": "A"})
    await queued.adrain()
    queued.assert_delivered(Welcome, "7", count=1)
    await Welcome.atrigger("8", {"name": "A"})
    queued.drain()
    queued.assert_delivered(Welcome, "8", count=1)


@pytest.mark.parametrize("until", [timedelta(seconds=-1), MORNING - timedelta(days=1), datetime(2030, 1, 1)])  # noqa: DTZ001 - what is refused
def test_a_drain_goes_forward_only(captured: Captured, until: datetime | timedelta) -> None:
    with pytest.raises(ConfigError, match="until"):
        captured.drain(until=until)


def test_a_drain_outside_of_its_block_is_refused() -> None:
    with pytest.raises(ConfigError, match="not open"):
        capture().drain()


def test_a_drain_without_a_sandbox_is_refused(tmp_path: Path) -> None:
    with capture() as found, pytest.raises(ConfigError, match="sandbox"):
        found.drain()
    jobs.close()


def test_a_clock_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(MORNING)
    assert clock.now() == clock.now() == MORNING
    assert clock.advance(90) == MORNING + timedelta(seconds=90)
    assert clock.advance(hours=1) == MORNING + timedelta(hours=1, seconds=90)
    clock.move_to(MORNING)
    assert clock.now() == MORNING
    assert abs(FakeClock().now() - chimeway.settings.SystemClock().now()) < timedelta(seconds=30)
    with pytest.raises(ConfigError, match="time zone"):
        clock.move_to(datetime(2030, 1, 1))  # noqa: DTZ001 - what is refused


def test_every_public_name_is_there() -> None:
    assert [
        getattr(chimeway.testing, name).__name__ for name in chimeway.testing.__all__
    ] == chimeway.testing.__all__
    assert isinstance(TestAdapter(), TestAdapter)


def test_the_fixture_and_the_marker(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)

    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").assert_outcomes(passed=5)


def test_the_plugin_imports_next_to_nothing(pytester: pytest.Pytester) -> None:
    code = "import sys, chimeway.testing.plugin; print([m for m in ('sqlalchemy', 'dramatiq', 'redis') if m in sys.modules])"

    assert pytester.runpython(pytester.makepyfile(code)).outlines == ["[]"]


def test_a_recipient_is_asked_for_as_it_was_told(captured: Captured) -> None:
    ada = chimeway.Recipient("ada", addresses={"email": "ada@example.com"})
    Welcome.trigger(ada, {"name": "A"})

    captured.assert_delivered(Welcome, ada)
    assert len(captured.delivered(recipient=ada)) == 1
    with pytest.raises(AssertionError):
        captured.assert_nothing_sent(Welcome, ada)
    with pytest.raises(ConfigError, match="names 2 recipients"):
        captured.assert_nothing_sent(recipient=["ada", "bo"])


def test_a_channel_that_was_not_named_has_no_adapter() -> None:
    with jobs.testing.sandbox(), capture("sms") as found:
        with pytest.raises(KeyError, match="'email' is no channel of this capture, which has sms, in_app"):
            found.adapter("email")
        assert set(settings().channels) == {"sms", "in_app"}


@pytest.mark.parametrize(
    ("channels", "options", "words"),
    [
        ((["email"],), {}, r"the channel \['email'\]"),
        (("E-mail",), {}, "the channel 'E-mail'"),
        ((), {"dispatcher": "snyc"}, "dispatcher='snyc'"),
        ((), {"now": "2026-01-01"}, "an aware datetime, not str"),
        ((), {"now": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001 - what is refused
    ],
)
def test_what_cannot_be_captured_is_refused(
    channels: tuple[Any, ...], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        capture(*channels, **options)


def test_a_drain_up_to_a_number_is_refused(captured: Captured) -> None:
    with pytest.raises(ConfigError, match=r"timedelta\(hours=2\), not int"):
        captured.drain(until=5)  # type: ignore[arg-type]


def test_an_application_that_configures_itself_inside_sends_nothing(captured: Captured) -> None:
    real = TestAdapter("real")

    chimeway.configure(channels={"email": real}, dispatcher="dramatiq", clock=FakeClock(), timeout=7)
    Welcome.trigger("ada", {"name": "A"})

    captured.assert_delivered(Welcome, "ada", channel="email")
    assert real.calls() == 0
    assert settings().clock is captured.clock
    assert settings().timeout == 7


def test_captures_that_end_in_another_order_leave_nothing_behind() -> None:
    before = settings()
    first, second = capture("email"), capture("sms")
    first.__enter__()
    second.__enter__()

    first.__exit__()
    inside = settings().clock
    second.__exit__()

    assert inside is second.clock
    assert settings() is before


def test_a_failing_adapter_gathers_no_frames_and_forgets_old_deliveries() -> None:
    adapter, error = TestAdapter(keep=2), TemporaryFailure("down")
    adapter.fail_with(error)
    for n in range(5):
        with pytest.raises(TemporaryFailure):
            adapter.deliver(outgoing(delivery_id=f"d{n % 4}"))

    frames = 0
    trace = error.__traceback__
    while trace is not None:
        frames, trace = frames + 1, trace.tb_next
    assert frames == 3
    assert adapter.calls() == 5
    assert [adapter.calls(f"d{n}") for n in range(4)] == [1, 0, 0, 1]
    adapter.clear()
    assert adapter.calls() == adapter.calls("d0") == 0


@pytest.mark.parametrize(
    ("error", "words"),
    [(TemporaryFailure, "not the class TemporaryFailure"), ("down", "not a str"), (None, "not a NoneType")],
)
def test_an_adapter_fails_with_errors_alone(error: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TestAdapter().fail_with(error)
    with pytest.raises(ConfigError, match="times=-1"):
        TestAdapter().fail_with(TemporaryFailure("down"), times=-1)
    with pytest.raises(ConfigError, match="keep=0"):
        TestAdapter(keep=0)
