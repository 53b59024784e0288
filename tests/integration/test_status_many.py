"""Two hundred sources in one namespace: how often they list bindings, and how often they write their status."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.support.controlplane import wait_for
from tests.support.running_operator import SOURCES, Operator, Team
from tests.support.sink import Sink
from tests.support.writer import Writer
from tools.controlplane.plane import ControlPlane
from tools.controlplane.rest import Client

MANY = 200
CHANGES = 10
RESYNC = 5
GOOD = 0.8 * RESYNC
"""Seconds for which a listing is shared; the resync is jittered by a tenth, so that the first to come lists."""
INTERVAL = 2.0
SETTLE_SECONDS = 90.0


@pytest.fixture(scope="module")
def crowd(plane: ControlPlane, sink: Sink, operator: Operator) -> Iterator[Team]:
    """A namespace with all the sources, each Ready and Bound."""
    team = Team(plane, "crowd")
    sink.bindings[team.name] = [{"metadata": {"name": "listens", "namespace": team.name}, "spec": {}}]
    spec = {"watch": [{"names": ["cm-*"]}], "bindings": {"resyncSeconds": RESYNC}}
    team.each("source", *((f"s-{number:03}", spec) for number in range(MANY)), ready=False)

    def settled() -> bool:
        return all(_true(each, "Ready") and _true(each, "Bound") for each in _sources(team))

    wait_for(settled, SETTLE_SECONDS, f"{MANY} sources are Ready", operator.tail)
    yield team
    plane.kubectl(
        "delete", "namespace", team.name, "--wait", f"--timeout={SETTLE_SECONDS:.0f}s"
    )  # none is left to others


def _sources(team: Team) -> list[dict[str, Any]]:
    plane = team.plane
    patient = Client(plane.server, plane.admin_token, plane.ca, timeout=SETTLE_SECONDS)
    path = f"{SOURCES}/namespaces/{team.name}/eventsources"
    items: list[dict[str, Any]] = patient.request("GET", path)["items"]
    return items


def _true(source: dict[str, Any], kind: str) -> bool:
    return any(
        (each["type"], each["status"]) == (kind, "True")
        for each in source.get("status", {}).get("conditions", [])
    )


def _writes(team: Team) -> dict[str, list[datetime]]:
    """The moments at which the API server received status writes, by source."""
    found: dict[str, list[datetime]] = defaultdict(list)
    for event in team.plane.audit_events():
        about = event.get("objectRef", {})
        if (about.get("resource"), about.get("subresource")) != ("eventsources", "status"):
            continue
        if about.get("namespace") == team.name and event["verb"] != "get":
            found[about["name"]].append(datetime.fromisoformat(event["requestReceivedTimestamp"]))
    return found


def test_one_list_of_bindings_per_resync_serves_all(crowd: Team, sink: Sink) -> None:
    """And a resync that finds nothing new writes no status."""

    def lists() -> list[float]:
        return [at for namespace, at in list(sink.listings) if namespace == crowd.name]

    began, before = len(lists()), _writes(crowd)
    wait_for(lambda: len(lists()) >= began + 4, 8 * RESYNC, "four more lists", lists)
    gaps = [later - sooner for sooner, later in pairwise(lists())]
    assert min(gaps) >= GOOD - 0.2  # the moment of asking is the operator's, the moment here the server's
    assert max(gaps[began - 1 :]) <= 1.1 * RESYNC + 2
    assert _writes(crowd) == before


def test_a_status_is_written_at_most_every_two_seconds(crowd: Team, sink: Sink, operator: Operator) -> None:
    """Ten changes in five seconds, told by each of the sources."""
    before = {name: len(moments) for name, moments in _writes(crowd).items()}
    with Writer(crowd.plane, crowd.name, CHANGES, rate=2, threads=1, objects=1) as writer:
        writer.join()
    assert len(writer.changes) == CHANGES

    def delivered() -> list[int]:
        return [each["status"]["deliveries"].get("delivered", 0) for each in _sources(crowd)]

    wait_for(lambda: min(delivered()) >= CHANGES, SETTLE_SECONDS, "all is told", operator.tail)
    assert delivered() == [CHANGES] * MANY
    assert len([each for each in sink.requests if each.namespace == crowd.name]) == MANY * CHANGES
    writes = _writes(crowd)
    new = [len(moments) - before[name] for name, moments in writes.items()]
    assert len(new) == MANY
    assert min(new) >= 2  # progress is shown while it happens
    gaps = [
        (later - sooner).total_seconds()
        for moments in writes.values()
        for sooner, later in pairwise(sorted(moments))
    ]
    assert min(gaps) >= INTERVAL
