"""The benchmark's arithmetic: percentiles, medians, growth, verdicts, and what counts as a fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.bench.figures import Round, Summary, Target, faults, judge, percentile, slope, summary
from tools.bench.growth import growth, series
from tools.bench.suite import turns

NUMBERS = st.floats(min_value=-1e6, max_value=1e6)


def of(**figures: float) -> Summary:
    return {name: {"median": value, "min": value, "max": value} for name, value in figures.items()}


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1), (0.995, 100)])
def test_a_percentile_is_the_nearest_rank(share: float, value: float) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


@given(st.lists(NUMBERS, min_size=1), st.floats(min_value=0.001, max_value=1))
def test_no_more_than_the_share_is_below_a_percentile(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(v <= found for v in values) >= share * len(values) - 1e-9
    assert sum(v < found for v in values) < share * len(values) + 1e-9


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0), ([1.0], 1.1)])
def test_a_percentile_of_nothing_is_refused(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


@given(
    NUMBERS, st.floats(min_value=-100, max_value=100), st.lists(st.integers(0, 1000), min_size=2, unique=True)
)
def test_growth_along_a_line_is_its_slope(start: float, rise: float, sizes: list[int]) -> None:
    assert slope([(x, start + rise * x) for x in sizes]) == pytest.approx(rise, abs=1e-4)


def test_growth_needs_two_sizes() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        slope([(5, 1), (5, 2)])


def test_a_summary_leaves_out_what_a_round_does_not_have() -> None:
    found = summary([{"a": 3, "b": None}, {"a": 1, "b": 7}, {"a": 2}])
    assert found == {
        "a": {"median": 2, "min": 1, "max": 3},
        "b": {"median": 7, "min": 7, "max": 7},
    }


def test_each_lost_or_doubled_event_is_a_fault() -> None:
    rounds: list[Round] = [{"lost": 0, "duplicated": 0}, {"lost": 2, "duplicated": 1}, {"p50 ms": 1.0}]
    assert faults("B1", "operator", rounds) == [
        "B1, operator, round 2: 2 lost",
        "B1, operator, round 2: 1 duplicated",
    ]


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (Target("x", 3), 3, True),
        (Target("x", 3), 3.01, False),
        (Target("x", 3, at_least=True), 3, True),
        (Target("x", 3, at_least=True), 2.99, False),
        (Target("x", 0), 0, True),
        (Target("x", 1, peer="other"), 10, True),
        (Target("x", 1, peer="other"), 10.5, False),
        (Target("x", 0.95, at_least=True, peer="other"), 9.5, True),
        (Target("x", 0.95, at_least=True, peer="other"), 9.4, False),
    ],
)
def test_a_target_is_met_at_its_bound(target: Target, value: float, met: bool) -> None:
    verdict = judge(target, {"operator": of(x=value), "other": of(x=10)})
    assert verdict.met is met


def test_the_ratio_is_to_the_bound() -> None:
    verdict = judge(Target("x", 0.95, at_least=True, peer="bare"), {"operator": of(x=190), "bare": of(x=200)})
    assert verdict.ratio == pytest.approx(1.0)
    assert verdict.target == "x ≥ 95 % of bare's"
    assert judge(Target("x", 0), {"operator": of(x=0)}).ratio is None


@pytest.mark.parametrize("peers", [{}, {"operator": of(x=1)}, {"knative": of(x=1)}])
def test_what_was_not_measured_is_neither_met_nor_missed(peers: dict[str, Summary]) -> None:
    assert judge(Target("x", 1, peer="knative"), peers).met is None


def test_growth_is_told_per_object_and_per_source() -> None:
    found = {
        "100 objects": {"resident MiB": 80.0},
        "1100 objects": {"resident MiB": 81.0},
        "1 sources": {"resident MiB": 80.0},
        "101 sources": {"resident MiB": 80.5},
    }
    assert series(found, "objects", "resident MiB") == [(100.0, 80.0), (1100.0, 81.0)]
    assert growth(found) == {
        "bytes of memory per object": round(1024 * 1024 / 1000),
        "bytes of memory per source": round(1024 * 1024 / 200),
    }


def test_growth_of_one_size_alone_is_not_told() -> None:
    assert growth({"100 objects": {"resident MiB": 80.0}}) == {}


@pytest.mark.parametrize(
    ("peers", "number", "expected"),
    [
        (("a", "b", "c"), 1, ["a", "b", "c"]),
        (("a", "b", "c"), 2, ["b", "c", "a"]),
        (("a", "b", "c"), 3, ["c", "a", "b"]),
        (("a", "b", "c"), 4, ["a", "b", "c"]),
        (("a",), 7, ["a"]),
        ((), 1, []),
    ],
)
def test_another_one_begins_each_round(peers: tuple[str, ...], number: int, expected: list[str]) -> None:
    assert turns(peers, number) == expected


def test_a_target_of_another_column() -> None:
    peers = {
        name: summary([{"per second": value}])
        for name, value in (("bare", 100.0), ("operator", 90.0), ("w", 96.0))
    }
    target = Target("per second", 0.95, at_least=True, peer="bare", of="w")
    assert target.text == "per second, w, ≥ 95 % of bare's"
    verdict = judge(target, peers)
    assert (verdict.value, verdict.bound, verdict.met) == (96.0, 95.0, True)
