from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from chimeway_notifiers import MovedClock, Recorder, Welcome, told
from sqlalchemy import Connection, Engine, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import chimeway
import jobs
from aquila.errors import ConfigError
from chimeway import store
from chimeway.adapters.base import ProviderFeedback
from chimeway.adapters.failover import Handed
from chimeway.adapters.webhook_feedback import read_feedback
from chimeway.dispatch.claiming import Claim, claim
from chimeway.dispatch.recording import record
from chimeway.engine.router import route_signal
from chimeway.errors import Bounced, FeedbackRefused, PermanentFailure, TemporaryFailure
from chimeway.feedback import areceive_feedback, receive_feedback
from chimeway.feedback_processing import PATIENCE, Taken, TooEarly, process, process_feedback
from chimeway.feedback_signature import read_secret, sign, verify
from chimeway.models import Attempt
from chimeway.rows import attempts_of, get_delivery, get_run
from chimeway.settings import settings
from chimeway.tables import attempts, deliveries, feedback, runs, signals, transitions
from jobs.tables import jobs as job_rows

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)

SECRET = "whsec-of-the-provider"  # noqa: S105 - of a test
KEY = read_secret(SECRET)


class Provider(Recorder):
    """An adapter whose provider posts news later."""

    def verify_feedback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> list[ProviderFeedback]:
        return read_feedback(verify([KEY], headers, body, now), body)


class Journey(chimeway.Notifier):
    notification_key = "test.feedback.journey"
    email = chimeway.Content(text="first")
    sms = chimeway.Content(text="second")
    workflow = chimeway.Workflow(
        "test.feedback.journey",
        version=1,
        steps=[
            chimeway.Deliver(
                "email",
                channel="email",
                rules=[chimeway.Stop("bounced"), chimeway.Wait(hours=2, to="sms")],
            ),
            chimeway.Deliver("sms", channel="sms"),
        ],
    )


class Listening(chimeway.Notifier):
    notification_key = "test.feedback.listening"
    email = chimeway.Content(text="first")
    sms = chimeway.Content(text="second")
    workflow = chimeway.Workflow(
        "test.feedback.listening",
        version=1,
        steps=[
            chimeway.Deliver(
                "email",
                channel="email",
                rules=[chimeway.Wait(hours=2, on_signal={"chimeway.delivery.failed": "sms"})],
            ),
            chimeway.Deliver("sms", channel="sms"),
        ],
    )


@pytest.fixture
def provider() -> Provider:
    return Provider("provider")


@pytest.fixture
def other() -> Provider:
    return Provider("other")


@pytest.fixture
def posting(place: None, clock: MovedClock, provider: Provider, other: Provider) -> Iterator[None]:
    """A place whose e-mail goes to a provider that posts news."""
    with told(dispatcher="sync", channels={"email": provider, "sms": other}, clock=clock):
        yield


def signed(clock: MovedClock, news: Any, *, message_id: str = "m-1") -> tuple[dict[str, str], bytes]:
    body = json.dumps(news).encode()
    return sign(KEY, message_id, clock.now(), body), body


def post(clock: MovedClock, news: Any, *, message_id: str = "m-1", adapter: str = "provider") -> list[str]:
    return receive_feedback(adapter, *signed(clock, news, message_id=message_id))


def take(clock: MovedClock, news: Any, **more: Any) -> Taken | TooEarly | None:
    (row_id,) = post(clock, news, **more)
    return store.write(process, row_id, clock.now())


def a_delivery() -> chimeway.Delivery:
    return Welcome.trigger("ada", {"name": "Ada"}).deliveries[0]


def state(delivery: chimeway.Delivery) -> tuple[str, str | None]:
    found = store.read(get_delivery, delivery.delivery_id)
    return found.status.value, found.outcome


def sources(delivery: chimeway.Delivery) -> list[tuple[int, str, str]]:
    found: list[Attempt] = store.read(attempts_of, delivery.delivery_id)
    return [(one.attempt_number, one.source, one.outcome.value) for one in found]


