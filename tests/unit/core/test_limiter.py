"""The limits of sending: concurrency stays within its bounds and adapts, and a rate is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core.limiter import START, AdaptiveLimit, TokenBucket

CEILINGS = st.integers(-2, 1024)
STEPS = st.lists(
    st.sampled_from(["success", "success", "overload", "late", "restart"])
    | st.tuples(st.just("ceiling"), CEILINGS),
    max_size=60,
)


@given(CEILINGS, STEPS)
def test_the_limit_stays_within_one_and_the_ceiling(ceiling: int, steps: list[str | tuple[str, int]]) -> None:
    limit = AdaptiveLimit(ceiling)
    ceiling = max(1, ceiling)
    assert limit.limit == min(ceiling, START)
    for now, step in enumerate(steps, start=1):
        before = limit.limit
        match step:
            case (_, int(value)):
                limit.set_ceiling(value)
                ceiling = max(1, value)
                assert limit.limit == min(before, ceiling)
            case "success":
                limit.success()
                assert before <= limit.limit <= before + 1
            case "overload":
                limit.overload(float(now), float(now) - 0.5)
                assert limit.limit == max(1, before // 2)
            case "late":
                limit.overload(float(now), -1e9 if before == 1 else float("-inf"))
            case _:
                limit.restart()
                assert limit.limit == min(ceiling, 8)
        assert 1 <= limit.limit <= ceiling


def test_the_refusals_of_one_round_trip_count_once() -> None:
    limit = AdaptiveLimit(64)
    limit.overload(now=1.0, sent_at=0.5)
    limit.overload(now=1.1, sent_at=0.9)
    limit.overload(now=1.2, sent_at=1.0)
    assert limit.limit == 32

    limit.overload(now=1.3, sent_at=1.25)
    assert limit.limit == 16


def test_growth_is_fast_below_the_level_that_was_too_much_and_slow_above() -> None:
    limit = AdaptiveLimit(64)
    limit.overload(now=1.0, sent_at=0.5)
    limit.restart()
    for _ in range(24):
        limit.success()
    assert limit.limit == 32, "one for each success"
    for _ in range(31):
        limit.success()
    assert limit.limit == 32
    for _ in range(3):
        limit.success()
    assert limit.limit == 33, "one for each round trip"


def test_the_ceiling_is_reached_and_not_passed() -> None:
    limit = AdaptiveLimit(10)
    limit.overload(now=1.0, sent_at=0.5)
    for _ in range(200):
        limit.success()
    assert limit.limit == 10

    limit.set_ceiling(20)
    assert limit.limit == 10, "more room is grown into"
    for _ in range(10):
        limit.success()
    assert limit.limit == 20
    limit.success()
    assert limit.limit == 20
    limit.set_ceiling(3)
    assert limit.limit == 3


@given(
    st.floats(0.1, 1000.0),
    st.floats(0, 1e6),
    st.lists(st.floats(0, 2.0), min_size=1, max_size=80),
)
def test_a_rate_is_never_exceeded(rate: float, start: float, pauses: list[float]) -> None:
    bucket = TokenBucket(rate, start)
    now, sent = start, 0
    for pause in pauses:
        now += pause
        wait = bucket.take(now)
        sent += not wait
        assert 0 <= wait <= 1 / rate
        assert sent <= max(1.0, rate) + (now - start) * rate + 1e-3


@given(st.floats(0.1, 1000.0), st.integers(1, 40))
def test_who_waits_as_long_as_told_is_served(rate: float, count: int) -> None:
    bucket = TokenBucket(rate, 0.0)
    now, sent, asked = 0.0, 0, 0
    while sent < count:
        wait = bucket.take(now)
        asked += 1
        sent += not wait
        now += wait

    assert asked <= 2 * count
    assert now <= count / rate


def test_a_second_of_rest_allows_a_second_of_burst_and_no_more() -> None:
    bucket = TokenBucket(5.0, 0.0)

    assert [bucket.take(100.0) for _ in range(5)] == [0.0] * 5
    assert bucket.take(100.0) == pytest.approx(0.2)


@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_no_rate_is_no_limit(rate: float) -> None:
    bucket = TokenBucket(rate, 0.0)

    assert [bucket.take(0.0) for _ in range(1000)] == [0.0] * 1000
