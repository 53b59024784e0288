"""Kubernetes Events that belong to no condition: deliveries, failures, replays, a checkpoint that is missing."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.controlplane import wait_for
from tests.support.running_operator import SOURCES, Operator, Team
from tests.support.sink import Sink

REPLAY = "eventsource-operator.dev/replay"
SECONDS = 60.0
"""A busy machine may take half a minute for the start of an operator alone."""
MANY = 40


def told(team: Team, source: str, reason: str) -> list[dict[str, Any]]:
    """The Events about a source with that reason."""
    path = f"/apis/events.k8s.io/v1/namespaces/{team.name}/events"
    items = team.plane.api.request("GET", path)["items"]
    return [each for each in items if (each["regarding"]["name"], each["reason"]) == (source, reason)]


def until_told(team: Team, source: str, reason: str, operator: Operator) -> dict[str, Any]:
    """Waits for such an Event; it is about the source, by the operator, in one line."""
    wait_for(lambda: told(team, source, reason), SECONDS, f"{reason} about {source}", operator.tail)
    event = told(team, source, reason)[0]
    assert event["regarding"]["apiVersion"] == "eventsource-operator.dev/v1alpha1"
    assert event["regarding"]["kind"] == "EventSource"
    assert event["reportingController"] == "eventsource-operator.dev/operator"
    assert event["reportingInstance"]
    assert event["note"].isprintable()
    return event


def ask(team: Team, source: str, what: str, taken: Callable[[], object]) -> None:
    """Annotates, as the docs say, and waits until it was taken."""
    team.plane.kubectl("-n", team.name, "annotate", "evs", source, f"{REPLAY}={what}")
    wait_for(taken, SECONDS, f"replay of {what}")


@pytest.fixture
def operator(team: Team, sink: Sink, tmp_path: Path) -> Iterator[Operator]:
    """One for the test's own namespace: no other may keep the checkpoint that a test deletes."""
    with Operator(team.plane, sink.url, tmp_path, namespaces=(team.name,)) as running:
        yield running


def test_deliveries_failures_and_replays_are_told(team: Team, sink: Sink, operator: Operator) -> None:
    """One Event for all deliveries, one for each failure with its id; what cannot be replayed says why."""
    full = f"{team.name}/app"
    team.source("app", {"watch": [{"names": ["app", "cm-*"]}]})
    assert until_told(team, "app", "Watching", operator)["type"] == "Normal"
    for number in range(MANY):
        team.put(f"cm-{number}", {})
    sink.wait(full, MANY)
    assert until_told(team, "app", "Delivered", operator)["type"] == "Normal"

    try:
        sink.status = 400
        team.put("app", {})
        failed = until_told(team, "app", "DeliveryFailed", operator)
    finally:
        sink.status = 200
    ident = sink.of(full)[-1].body["id"]
    assert failed["type"] == "Warning"
    for word in (f"ConfigMap {team.name}/app", "Rejected", "told to answer 400", ident):
        assert word in failed["note"]

    ask(team, "app", "failed", lambda: len(sink.of(full)) > MANY + 1)
    assert sink.of(full)[-1].body["id"] == ident
    ask(team, "app", "0" * 32, lambda: told(team, "app", "ReplayIgnored"))
    ignored = until_told(team, "app", "ReplayIgnored", operator)
    assert "0" * 32 in ignored["note"]
    ask(team, "app", "Secret/x/y", lambda: len(told(team, "app", "ReplayIgnored")) > 1)
    assert any("watches no Secret" in each["note"] for each in told(team, "app", "ReplayIgnored"))
    assert len(told(team, "app", "Delivered")) == 1
    assert len(told(team, "app", "DeliveryFailed")) == 1


def test_a_checkpoint_that_is_missing_is_told(team: Team, sink: Sink, operator: Operator) -> None:
    """Somebody deleted it while the operator was down: what changed meanwhile cannot be known, and that is said."""
    api = team.plane.api
    team.source("app", {"watch": [{"names": ["app"]}]})
    team.put("app", {})
    sink.wait(f"{team.name}/app", 1, evidence=operator.tail)
    wait_for(team.checkpoints, SECONDS, "a checkpoint", operator.tail)
    assert operator.stop() == 0
    team.plane.kubectl("-n", team.name, "delete", "evsc", "--all")
    operator.start()
    missing = until_told(team, "app", "CheckpointMissing", operator)
    assert missing["type"] == "Warning"
    assert "begins from the present" in missing["note"]
    team.until("app", "Watching", "True")
    path = f"{SOURCES}/namespaces/{team.name}/eventsources/app"

    def told_again() -> bool:
        team.patch("app", {"data": {"n": secrets.token_hex(4)}})
        return int(api.request("GET", path)["status"]["deliveries"]["delivered"]) > 1

    wait_for(told_again, SECONDS, "the counters go on", operator.tail)
