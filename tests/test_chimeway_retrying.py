from __future__ import annotations

from collections.abc import Iterator

import pytest
from chimeway_explained import Once, Stand, Written, a_stand, quiet

from chimeway import store
from chimeway.dispatch.performing import perform_sync
from chimeway.errors import Bounced, ChimewayError, NotificationNotFound, PermanentFailure, TemporaryFailure
from chimeway.explain import explain_delivery
from chimeway.retrying import aretry, retry
from chimeway.rows import attempts_of
from chimeway.writing.results import fail_content
from jobs.rows import get as get_job

pytest_plugins = ["job_fixtures", "chimeway_fixtures"]
BOTH = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def stand(place: None) -> Iterator[Stand]:
    with a_stand() as made:
        yield made


def job_of(stand: Stand, delivery_id: str) -> tuple[str, list[str]]:
    carrier_id = stand.now(delivery_id).carrier_id
    assert carrier_id is not None
    job = store.read(get_job, carrier_id)
    return job.actor_name, job.arguments["args"]


@BOTH
@pytest.mark.parametrize(
    "error", [TemporaryFailure("full"), PermanentFailure("forbidden"), Bounced("unknown")]
)
def test_what_was_given_up_is_sent_once_more(stand: Stand, error: Exception) -> None:
    delivery_id = stand.tried(error, notifier=Once)
    assert stand.now(delivery_id).status == "cancelled"

    again = retry(delivery_id, "default")

    assert (again.status, again.max_attempts, again.terminal_at) == ("failed", 2, None)
    assert job_of(stand, delivery_id) == ("chimeway.deliver", [delivery_id])
    assert "asked for once more" in explain_delivery(delivery_id).summary
    assert perform_sync(delivery_id) == "delivered"
    assert [one.attempt_number for one in store.read(attempts_of, delivery_id)] == [1, 2]


async def test_what_waits_for_its_next_attempt_is_due_now(stand: Stand) -> None:
    delivery_id = stand.sent()
    stand.email.errors = [TemporaryFailure("full")]
    perform_sync(delivery_id)

    again = await aretry(delivery_id)

    assert again.max_attempts == 5
    assert perform_sync(delivery_id) == "delivered"


def test_a_text_that_could_not_be_written_is_written_once_more(stand: Stand) -> None:
    delivery_id = stand.sent(Written)
    store.write(fail_content, "the model is away", stand.clock.now(), delivery_id=delivery_id)

    again = retry(delivery_id)

    assert (again.status, again.orchestration_state, again.outcome) == ("pending", "content_pending", None)
    assert job_of(stand, delivery_id) == ("chimeway.write_content", [delivery_id])


def test_what_did_not_fail_is_not_sent_once_more(stand: Stand) -> None:
    sent, waiting = stand.tried(), stand.sent()
    deferred = stand.tried(TemporaryFailure("full"), who="napper")
    quiet(stand, "napper")
    perform_sync(deferred)

    for delivery_id, why in (
        (sent, "succeeded; only what failed is"),
        (waiting, "pending"),
        (deferred, "quiet hours"),
    ):
        before = stand.now(delivery_id)
        with pytest.raises(ChimewayError, match=why):
            retry(delivery_id)
        assert stand.now(delivery_id) == before
    with pytest.raises(NotificationNotFound):
        retry(sent, "acme")


def test_what_a_workflow_did_meanwhile_stays_done(stand: Stand) -> None:
    run_id = stand.escalated("mover")
    email = stand.steps(run_id)["email"]
    stand.email.errors = [PermanentFailure("forbidden")]
    perform_sync(email)
    assert set(stand.steps(run_id)) == {"inbox", "email", "thanks"}

    retry(email)

    assert perform_sync(email) == "delivered"
    assert set(stand.steps(run_id)) == {"inbox", "email", "thanks"}