def count(connection: Connection, table: Any, *where: Any) -> int:
    return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()


def carriers() -> int:
    return store.read(count, job_rows, job_rows.c.actor_name == "chimeway.process_feedback")


def test_news_become_a_row_and_a_job_that_holds_only_its_id(posting: None, clock: MovedClock) -> None:
    delivery = a_delivery()

    (row_id,) = post(clock, {"delivery_id": delivery.delivery_id, "kind": "bounced", "detail": "no such box"})

    row = store.read(lambda c: c.execute(select(feedback)).one())
    job = store.read(lambda c: c.execute(select(job_rows).where(job_rows.c.id == row.carrier_id)).one())
    assert (row.id, row.state, row.kind, row.adapter) == (row_id, "queued", "bounced", "provider")
    assert (job.queue_name, job.arguments) == ("chimeway_signals", {"args": [row_id], "kwargs": {}})
    assert state(delivery) == ("succeeded", "delivered")


def test_a_duplicate_adds_no_row_and_no_job(posting: None, clock: MovedClock) -> None:
    news = {"delivery_id": a_delivery().delivery_id, "kind": "delivered"}
    assert len(post(clock, news)) == 1

    assert post(clock, news) == []
    assert len(post(clock, [news, {**news, "event_id": "m-1"}], message_id="m-2")) == 1
    assert store.read(count, feedback) == 2
    assert carriers() == 2


