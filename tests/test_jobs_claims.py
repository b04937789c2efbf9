from __future__ import annotations

from collections import Counter

import pytest
from job_rows import add, claim, read, run_out
from sqlalchemy import update

from jobs import claims, relay, rows, sweep
from jobs.claims import Captured
from jobs.database import Database
from jobs.errors import JobNotFound
from jobs.publishing import Announcement
from jobs.renewal import Renewal, renew
from jobs.sqltypes import db_now
from jobs.tables import jobs

pytest_plugins = ["job_fixtures"]

SOME = Captured(
    text="some", model="m", finish_reason="stop", usage={"input_tokens": 3}, time_to_first_chunk=0.5
)


def test_a_job_is_claimed_once(database: Database) -> None:
    job = add(database)

    first = database.write(claims.claim, job.job_id, 1, "w1", 60.0)
    second = database.write(claims.claim, job.job_id, 1, "w2", 60.0)

    assert first is not None
    assert (first.job.state, first.job.attempt, first.job.epoch) == ("executing", 1, 1)
    assert second is None


def test_an_old_message_claims_nothing(database: Database) -> None:
    job = add(database)
    database.write(claims.release, claim(database, job))

    assert database.write(claims.claim, job.job_id, 1, "w2", 60.0) is None
    assert database.write(claims.claim, job.job_id, 2, "w2", 60.0) is not None


def test_the_result_is_stored_with_what_the_runs_gave(database: Database) -> None:
    held = claim(database, add(database))

    assert database.write(claims.complete, held, output="text", result={"a": 1}, captured=SOME)

    job = read(database, held.job)
    assert (job.state, job.output, job.result) == ("completed", "text", {"a": 1})
    assert (job.model, job.finish_reason, job.usage, job.time_to_first_chunk) == (
        "m",
        "stop",
        {"input_tokens": 3},
        0.5,
    )
    assert job.ended_at is not None
    assert job.lease_until is None


def test_a_result_is_stored_though_the_answer_to_that_was_lost(database: Database) -> None:
    held = claim(database, add(database))
    database.write(claims.complete, held, output="text", result=1, captured=SOME)
    before = read(database, held.job)

    assert database.write(claims.complete, held, output="text", result=1, captured=SOME)

    assert read(database, held.job) == before


def test_every_write_of_a_stale_claim_is_refused(database: Database) -> None:
    stale = claim(database, add(database))
    run_out(database, stale.job)
    sweep.rescue(database)
    claim(database, read(database, stale.job), worker="w2")
    before = read(database, stale.job)

    assert not database.write(claims.complete, stale, output="x", result="x", captured=SOME)
    assert not database.write(claims.fail, stale, ValueError("x"), delay=1.0, captured=SOME)
    assert not database.write(claims.fail, stale, ValueError("x"), delay=None, captured=SOME)
    assert not database.write(claims.release, stale)
    assert not database.write(claims.keep_partial, stale, SOME)
    assert not database.write(claims.add_metadata, stale, {"x": 1})
    assert not database.read(claims.is_held, stale)
    assert read(database, stale.job) == before


def test_a_claim_is_stale_too_when_the_same_worker_has_the_job_again(database: Database) -> None:
    stale = claim(database, add(database))
    run_out(database, stale.job)
    sweep.rescue(database)
    fresh = claim(database, read(database, stale.job), worker=stale.worker_id)

    kept = database.write(renew, "w1", [stale.key, fresh.key], 60.0)

    assert kept == Renewal({fresh.key}, {fresh.key})
    assert not database.write(claims.complete, stale, output="x", result="x", captured=SOME)


def test_a_lease_is_renewed_and_a_lost_one_is_told(database: Database) -> None:
    mine, cancelled = claim(database, add(database)), claim(database, add(database))
    database.write(rows.cancel, cancelled.job.job_id)

    kept = database.write(renew, "w1", [mine.key, cancelled.key], 600.0)

    assert kept == Renewal({mine.key}, {mine.key})
    after = read(database, mine.job)
    assert after.lease_until is not None
    assert mine.job.lease_until is not None
    assert (after.lease_until - mine.job.lease_until).total_seconds() > 500


def test_a_failed_attempt_is_noted_and_due_again_later(database: Database) -> None:
    held = claim(database, add(database))

    database.write(claims.fail, held, ValueError("no luck"), delay=30.0, captured=SOME)

    job = read(database, held.job)
    assert (job.state, job.attempt, job.published_at, job.output) == ("retryable", 1, None, "some")
    assert [(entry["attempt"], entry["error"], entry["message"]) for entry in job.errors] == [
        (1, "ValueError", "no luck")
    ]
    assert (job.scheduled_at - job.created_at).total_seconds() > 29
    assert sweep.promote(database) == 0


def test_a_shutdown_costs_no_attempt_but_raises_the_epoch(database: Database) -> None:
    held = claim(database, add(database))

    database.write(claims.release, held)

    job = read(database, held.job)
    assert (job.state, job.attempt, job.epoch, job.published_at) == ("available", 0, 1, None)


def test_progress_is_merged_into_the_metadata(database: Database) -> None:
    held = claim(database, add(database))

    database.write(claims.add_metadata, held, {"step": 1})
    database.write(claims.add_metadata, held, {"step": 2, "of": 5})

    assert read(database, held.job).metadata == {"who": "anna", "step": 2, "of": 5}


