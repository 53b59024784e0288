"""Times in RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core.times import rfc3339


@pytest.mark.parametrize(
    ("seconds", "timespec", "text"),
    [
        (0, "auto", "1970-01-01T00:00:00Z"),
        (1.5, "auto", "1970-01-01T00:00:01.500000Z"),
        (1.5, "seconds", "1970-01-01T00:00:01Z"),
        (1.2345, "milliseconds", "1970-01-01T00:00:01.234Z"),
        (1767323045.123, "milliseconds", "2026-01-02T03:04:05.123Z"),
        (1767323045.9999999, "milliseconds", "2026-01-02T03:04:06.000Z"),
        (-0.25, "milliseconds", "1969-12-31T23:59:59.750Z"),
        (1767323045, "microseconds", "2026-01-02T03:04:05.000000Z"),
    ],
)
def test_utc_with_a_z(seconds: float, timespec: str, text: str) -> None:
    assert rfc3339(seconds, timespec) == text


@given(st.floats(min_value=-1e9, max_value=4e9), st.sampled_from(["seconds", "milliseconds"]))
def test_the_short_way_says_what_the_calendar_says(seconds: float, timespec: str) -> None:
    calendar = datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
    assert rfc3339(seconds, timespec) == calendar


def test_what_is_written_can_be_read() -> None:
    assert datetime.fromisoformat(rfc3339(1767323045.25)) == datetime.fromtimestamp(1767323045.25, UTC)