def test_two_requests_with_the_same_news_at_once_add_it_once(posting: None, clock: MovedClock) -> None:
    news = [{"delivery_id": "x", "kind": "delivered", "event_id": f"e{number}"} for number in range(20)]
    requests = [signed(clock, some, message_id=f"m{at}") for at, some in enumerate((news, news[::-1]))]
    added: list[str] = []
    threads = [
        threading.Thread(target=lambda request=request: added.extend(receive_feedback("provider", *request)))
        for request in requests
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(added) == 20
    assert store.read(count, feedback) == carriers() == 20


def test_a_wrong_signature_stores_nothing(posting: None, clock: MovedClock) -> None:
    headers, body = signed(clock, {"delivery_id": "x", "kind": "delivered"})

    with pytest.raises(FeedbackRefused):
        receive_feedback("provider", headers, body + b" ")
    clock.advance(minutes=6)
    with pytest.raises(FeedbackRefused):
        receive_feedback("provider", headers, body)

    assert store.read(count, feedback) == 0


def test_an_adapter_that_takes_no_feedback_is_named(posting: None, clock: MovedClock) -> None:
    with pytest.raises(ConfigError, match="'inbox'"):
        post(clock, {"delivery_id": "x", "kind": "delivered"}, adapter="inbox")
    with pytest.raises(ConfigError, match="'nobody'"):
        post(clock, {"delivery_id": "x", "kind": "delivered"}, adapter="nobody")


def test_a_rollback_leaves_no_news(posting: None, clock: MovedClock, engine: Engine) -> None:
    with Session(engine) as session:
        receive_feedback("provider", *signed(clock, {"delivery_id": "x", "kind": "bounced"}), session=session)
        session.rollback()

    assert store.read(count, feedback) == carriers() == 0


async def test_an_asynchronous_session_stores_news_with_its_commit(posting: None, clock: MovedClock) -> None:
    url = jobs.database_url().replace("sqlite:", "sqlite+aiosqlite:").replace("+psycopg:", "+psycopg_async:")
    made = create_async_engine(url)
    async with AsyncSession(made) as session:
        request = signed(clock, {"delivery_id": "x", "kind": "bounced"})
        added = await areceive_feedback("provider", *request, session=session)
        assert await store.aread(count, feedback) == 0
        await session.commit()
    await made.dispose()

    assert await store.aread(count, feedback, feedback.c.id == added[0]) == 1


def test_an_event_id_that_no_row_can_keep_still_counts_once(
    posting: None, clock: MovedClock, provider: Provider
) -> None:
    class Wordy(Provider):
        def verify_feedback(self, headers: Any, body: bytes, now: datetime) -> list[ProviderFeedback]:
            long = [ProviderFeedback(provider_event_id="e" * 300 + end, kind="delivered") for end in "ab"]
            return [
                *long,
                ProviderFeedback(provider_event_id="nul\0", kind="delivered", delivery_id="no id\0"),
            ]

    chimeway.configure(channels={"email": Wordy("wordy")})

    assert len(receive_feedback("wordy", {}, b"")) == 3
    assert receive_feedback("wordy", {}, b"") == []


def test_secrets_in_a_providers_words_are_not_stored(posting: None, clock: MovedClock) -> None:
    key = "sk-" + "a1B2c3D4" * 4
    post(clock, {"delivery_id": "x", "kind": "failed", "detail": f"bad key {key}"})

    assert key not in str(store.read(lambda c: c.execute(select(feedback)).one()))


def test_a_late_bounce_takes_a_success_back(posting: None, clock: MovedClock) -> None:
    delivery = a_delivery()

    taken = take(clock, {"delivery_id": delivery.delivery_id, "kind": "bounced"})

    assert taken == Taken(counts=True, reason="bounced")
    assert state(delivery) == ("cancelled", "bounced")
    assert sources(delivery) == [(1, "send", "delivered"), (1, "webhook", "bounced")]


def test_a_delivery_is_found_by_what_the_provider_calls_the_message(posting: None, clock: MovedClock) -> None:
    delivery = a_delivery()

    take(clock, {"provider_message_id": f"provider-{delivery.delivery_id}", "kind": "bounced"})

    assert state(delivery) == ("cancelled", "bounced")
    assert store.read(lambda c: c.execute(select(feedback.c.delivery_id)).scalar()) == delivery.delivery_id


def test_news_are_taken_in_once(posting: None, clock: MovedClock) -> None:
    delivery = a_delivery()
    (row_id,) = post(clock, {"delivery_id": delivery.delivery_id, "kind": "bounced"})

    assert store.write(process, row_id, clock.now()) is not None
    assert store.write(process, row_id, clock.now()) is None
    assert len(sources(delivery)) == 2
    assert store.read(count, signals) == 1


def test_a_success_that_comes_late_ends_the_retries(
    posting: None, clock: MovedClock, provider: Provider
) -> None:
    provider.errors.append(TemporaryFailure("busy"))
    delivery = a_delivery()
    assert state(delivery) == ("failed", "temporary_failure")

    take(clock, {"delivery_id": delivery.delivery_id, "kind": "delivered"})

    assert state(delivery) == ("succeeded", "delivered")
    clock.advance(days=1)
    assert not isinstance(store.write(claim, delivery.delivery_id, clock.now(), lease=lambda _: 60.0), Claim)


@pytest.mark.parametrize(
    "case",
    [
        (None, "delivered", "confirmed"),
        (None, "failed", "failed_after_success"),
        (TemporaryFailure("busy"), "failed", "retry_goes_on"),
        (PermanentFailure("no"), "delivered", "already_ended"),
        (Bounced("no"), "bounced", "already_bounced"),
    ],
)
def test_what_changes_nothing_is_kept_with_its_reason(
    posting: None, clock: MovedClock, provider: Provider, case: tuple[Exception | None, str, str]
) -> None:
    error, kind, reason = case
    if error:
        provider.errors.append(error)
    delivery = a_delivery()
    before = state(delivery)

    taken = take(clock, {"delivery_id": delivery.delivery_id, "kind": kind})

    assert taken == Taken(counts=reason == "confirmed", reason=reason)
    assert state(delivery) == before
    assert sources(delivery)[-1][1] == "webhook"
    row = store.read(lambda c: c.execute(select(feedback)).one())
    assert (row.state, row.reason) == ("processed" if reason == "confirmed" else "ignored", reason)


def test_several_news_of_one_attempt_are_all_kept(posting: None, clock: MovedClock) -> None:
    delivery = a_delivery()
    for number in range(3):
        news = {"delivery_id": delivery.delivery_id, "kind": "delivered"}
        take(clock, news, message_id=f"m{number}")

    found = store.read(lambda c: list(c.scalars(select(attempts.c.sequence).order_by(attempts.c.sequence))))
    assert found == [0, 1, 2, 3]


def test_another_adapter_says_nothing_of_a_delivery(posting: None, clock: MovedClock) -> None:
    delivery = a_delivery()

    taken = take(clock, {"delivery_id": delivery.delivery_id, "kind": "bounced"}, adapter="other")

    assert taken == Taken(counts=False, reason="other_adapter")
    assert state(delivery) == ("succeeded", "delivered")
    assert len(sources(delivery)) == 1


def test_a_bounce_of_an_earlier_attempt_leaves_the_success(
    posting: None, clock: MovedClock, provider: Provider
) -> None:
    provider.errors.append(TemporaryFailure("slow", provider_message_id="first-message"))
    delivery = a_delivery()
    clock.advance(minutes=5)
    store.write(claimed_and_sent, delivery.delivery_id, clock.now(), provider)
    assert state(delivery) == ("succeeded", "delivered")

    taken = take(clock, {"provider_message_id": "first-message", "kind": "bounced"})

    assert taken == Taken(counts=False, reason="earlier_attempt")
    assert state(delivery) == ("succeeded", "delivered")


def claimed_and_sent(connection: Connection, delivery_id: str, now: datetime, provider: Provider) -> None:
    got = claim(connection, delivery_id, now, lease=lambda _: 60.0)
    assert isinstance(got, Claim)
    record(
        connection, got, Handed(adapter="provider", receipt=provider.deliver(got.message)), now, jitter=0.0
    )


def test_news_of_what_was_never_sent_are_ignored(posting: None, clock: MovedClock) -> None:
    with told(dispatcher="dramatiq", channels=settings().channels, clock=clock):
        delivery = a_delivery()
        taken = take(clock, {"delivery_id": delivery.delivery_id, "kind": "delivered"})

    assert taken == Taken(counts=False, reason="not_sent")
    assert state(delivery) == ("pending", None)
    assert store.read(count, signals) == 0


def test_news_that_come_before_the_record_wait_for_it(posting: None, clock: MovedClock) -> None:
    news = {"provider_message_id": "not-yet", "kind": "delivered"}
    (row_id,) = post(clock, news)

    assert isinstance(store.write(process, row_id, clock.now()), TooEarly)
    assert store.read(lambda c: c.execute(select(feedback.c.state)).scalar()) == "queued"
    later = clock.now() + PATIENCE
    assert store.write(process, row_id, later) == Taken(counts=False, reason="unknown_delivery")


async def test_the_actor_puts_off_what_comes_too_early(posting: None, clock: MovedClock) -> None:
    (row_id,) = post(clock, {"provider_message_id": "not-yet", "kind": "delivered"})

    with pytest.raises(jobs.Snooze) as caught:
        await process_feedback(row_id)

    assert caught.value.seconds == 15


def test_news_about_a_running_attempt_wait_for_its_end(posting: None, clock: MovedClock) -> None:
    with told(dispatcher="dramatiq", channels=settings().channels, clock=clock):
        delivery = a_delivery()
        store.write(claim, delivery.delivery_id, clock.now(), lease=lambda _: 60.0)
        (row_id,) = post(clock, {"delivery_id": delivery.delivery_id, "kind": "delivered"})

        assert isinstance(store.write(process, row_id, clock.now()), TooEarly)
        # Its worker is gone, and the provider's word is all there is.
        taken = store.write(process, row_id, clock.now() + PATIENCE)

    assert taken == Taken(counts=True, reason="delivered")
    assert state(delivery) == ("succeeded", "delivered")


def test_news_are_told_as_a_signal_in_the_same_transaction(posting: None, clock: MovedClock) -> None:
    delivery = a_delivery()
    (row_id,) = post(
        clock, {"delivery_id": delivery.delivery_id, "kind": "bounced", "detail": "ada@example.com"}
    )

    def failing(connection: Connection) -> None:
        process(connection, row_id, clock.now())
        raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError):
        store.write(failing)
    assert store.read(count, signals) == 0
    assert state(delivery) == ("succeeded", "delivered")

    store.write(process, row_id, clock.now())
    told_of = store.read(lambda c: c.execute(select(signals)).one())
    assert (told_of.event_name, told_of.actor_id) == ("chimeway.delivery.bounced", "ada")
    assert told_of.payload == {
        "notification_id": delivery.notification_id,
        "delivery_id": delivery.delivery_id,
        "channel": "email",
    }


