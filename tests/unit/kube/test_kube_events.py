"""Kubernetes Events: their rate, their series, and what becomes of those that cannot be written."""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from eventsource_operator.api.checkpoint import ObjectRef
from eventsource_operator.kube import errors
from eventsource_operator.kube.events import EventRecorder
from tests.support.controlplane import wait_for_async
from tests.unit.kube.fake_api import Clock, FakeApi


def ref(uid: str = "u1") -> ObjectRef:
    return ObjectRef("eventsource-operator.dev/v1alpha1", "EventSource", "team-a", "app", uid)


def recorder(api: FakeApi, clock: Clock) -> EventRecorder:
    return EventRecorder(
        api.client(), instance="pod-0", now=clock, wall=lambda: datetime.fromtimestamp(clock.now, UTC)
    )


POST = "POST /apis/events.k8s.io/v1/namespaces/team-a/events"


async def test_events_of_one_source_are_limited_and_others_are_not() -> None:
    api, clock = FakeApi({POST: {}}), Clock()
    events = recorder(api, clock)
    for i in range(30):
        events.record(ref(), "Warning", "DeliveryFailed", f"event {i}", "Deliver")
    events.record(ref("u2"), "Normal", "Watching", "well", "Watch")
    assert events.dropped == 20
    clock.now += 20
    for i in range(30, 40):
        events.record(ref(), "Warning", "DeliveryFailed", f"event {i}", "Deliver")
    assert events.dropped == 28
    await events.close()
    assert len(api.asked) == 13


async def test_repetitions_become_one_series_written_once_a_minute() -> None:
    api, clock = FakeApi({POST: {}}), Clock()
    events = recorder(api, clock)
    running = asyncio.create_task(events.run())
    events.record(ref(), "Normal", "Delivered", "well", "Deliver")
    await wait_for_async(lambda: len(api.asked), 5, "the first Event")
    for _ in range(5000):
        events.record(ref(), "Normal", "Delivered", "well", "Deliver")
    await asyncio.sleep(0)
    assert len(api.asked) == 1
    assert events.dropped == 0
    running.cancel()
    await asyncio.wait({running})
    clock.now += 1
    await events.close()
    name = api.asked[0][2]["metadata"]["name"]
    method, path, body = api.asked[1]
    assert (method, path) == ("PATCH", f"/apis/events.k8s.io/v1/namespaces/team-a/events/{name}")
    assert body["series"]["count"] == 5001
    assert body["series"]["lastObservedTime"] == "1970-01-01T00:16:40.000000Z"
    assert [m for m, _, _ in api.asked] == ["POST", "PATCH", "POST"]  # the fake knows no PATCH: made anew
    assert api.asked[2][2]["series"]["count"] == 5001


async def test_the_queue_is_bounded() -> None:
    api, clock = FakeApi({POST: {}}), Clock()
    events = recorder(api, clock)
    for i in range(1200):
        events.record(ref(f"u{i}"), "Normal", "Watching", "well", "Watch")
    assert events.dropped == 200


async def test_failures_are_told_once_until_they_end(caplog: pytest.LogCaptureFixture) -> None:
    answers: dict[str, Any] = {POST: errors.Forbidden(403, "Forbidden", "no right")}
    api, clock = FakeApi(answers), Clock()
    events = recorder(api, clock)
    with caplog.at_level(logging.WARNING):
        for reason in ("A", "B", "C"):
            events.record(ref(), "Normal", reason, "", "X")
        await events.close()
        assert len(caplog.records) == 1
        answers[POST] = {}
        events.record(ref(), "Normal", "D", "", "X")
        await events.close()
        answers[POST] = errors.Forbidden(403, "Forbidden", "no right")
        events.record(ref(), "Normal", "E", "", "X")
        await events.close()
    assert len(caplog.records) == 2
    assert events.failed == 4


async def test_a_note_is_one_line_of_at_most_a_kilobyte() -> None:
    api, clock = FakeApi({POST: {}}), Clock()
    events = recorder(api, clock)
    events.record(ref(), "Warning", "R" * 500, "é\n" * 3000, "A")
    await events.close()
    body = api.asked[0][2]
    assert len(body["note"].encode()) <= 1024
    assert body["note"].isprintable()
    assert len(body["reason"]) == 128


async def test_a_namespace_that_ends_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    """What the API server says when an Event comes too late (measured): nobody will read it."""
    status = {
        "reason": "Forbidden",
        "message": "events is forbidden: unable to create new content in namespace a because it is being terminated",
        "details": {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]},
    }
    error = errors.from_status(status, http_status=403)
    assert isinstance(error, errors.NamespaceEnding)
    assert not isinstance(
        errors.from_status({**status, "details": {}}, http_status=403), errors.NamespaceEnding
    )
    api, clock = FakeApi({POST: error}), Clock()
    events = recorder(api, clock)
    with caplog.at_level(logging.WARNING):
        events.record(ref(), "Normal", "A", "", "X")
        await events.close()
    assert caplog.records == []
    assert (events.failed, events.dropped) == (0, 1)
