"""One event, two bindings, one of them broken: what works is made once, what failed is told and made once mended."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.support.controlplane import wait_for
from tests.support.running_operator import SOURCES, Operator, Team
from tools.controlplane.plane import ControlPlane

WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/{}/{}"


@pytest.fixture(scope="module")
def on_argo(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator whose default server is the real argo-server."""
    with Operator(plane, plane.argo_url, tmp_path_factory.mktemp("bindings")) as running:
        yield running


def _make(team: Team, kind: str, plural: str, name: str, spec: dict[str, Any]) -> None:
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    team.plane.api.request("POST", WORKFLOWS.format(team.name, plural), body)


def _template(team: Team, name: str) -> None:
    spec = {"entrypoint": "main", "templates": [{"name": "main", "suspend": {"duration": "0"}}]}
    _make(team, "WorkflowTemplate", "workflowtemplates", name, spec)


def _binding(team: Team, name: str, workflow: str = "") -> None:
    named = workflow or f"'{name}-' + payload.id"
    submit = {"workflowTemplateRef": {"name": name}, "metadata": {"name": named}}
    spec = {"event": {"selector": "discriminator == 'two'"}, "submit": submit}
    _make(team, "WorkflowEventBinding", "workfloweventbindings", name, spec)


def _workflows(team: Team) -> dict[str, str]:
    """Name and uid: one that was deleted and made again has another."""
    items = team.plane.api.request("GET", WORKFLOWS.format(team.name, "workflows"))["items"]
    return {each["metadata"]["name"]: each["metadata"]["uid"] for each in items}


def _source(team: Team) -> dict[str, Any]:
    found: dict[str, Any] = team.plane.api.request(
        "GET", f"{SOURCES}/namespaces/{team.name}/eventsources/two"
    )
    return found


def _deliveries(team: Team) -> dict[str, Any]:
    found: dict[str, Any] = _source(team).get("status", {}).get("deliveries", {})
    return found


def _delivered(team: Team, number: int) -> bool:
    return bool(_deliveries(team).get("delivered") == number)


def _replay(team: Team, value: str) -> None:
    change = {"metadata": {"annotations": {"eventsource-operator.dev/replay": value}}}
    path = f"{SOURCES}/namespaces/{team.name}/eventsources/two"
    team.plane.api.request("PATCH", path, change, content_type="application/merge-patch+json")


@pytest.mark.parametrize("dispatch", ["RetryTransient", "Retry"])
def test_a_fix_and_a_replay_make_what_the_broken_binding_owed_and_nothing_twice(
    team: Team, on_argo: Operator, dispatch: str
) -> None:
    """`RetryTransient` fails at once; `Retry` sends the event again, which the good binding's name absorbs."""
    _template(team, "good")
    _binding(team, "good")
    _binding(team, "broken")  # its template does not exist
    retry = {"limit": 2, "backoffSeconds": 0.1, "maxBackoffSeconds": 0.1}
    spec = {
        "watch": [{"names": ["app"]}],
        "event": {"discriminator": "two"},
        "delivery": {"retry": retry, "dispatchErrors": dispatch},
    }
    team.source("two", spec)
    team.put("app", {"n": "0"})

    wait_for(lambda: _deliveries(team).get("failed") == 1, 20, "the failure in status", on_argo.tail)
    (failure,) = _deliveries(team)["failures"]
    assert (failure["type"], failure["resource"]) == ("Added", f"ConfigMap {team.name}/app")
    assert "broken" in failure["message"]
    assert _deliveries(team)["lastFailure"]["id"] == failure["id"]
    assert _deliveries(team)["delivered"] == 0
    good = {f"good-{failure['id']}"}
    first = _workflows(team)
    assert set(first) == good
    found = team.plane.kubectl("-n", team.name, "get", "events", "-o", "json")
    assert "DeliveryFailed" in {each["reason"] for each in json.loads(found)["items"]}

    _template(team, "broken")
    _replay(team, failure["id"])

    wait_for(
        lambda: _deliveries(team).get("delivered") == 1,
        20,
        "delivered",
        lambda: (_source(team), on_argo.tail()),
    )
    wait_for(lambda: not _deliveries(team).get("failures"), 10, "no failure is listed", lambda: _source(team))
    workflows = _workflows(team)
    assert set(workflows) == good | {f"broken-{failure['id']}"}
    assert first.items() <= workflows.items(), "the good one was made once"
    assert "eventsource-operator.dev/replay" not in _source(team)["metadata"].get("annotations", {})


def test_a_name_of_the_binding_that_looks_made_up_is_a_duplicate_once_it_comes_again(
    team: Team, on_argo: Operator
) -> None:
    """One Workflow for each object, by a name that may be one that the server made up: the event is sent again."""
    _template(team, "good")
    _binding(team, "good", "'app-' + 'x7k2q'")
    retry = {"limit": 2, "backoffSeconds": 0.1, "maxBackoffSeconds": 0.1}
    spec = {"watch": [{"names": ["app"]}], "event": {"discriminator": "two"}, "delivery": {"retry": retry}}
    team.source("two", spec)
    team.put("app", {"n": "0"})
    for number in (1, 2):
        if number > 1:
            team.patch("app", {"data": {"n": str(number)}})
        wait_for(
            partial(_delivered, team, number),
            20,
            f"{number} delivered",
            lambda: (_source(team), on_argo.tail()),
        )
    assert set(_workflows(team)) == {"app-x7k2q"}
    assert (_deliveries(team).get("failed", 0), _deliveries(team).get("failures", [])) == (0, [])
