from __future__ import annotations

from soak.step_calls import read_calls, wrong_steps

STEP = ("a", "first")


def test_a_step_that_gave_every_attempt_what_is_recorded_is_right() -> None:
    # The first attempt died between the call and the record; the third was given what the second has recorded.
    lines = [
        "called a first 1.0 1.5",
        "called a first 2.0 2.5",
        "given a first 2.0 2.6",
        "given a first 2.0 3.1",
    ]
    assert wrong_steps(read_calls(lines), {STEP: 2.0}, [STEP]) == []


def test_a_call_by_an_attempt_that_began_behind_the_record_is_wrong() -> None:
    lines = ["called a first 1.0 1.1", "given a first 1.0 1.2", "called a first 2.0 2.1"]
    (said,) = wrong_steps(read_calls(lines), {STEP: 1.0}, [STEP])
    assert "called by an attempt that began at 2.0" in said


def test_a_call_by_an_attempt_that_had_begun_before_the_record_is_none_of_the_steps_faults() -> None:
    lines = ["called a first 2.0 2.1", "given a first 2.0 2.2", "called a first 1.0 9.0"]
    assert wrong_steps(read_calls(lines), {STEP: 2.0}, [STEP]) == []


def test_two_values_of_one_step_are_wrong() -> None:
    lines = ["called a first 1.0 1.1", "given a first 1.0 1.2", "given a first 2.0 2.2"]
    (said,) = wrong_steps(read_calls(lines), {STEP: 1.0}, [STEP])
    assert "attempts were given [1.0, 2.0]" in said


def test_a_step_that_is_not_recorded_is_wrong() -> None:
    assert wrong_steps({}, {}, [STEP]) == ["a, step first: nothing is recorded"]


def test_a_line_that_a_kill_cut_short_counts_for_nothing() -> None:
    assert read_calls(["called a first"]) == {}
