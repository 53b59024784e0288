"""CEL: what a result becomes in JSON, and where in a text of several lines something stands."""

import datetime as dt
import time
from collections.abc import Iterator
from typing import Any

import cel
import pytest

from eventsource_operator.core.cel_tokens import line_and_column
from eventsource_operator.core.cel_values import CelRuntimeError, to_json


def _listed(levels: int) -> Any:
    value: Any = 1.5
    for _ in range(levels):
        value = [value]
    return value


def test_a_result_may_nest_two_hundred_levels_deep() -> None:
    assert to_json(_listed(200)) == _listed(200)
    with pytest.raises(CelRuntimeError, match="the result nests deeper than 200 levels"):
        to_json(_listed(201))


def test_optional_values_nest_as_well() -> None:
    for levels, deepest in ((199, 1), (198, 2)):
        value: Any = _listed(levels)
        for _ in range(deepest):
            value = cel.OptionalValue.of(value)
        assert to_json(value) == _listed(levels)
        with pytest.raises(CelRuntimeError, match="nests deeper"):
            to_json(cel.OptionalValue.of(cel.OptionalValue.of(value)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (dt.timedelta(), "0s"),
        (dt.timedelta(microseconds=1), "0.000001s"),
        (dt.timedelta(microseconds=-1), "-0.000001s"),
        (dt.timedelta(days=1, seconds=1), "86401s"),
    ],
)
def test_durations(value: dt.timedelta, text: str) -> None:
    assert to_json(value) == text


@pytest.fixture
def _tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose local time is not UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_tokyo")
def test_timestamps_are_in_utc_wherever_the_operator_runs() -> None:
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert to_json(moment) == "2026-01-02T01:04:05Z"


@pytest.mark.parametrize(
    ("text", "at", "place"),
    [
        ("", 0, (1, 1)),
        ("ab", 1, (1, 2)),
        ("ab\ncd\nef", 4, (2, 2)),
        ("ab\ncd\nef", 7, (3, 2)),
        ("\nab", 1, (2, 1)),
        ("\nab", 2, (2, 2)),
    ],
)
def test_line_and_column(text: str, at: int, place: tuple[int, int]) -> None:
    assert line_and_column(text, at) == place
