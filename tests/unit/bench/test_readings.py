"""What the benchmark reads: arrivals at the sink, the API server's audit log."""

from __future__ import annotations

from typing import Any

import pytest

from tools.bench.arrivals import judged, lag, rate
from tools.bench.cluster import traffic
from tools.bench.load import Written

OURS = "eventsource-operator/0.1.0"


def audit(verb: str, resource: str, **more: Any) -> dict[str, Any]:
    name, _, sub = resource.partition("/")
    return {
        "verb": verb,
        "objectRef": {"resource": name, "subresource": sub} if sub else {"resource": name},
        "stage": "ResponseComplete",
        "auditID": "1",
        "userAgent": OURS,
        "requestReceivedTimestamp": "2026-01-01T00:00:05.000000Z",
        **more,
    }


def test_each_event_arrives_once() -> None:
    written = {"a": 10.0, "b": 10.1}
    found = judged(written, {"a": [10.002], "b": [10.104], "start-1": [9.0]})
    assert found == {"p50 ms": 2.0, "p99 ms": 4.0, "per second": 9.8, "lost": 0, "duplicated": 0}


def test_what_does_not_arrive_is_lost_and_what_comes_again_is_doubled() -> None:
    found = judged({"a": 1.0, "b": 1.0, "c": 1.0}, {"a": [1.1, 1.2, 1.3], "b": [1.5]})
    assert (found["lost"], found["duplicated"]) == (1, 2)
    assert found["p99 ms"] == 500.0


def test_nothing_at_all_has_no_times() -> None:
    found = judged({"a": 1.0}, {})
    assert found == {"p50 ms": None, "p99 ms": None, "per second": None, "lost": 1, "duplicated": 0}


def test_a_rate_needs_a_span() -> None:
    assert rate([1.0]) is None
    assert rate([1.0, 1.0]) is None
    assert rate([3.0, 1.0, 2.0]) == 1.0


@pytest.mark.parametrize(("last", "expected"), [(12.0, 1.0), (14.0, 2.0)])
def test_the_lag_is_told_in_times_of_writing(last: float, expected: float) -> None:
    written = Written({"a": 10.0, "b": 12.0}, busy=1.0)
    assert lag(written, {"a": [10.1], "b": [last]}) == expected
    assert lag(written, {}) is None


def test_only_what_is_stored_counts_as_a_write() -> None:
    events = [
        audit("patch", "eventsources/status"),
        audit("create", "subjectaccessreviews"),
        audit("create", "localsubjectaccessreviews"),
        audit("update", "leases"),
        audit("get", "leases"),
        audit("create", "events"),
    ]
    found = traffic(events, "2026-01-01T00:00:00.000000Z")
    assert (found.writes, found.beats, found.requests.total()) == (2, 1, 6)


def test_others_and_what_was_before_do_not_count() -> None:
    events = [
        audit("patch", "configmaps", userAgent="kubectl/v1.35"),
        audit("patch", "eventsources/status", requestReceivedTimestamp="2026-01-01T00:00:00.000000Z"),
        audit("patch", "eventsources/status", userAgent="kopf/1.45"),
    ]
    assert traffic(events, "2026-01-01T00:00:01.000000Z").writes == 1


def test_a_watch_is_open_until_its_answer_is_complete() -> None:
    begun = "2026-01-01T00:00:00.000000Z"
    events = [
        audit("watch", "configmaps", stage="ResponseStarted", auditID="a", requestReceivedTimestamp=begun),
        audit("watch", "configmaps", stage="ResponseStarted", auditID="b", requestReceivedTimestamp=begun),
        audit("watch", "configmaps", auditID="a", requestReceivedTimestamp=begun),
        audit("watch", "secrets", stage="ResponseStarted", auditID="c", userAgent="argo/3"),
    ]
    found = traffic(events, "2026-01-01T00:00:01.000000Z")
    assert dict(found.watches) == {"configmaps": 1}
    assert not found.requests