def test_a_lease_that_ran_out_gives_the_job_back_and_counts(database: Database) -> None:
    held = claim(database, add(database))
    run_out(database, held.job)

    assert [job.job_id for job in sweep.rescue(database)] == [held.job.job_id]

    job = read(database, held.job)
    assert (job.state, job.attempt) == ("available", 1)
    assert job.errors[0]["error"] == "WorkerDied"


def test_a_job_that_kills_its_workers_is_given_up_with_the_reason(database: Database) -> None:
    job = add(database, max_attempts=2)
    for _ in range(2):
        claim(database, job)
        run_out(database, job)
        sweep.rescue(database)
        job = read(database, job)

    assert job.state == "discarded"
    assert job.errors[-1]["message"] == "the worker died 2 times while it ran this job"


def test_a_lease_that_is_good_is_left_alone(database: Database) -> None:
    claim(database, add(database))

    assert sweep.rescue(database) == []


def test_what_is_due_becomes_available_and_the_rest_waits(database: Database) -> None:
    later = add(database, delay=60.0)
    soon = add(database, delay=60.0)
    due = update(jobs).where(jobs.c.id == soon.job_id).values(scheduled_at=db_now(-1))
    database.write(lambda connection: connection.execute(due))

    assert sweep.promote(database) == 1

    assert read(database, soon).state == "available"
    assert read(database, later).state == "scheduled"


def test_cancelling_ends_what_has_not_ended(database: Database) -> None:
    job = add(database)

    assert database.write(rows.cancel, job.job_id)[1]
    assert not database.write(rows.cancel, job.job_id)[1]
    assert read(database, job).state == "cancelled"


def test_what_a_cancelled_attempt_gave_is_kept(database: Database) -> None:
    held = claim(database, add(database))
    database.write(rows.cancel, held.job.job_id)

    assert database.write(claims.keep_partial, held, SOME)

    assert read(database, held.job).output == "some"


def test_an_ended_job_that_is_sent_again_gets_one_more_attempt(database: Database) -> None:
    held = claim(database, add(database, max_attempts=1))
    database.write(claims.fail, held, ValueError("x"), delay=None, captured=SOME)

    job, changed = database.write(rows.run_again, held.job.job_id)

    assert changed
    assert (job.state, job.attempt, job.max_attempts, job.published_at) == ("available", 1, 2, None)
    assert not database.write(rows.run_again, held.job.job_id)[1]


def test_a_job_nobody_here_can_run_waits_without_losing_an_attempt(database: Database) -> None:
    job = add(database)

    assert database.write(claims.postpone, job.job_id, 1, 10.0, "nobody knows it")

    assert (read(database, job).state, read(database, job).attempt) == ("scheduled", 0)
    assert read(database, job).metadata == {"who": "anna", claims.WAITS: "nobody knows it"}
    assert not database.write(claims.postpone, job.job_id, 1, 10.0, "nobody knows it")


def test_the_reason_a_job_waited_is_gone_once_it_runs(database: Database) -> None:
    job = add(database)
    database.write(claims.postpone, job.job_id, 1, -1.0, "nobody knows it")
    sweep.promote(database)

    held = claim(database, job)

    assert held.job.metadata == read(database, job).metadata == {"who": "anna"}


def test_a_traceback_is_kept_from_its_end(database: Database) -> None:
    held = claim(database, add(database))
    trace = "x" * claims.TRACE_LENGTH + "the end\x00"

    database.write(claims.fail, held, ValueError("no luck"), trace=trace, delay=None, captured=SOME)

    kept = read(database, held.job).errors[0]["traceback"]
    assert len(kept) == claims.TRACE_LENGTH
    assert kept.endswith("xthe end\ufffd")


def test_a_prefix_names_a_job_if_it_names_one(database: Database) -> None:
    job = add(database)

    assert database.read(rows.resolve_prefix, job.job_id[:10].upper()) == job.job_id
    with pytest.raises(JobNotFound, match="no job begins with 'zz'"):
        database.read(rows.resolve_prefix, "zz")
    with pytest.raises(JobNotFound, match="no job begins with '%'"):
        database.read(rows.resolve_prefix, "%")
    # Of seventeen ids, two begin with the same of sixteen digits.
    digits = Counter(add(database).job_id[0] for _ in range(17))
    with pytest.raises(JobNotFound, match="more than one"):
        database.read(rows.resolve_prefix, digits.most_common(1)[0][0])


def test_the_latest_jobs_come_first_and_can_be_picked_by_state(database: Database) -> None:
    first, second = add(database), add(database)
    claim(database, first)

    assert {job.job_id for job in database.read(rows.latest)} == {first.job_id, second.job_id}
    assert [job.job_id for job in database.read(rows.latest, jobs.c.state == "executing")] == [first.job_id]
    assert database.read(rows.count_by_state) == {"available": 1, "executing": 1}


def test_after_the_wire_was_emptied_every_waiting_row_is_handed_over_again(database: Database) -> None:
    job = add(database)
    database.write(relay._note_published, [Announcement.of(job)])
    assert read(database, job).published_at is not None

    relay.forget_wire(database)

    assert read(database, job).published_at is None
