"""Exactly one Workflow per change although the operator is killed, and failed events that are sent again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.controlplane import wait_for
from tests.support.running_operator import SOURCES, Operator, Team
from tools.controlplane.plane import ControlPlane

KILLS = 10
CHANGES_PER_KILL = 8
TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: once}
spec:
  entrypoint: main
  templates: [{name: main, suspend: {duration: "0"}}]
"""
BINDING = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowEventBinding
metadata: {name: once}
spec:
  event: {selector: discriminator == "once"}
  submit:
    metadata:
      name: '"once-" + payload.id'
      labels: {example.com/version: payload.data.resourceVersion, example.com/object: payload.data.name}
    workflowTemplateRef: {name: once}
"""
SPEC: dict[str, Any] = {"watch": [{"names": ["app-*"]}], "event": {"discriminator": "once"}}


@pytest.fixture
def own(plane: ControlPlane, team: Team, tmp_path: Path) -> Iterator[Operator]:
    """An operator whose default server is the real argo-server."""
    with Operator(plane, plane.argo_url, tmp_path, namespaces=(team.name,)) as running:
        yield running


def _apply(team: Team, manifest: str) -> None:
    team.plane.kubectl("-n", team.name, "apply", "--server-side", "-f", "-", stdin=manifest)


def _get(team: Team, what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        team.plane.kubectl("-n", team.name, "get", *what.split(), "-o", "json")
    )
    return found


def _workflows(team: Team) -> list[tuple[str, str]]:
    """Object and version of each Workflow's event."""
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{team.name}/workflows"
    labels = [each["metadata"]["labels"] for each in team.plane.api.request("GET", path)["items"]]
    return [(each["example.com/object"], each["example.com/version"]) for each in labels]


def _deliveries(team: Team) -> dict[str, Any]:
    found: dict[str, Any] = _get(team, "evs once").get("status", {}).get("deliveries", {})
    return found


def _until_more(team: Team, count: int, own: Operator) -> None:
    wait_for(lambda: len(_workflows(team)) > count, 20, "some more Workflows", own.tail)


def _replay(team: Team, value: str) -> None:
    path = f"{SOURCES}/namespaces/{team.name}/eventsources/once"
    change = {"metadata": {"annotations": {"eventsource-operator.dev/replay": value}}}
    team.plane.api.request("PATCH", path, change, content_type="application/merge-patch+json")


def test_kills_in_flight_leave_one_workflow_per_change(team: Team, own: Operator) -> None:
    """Whatever was sent twice has the same id, which the Workflow's name holds."""
    _apply(team, TEMPLATE)
    _apply(team, BINDING)
    team.source("once", SPEC)
    expected: set[tuple[str, str]] = set()
    in_flight = 0
    for kill in range(KILLS):
        before = len(_workflows(team))
        for number in range(CHANGES_PER_KILL):
            name = f"app-{number % 4}"
            fresh = kill == 0 and number < 4
            done = team.put(name, {}) if fresh else team.patch(name, {"data": {"n": f"{kill}-{number}"}})
            expected.add((name, done["metadata"]["resourceVersion"]))
        _until_more(team, before, own)
        own.kill()
        in_flight += len(_workflows(team)) < len(expected)
        own.start()

    assert in_flight >= KILLS // 2, "the kills came too late to prove anything"
    wait_for(lambda: set(_workflows(team)) >= expected, 30, f"{len(expected)} Workflows", own.tail)
    team.until("once", "Ready", "True")
    wait_for(lambda: not _deliveries(team).get("pending"), 15, "all sent", own.tail)
    workflows = _workflows(team)
    assert len(workflows) == len(expected) == KILLS * CHANGES_PER_KILL
    assert set(workflows) == expected
    assert _deliveries(team).get("failed", 0) == 0


@pytest.mark.parametrize("restart", [False, True], ids=["running", "restarted"])
def test_a_failed_event_is_sent_again_on_request(team: Team, own: Operator, *, restart: bool) -> None:
    """The template is missing: the event fails and is listed; mended and replayed, its Workflow appears."""
    _apply(team, BINDING)
    retry = {"limit": 1, "backoffSeconds": 0.1, "maxBackoffSeconds": 0.1}
    team.source("once", SPEC | {"delivery": {"retry": retry}})
    added = team.put("app-1", {"n": "0"})

    def failed() -> bool:
        return bool(_get(team, "evs once").get("status", {}).get("deliveries", {}).get("failed") == 1)

    wait_for(failed, 15, "one failure in status", own.tail)
    deliveries = _get(team, "evs once")["status"]["deliveries"]
    (failure,) = deliveries["failures"]
    assert (failure["type"], failure["resource"]) == ("Added", f"ConfigMap {team.name}/app-1")
    assert "once" in failure["message"]
    assert deliveries["lastFailure"]["id"] == failure["id"]
    assert _workflows(team) == []

    if restart:
        own.stop()
        own.start()
    _apply(team, TEMPLATE)
    _replay(team, "failed")

    version = added["metadata"]["resourceVersion"]
    wait_for(lambda: _workflows(team) == [("app-1", version)], 20, "its Workflow", own.tail)
    assert _get(team, "workflows")["items"][0]["metadata"]["name"] == f"once-{failure['id']}"
    wait_for(lambda: _mended(team), 10, "delivered, no failure listed, no annotation", own.tail)


def _mended(team: Team) -> bool:
    found = _get(team, "evs once")
    deliveries = found["status"]["deliveries"]
    asked = "eventsource-operator.dev/replay" in found["metadata"].get("annotations", {})
    return not deliveries.get("failures") and deliveries.get("delivered") == 1 and not asked
