from __future__ import annotations

from datetime import timedelta

from job_values import DUE, new_job, running_job

from jobs.census import Worker
from jobs.claims import WAITS
from jobs.cli.facts import LONGEST, facts
from jobs.rows import Job


def told(job: Job, *, waits: str | None = None, worker: Worker | None = None) -> dict[str, str]:
    found = [(name, str(value)) for name, value in facts(job, waits=waits, worker=worker, now=DUE)]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_what_was_said_at_the_send_is_shown() -> None:
    new = new_job(
        arguments={"args": ["tea"], "kwargs": {"cups": 2, "hot": True}},
        metadata={"who": "Zoë", WAITS: "for whom?"},
        tags=["acme", "eu"],
        unique_key="explain:tea",
        priority=1,
        timeout=30.0,
        budget={"tokens": 5000, "cost": 0.1},
        cassette="tea",
    )
    found = told(running_job(new))

    assert found["arguments"] == '"tea", cups=2, hot=true'
    assert found["metadata"] == '{"who": "Zoë"}'
    assert found["tags"] == "acme, eu"
    assert found["unique key"] == "explain:tea"
    assert found["priority"] == "1"
    assert found["timeout"] == "30 s for an attempt"
    assert found["budget"] == "5000 tokens, $0.1"
    assert found["cassette"] == "tea"


def test_long_arguments_are_cut() -> None:
    found = told(running_job(new_job(arguments={"args": ["x" * 1000], "kwargs": {}})))

    assert len(found["arguments"]) == LONGEST
    assert found["arguments"].endswith("x…")


def test_a_job_that_was_sent_with_nothing_shows_no_empty_lines() -> None:
    found = told(running_job())

    assert not {"arguments", "tags", "unique key", "timeout", "budget", "metadata", "reason"} & {*found}
    assert all(found.values())


def test_an_ended_job_shows_its_reason_its_result_and_its_cost() -> None:
    ended = {"ended_at": DUE + timedelta(seconds=2), "result": {"a": [1]}, "cost": 0.00123, "model": "m"}
    found = told(
        running_job(state="discarded", reason="attempt 5 of 5\nfailed", usage={"x_tokens": 3}, **ended)
    )

    assert found["reason"] == "attempt 5 of 5 failed"
    assert found["result"] == '{"a": [1]}'
    assert found["cost"] == "$0.001230"
    assert found["tokens"] == "x 3"
    assert found["time"] == "2.00 s"


def test_a_text_that_was_returned_is_no_result_beside_the_output() -> None:
    assert "result" not in told(running_job(output="tea", result="tea"))
    assert told(running_job(output="tea", result=[]))["result"] == "[]"


def test_the_worker_is_shown_with_its_place_while_it_lives() -> None:
    worker = Worker("0123456789abcdef", "here", 42, {})
    job = running_job(worker_id=worker.worker_id, lease_until=DUE + timedelta(seconds=9))

    assert told(job, worker=worker)["worker"] == "01234567 (here, process 42)"
    assert told(job)["worker"] == "01234567"
    assert told(job)["lease ends"].endswith("(in 9 s)")


def test_why_a_job_waits_is_shown_behind_its_state() -> None:
    found = told(running_job(state="available", started_at=None), waits="no worker")

    assert [*found][2:4] == ["state", "waits"]
    assert found["waits"] == "no worker"
    assert "due" in found


def test_control_characters_of_others_are_shown_as_pictures() -> None:
    error = {"attempt": 1, "error": "ValueError", "message": "\x1b[31mred\nline"}
    found = told(running_job(errors=[error], reason="\x1b]0;title\x07"))

    assert found["attempt 1"] == "ValueError: ␛[31mred line"
    assert "\x1b" not in found["reason"]
