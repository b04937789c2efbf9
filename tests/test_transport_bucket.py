from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aquila.transport.bucket import Bucket


@given(
    per_minute=st.integers(1, 600),
    pauses=st.lists(st.floats(0, 90), max_size=40),
    start=st.floats(0, 1e6),
)
def test_no_minute_sees_more_than_the_limit(per_minute: int, pauses: list[float], start: float) -> None:
    bucket = Bucket(per_minute, start)
    now, taken = start, []

    for pause in pauses + [0.0] * (2 * per_minute):
        now += pause
        now += bucket.wait(now)
        bucket.take(now)
        taken.append(now)

    # A millionth for the rounding of large moments.
    windows = zip(taken, taken[per_minute:], strict=False)
    assert all(later - first >= 60 - 1e-6 for first, later in windows)


def test_a_second_s_worth_of_requests_goes_at_once() -> None:
    bucket = Bucket(600, 0.0)

    for _ in range(10):
        assert bucket.wait(0.0) == 0.0
        bucket.take(0.0)

    assert 0.09 < bucket.wait(0.0) < 0.11


def test_a_full_bucket_does_not_grow_with_waiting() -> None:
    bucket = Bucket(60, 0.0)

    bucket.take(3600.0)

    assert bucket.wait(3600.0) == 1.0