def test_a_late_bounce_stops_a_run_that_waits(posting: None, clock: MovedClock) -> None:
    delivery = Journey.trigger("ada", {}).deliveries[0]
    assert run_of(delivery).state == "waiting"

    take(clock, {"delivery_id": delivery.delivery_id, "kind": "bounced"})

    assert run_of(delivery).state == "stopped"
    reasons = store.read(lambda c: list(c.scalars(select(transitions.c.reason).order_by(transitions.c.seq))))
    assert "bounced" in reasons[-1]


def test_a_failure_after_a_success_moves_a_run_that_listens(posting: None, clock: MovedClock) -> None:
    delivery = Listening.trigger("ada", {}).deliveries[0]
    take(clock, {"delivery_id": delivery.delivery_id, "kind": "failed"})
    signal_id = store.read(lambda c: c.execute(select(signals.c.id)).scalar_one())

    store.write(route_signal, signal_id, clock.now())

    assert run_of(delivery).current_step_key == "sms"


def run_of(delivery: chimeway.Delivery) -> chimeway.WorkflowRun:
    run_id = store.read(
        lambda c: c.execute(select(runs.c.id).where(runs.c.event_id == delivery.event_id)).scalar_one()
    )
    return store.read(get_run, run_id)


def test_a_bounce_and_a_retry_at_once_leave_one_end(
    posting: None, clock: MovedClock, provider: Provider
) -> None:
    """Whoever is first wins, and nothing is sent after the end."""
    provider.errors.extend([TemporaryFailure("busy")] * 6)
    many = [a_delivery() for _ in range(6)]
    clock.advance(minutes=5)
    rows = [
        post(clock, {"delivery_id": one.delivery_id, "kind": "bounced"}, message_id=one.delivery_id)[0]
        for one in many
    ]
    claims: list[object] = []

    def claim_all() -> None:
        claims.extend(store.write(claim, one.delivery_id, clock.now(), lease=lambda _: 60.0) for one in many)

    def take_all() -> None:
        for row_id in reversed(rows):
            store.write(process, row_id, clock.now())

    threads = [threading.Thread(target=claim_all), threading.Thread(target=take_all)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for one, got in zip(many, claims, strict=True):
        status = state(one)[0]
        assert status == ("dispatched" if isinstance(got, Claim) else "cancelled")


def test_a_row_that_lost_its_job_is_given_another(posting: None, clock: MovedClock) -> None:
    (row_id,) = post(clock, {"delivery_id": a_delivery().delivery_id, "kind": "bounced"})
    store.write(lambda c: c.execute(update(feedback).values(carrier_id="gone")))

    chimeway.configure(dispatcher="dramatiq")
    assert chimeway.sweep().feedback == 1

    row = store.read(lambda c: c.execute(select(feedback).where(feedback.c.id == row_id)).one())
    assert store.read(count, job_rows, job_rows.c.id == row.carrier_id) == 1


def test_the_sweep_of_a_process_that_delivers_itself_takes_news_in(posting: None, clock: MovedClock) -> None:
    delivery = a_delivery()
    post(clock, {"delivery_id": delivery.delivery_id, "kind": "bounced"})

    assert chimeway.sweep().feedback == 1

    assert state(delivery) == ("cancelled", "bounced")


def test_patience_is_longer_than_an_attempt_may_take(posting: None) -> None:
    assert timedelta(seconds=settings().lease("email")) < PATIENCE


def test_the_end_says_that_it_came_from_the_provider(posting: None, clock: MovedClock) -> None:
    delivery = a_delivery()
    take(clock, {"delivery_id": delivery.delivery_id, "kind": "bounced"})

    row = store.read(lambda c: c.execute(select(deliveries)).one())
    assert (row.next_attempt_at, row.claim_token, row.lease_until) == (None, None, None)
    assert row.reason_context["source"] == "webhook"


class Saying(Recorder):
    """An adapter of somebody's own, which gives what it is told."""

    def __init__(self, said: Any) -> None:
        super().__init__()
        self.said = said

    def verify_feedback(self, headers: Any, body: bytes, now: datetime) -> Any:
        assert isinstance(body, bytes)
        return self.said


async def _late() -> list[ProviderFeedback]:
    return []


@pytest.mark.parametrize(
    "said", [None, "delivered", {"kind": "bounced"}, [{"kind": "bounced"}], [None], 5, _late]
)
def test_an_adapter_that_gives_no_list_of_feedback_is_named(place: str, said: Any) -> None:
    given = said() if said is _late else said
    with (
        told(channels={"email": Saying(given)}),
        pytest.raises(ConfigError, match=r"verify_feedback of the adapter 'recorder'"),
    ):
        receive_feedback("recorder", {}, b"")


def test_ids_that_are_numbers_are_kept_as_text(place: str) -> None:
    said: Any = ProviderFeedback(provider_event_id=12, kind="bounced", provider_message_id=34, delivery_id=56)  # type: ignore[arg-type]
    with told(channels={"email": Saying([said])}, dispatcher="dramatiq"):
        [row_id] = receive_feedback("recorder", {}, bytearray(b"x"))  # type: ignore[arg-type]
        row = store.read(
            lambda connection: connection.execute(select(feedback).where(feedback.c.id == row_id)).one()
        )

    assert (row.provider_event_id, row.provider_message_id, row.delivery_id) == ("12", "34", "56")


def test_an_id_that_names_nothing_is_refused(place: str) -> None:
    said: Any = ProviderFeedback(provider_event_id="1", kind="bounced", provider_message_id=b"PLANTED")  # type: ignore[arg-type]
    with (
        told(channels={"email": Saying([said])}),
        pytest.raises(ConfigError, match="provider_message_id is bytes"),
    ):
        receive_feedback("recorder", {}, b"")


@pytest.mark.parametrize(
    ("headers", "body", "words"), [({}, "text", "bytes, not str"), (None, b"", "not NoneType")]
)
def test_what_is_no_request_is_refused_with_words(place: str, headers: Any, body: Any, words: str) -> None:
    with told(channels={"email": Saying([])}), pytest.raises(ConfigError, match=words):
        receive_feedback("recorder", headers, body)


def test_an_error_of_a_library_brings_no_secret_and_no_address_into_rows(place: str) -> None:
    adapter = Recorder()
    adapter.errors = [
        RuntimeError("401 for url 'https://hooks.example.com/services/PLANTED' to YAN@planted.example"),
        PermanentFailure(
            "no", response={"to": "Yan@planted.example", "at": "https://u:PLANTED@hooks.example.com/PLANTED"}
        ),
    ]
    clock = MovedClock()
    yan = chimeway.Recipient("yan", addresses={"email": "yan@planted.example"})
    with told(channels={"email": adapter}, dispatcher="sync", clock=clock):
        ids = [Welcome.trigger(yan, {"name": str(n)}).deliveries[0].delivery_id for n in range(2)]
        first, second = (store.read(attempts_of, one)[0] for one in ids)
        context = store.read(get_delivery, ids[0]).reason_context

    assert first.error == "401 for url 'https://hooks.example.com/[...]' to [redacted]"
    assert context == {"error_class": "unknown", "error": first.error}
    assert second.provider_response == {"to": "[redacted]", "at": "https://hooks.example.com/[...]"}
