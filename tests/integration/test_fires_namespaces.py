"""Namespaces that come to match a selector and cease to, on the real control plane."""

import time
from collections.abc import Iterator

import pytest

from tests.support.controlplane import wait_for
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink
from tools.controlplane.plane import ControlPlane

FOLLOWED_SECONDS = 2.0
"""From a namespace's new label to the moment from which its objects fire."""
SOON = 3.0
"""What an event may take to arrive on a busy machine, in seconds."""


@pytest.fixture
def other(plane: ControlPlane) -> Iterator[Team]:
    """A second namespace."""
    made = Team(plane, "other")
    yield made
    made.end()


def _label(plane: ControlPlane, name: str, value: str | None) -> None:
    change = {"metadata": {"labels": {"fires-for": value}}}
    path = f"/api/v1/namespaces/{name}"
    plane.api.request("PATCH", path, change, content_type="application/merge-patch+json")


def _source(team: Team, plane: ControlPlane, name: str, initial: str) -> None:
    selector = {"matchLabels": {"fires-for": team.name}}
    watch = {"namespaces": {"selector": selector}, "names": ["app*", "old*"], "initial": initial}
    plane.kubectl(
        "create", "clusterrolebinding", f"{team.name}-{name}", "--clusterrole=view",
        f"--serviceaccount={team.name}:default",
    )  # fmt: skip
    # before the source: a review is asked again with the next resync only
    user = f"system:serviceaccount:{team.name}:default"
    may = ("auth", "can-i", "watch", "configmaps", "--all-namespaces", f"--as={user}")
    wait_for(lambda: plane.kubectl(*may, check=False).strip() == "yes", 10, f"{user} may watch")
    team.source(name, {"watch": [watch], "bindings": {"resyncSeconds": 60}}, ready=False)


def _objects(team: Team, name: str) -> tuple[int, int]:
    path = f"/apis/eventsource-operator.dev/v1alpha1/namespaces/{team.name}/eventsources/{name}"
    watches = team.plane.api.request("GET", path).get("status", {}).get("watches", [])
    return sum(each.get("namespaces", 0) for each in watches), sum(each.get("objects", 0) for each in watches)


@pytest.mark.parametrize("initial", ["Ignore", "Send"])
def test_a_label_comes_and_goes(
    team: Team, other: Team, sink: Sink, plane: ControlPlane, operator: Operator, initial: str
) -> None:
    """Watched soon after it matches; what exists there is sent only on request; not watched once it ceases to."""
    full = f"{team.name}/all"
    _label(plane, team.name, team.name)
    team.put("old-here", {})
    other.put("old-there", {})
    _source(team, plane, "all", initial)
    team.until("all", "Ready", "True", timeout=10)
    sent = [("Added", "old-here")] if initial == "Send" else []
    wait_for(lambda: sink.whats(full) == sent, 5, f"exactly {sent}", lambda: sink.whats(full))

    _label(plane, other.name, team.name)
    wait_for(lambda: _objects(team, "all")[0] == 2, SOON + 2, "two namespaces", operator.tail)
    other.put("app-1", {})
    sent += [("Added", "old-there")] * (initial == "Send") + [("Added", "app-1")]
    sink.wait(full, len(sent), SOON, operator.tail)
    assert sorted(sink.whats(full)) == sorted(sent)
    new = next(each for each in sink.of(full) if each.what[1] == "app-1")
    assert new.headers["x-event-namespace"] == other.name
    other.patch("old-there", {"data": {"n": "1"}})
    sent.append(("Modified", "old-there"))
    sink.wait(full, len(sent), SOON, operator.tail)

    _label(plane, other.name, None)
    wait_for(lambda: _objects(team, "all")[0] == 1, SOON + 2, "one namespace", operator.tail)
    other.put("app-2", {})
    other.delete("app-1")
    team.put("app-3", {})
    sent.append(("Added", "app-3"))
    sink.wait(full, len(sent), SOON, operator.tail)
    assert sorted(sink.whats(full)) == sorted(sent)


def test_a_namespace_is_followed_within_two_seconds(
    team: Team, other: Team, sink: Sink, plane: ControlPlane, operator: Operator
) -> None:
    """Objects are made one after the other from the label on: the first that fires tells since when."""
    full = f"{team.name}/fast"
    _source(team, plane, "fast", "Ignore")
    team.until("fast", "Ready", "True", timeout=10)
    labelled = time.monotonic()
    _label(plane, other.name, team.name)
    made: dict[str, float] = {}

    def fires() -> str:
        name = f"app-{len(made):03}"
        made[name] = time.monotonic() - labelled
        other.put(name, {})
        return min((what for _, what in sink.whats(full)), default="")

    wait_for(fires, 15, "an object that fires", operator.tail)
    first = min(what for _, what in sink.whats(full))
    print(f"followed {made[first]:.2f} s after the label")  # noqa: T201 - a figure of the report
    assert made[first] <= FOLLOWED_SECONDS
    # Everything from then on, nothing from before.
    later = sorted(("Added", name) for name in made if name >= first)
    wait_for(lambda: sorted(sink.whats(full)) == later, SOON + 2, f"{later}", operator.tail)


def test_a_new_namespace_with_the_label(
    team: Team, sink: Sink, plane: ControlPlane, operator: Operator
) -> None:
    """Watched within seconds of its creation."""
    full = f"{team.name}/new"
    _source(team, plane, "new", "Send")
    team.until("new", "Ready", "True", timeout=10)
    made = Team(plane, "made")
    _label(plane, made.name, team.name)
    made.put("app", {})
    sink.wait(full, 1, SOON, operator.tail)
    assert sink.whats(full) == [("Added", "app")]
    made.end()
    sink.wait(full, 2, 20, operator.tail)
    assert sink.whats(full)[1] == ("Deleted", "app")
