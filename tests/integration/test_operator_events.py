"""What the operator sends for changes of objects, and where, on the real control plane."""

import base64
import json
from typing import Any

import pytest

from eventsource_operator.api.eventsource import ChangeType
from eventsource_operator.core.event import event_id
from tests.support.controlplane import wait_for
from tests.support.rights import run_as_printed
from tests.support.running_operator import Operator, Team
from tests.support.sink import Request, Sink
from tools.controlplane.plane import ControlPlane

pytestmark = pytest.mark.usefixtures("operator")

WORKFLOW = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: wait}
spec:
  entrypoint: wait
  templates: [{name: wait, suspend: {duration: "0"}}]
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowEventBinding
metadata: {name: wait}
spec:
  event: {selector: payload.type == "dev.eventsource-operator.added" && discriminator == "app"}
  submit:
    metadata: {name: '"wait-" + metadata["x-event-id"][0]'}
    workflowTemplateRef: {name: wait}
"""


def _expect(request: Request, team: Team, source_uid: str, change: ChangeType, obj: dict[str, Any]) -> None:
    """One event in full: path, headers and every field of the body."""
    meta = obj["metadata"]
    version = (
        request.body["data"]["resourceVersion"] if change == ChangeType.DELETED else meta["resourceVersion"]
    )
    ident = event_id(source_uid, meta["uid"], version, change)
    assert (request.namespace, request.discriminator) == (team.name, "app")
    assert {name: value for name, value in request.headers.items() if name.startswith("x-")} == {
        "x-event-id": ident,
        "x-event-type": change.value,
        "x-event-source": f"{team.name}/one",
        "x-event-kind": "ConfigMap",
        "x-event-namespace": team.name,
        "x-event-name": "app",
    }
    assert request.headers["authorization"] == f"Bearer {team.plane.argo_token}"
    assert request.headers["content-type"].startswith("application/json")
    body = request.body
    data, time = body.pop("data"), body.pop("time")
    assert time.endswith("Z")
    assert body == {
        "specversion": "1.0",
        "id": ident,
        "source": f"/{team.name}/eventsources/one",
        "type": f"dev.eventsource-operator.{change.value.lower()}",
        "subject": f"configmaps/{team.name}/app",
        "datacontenttype": "application/json",
    }
    sent = data.pop("object")
    changed = data.pop("changed", None)
    assert data == {
        "type": change.value,
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": team.name,
        "name": "app",
        "uid": meta["uid"],
        "resourceVersion": version,
    }
    assert changed == (["data.b", "data.level"] if change == ChangeType.MODIFIED else None)
    assert "managedFields" not in sent["metadata"]
    assert (sent["kind"], sent["data"], sent["metadata"]["uid"]) == ("ConfigMap", obj["data"], meta["uid"])


def test_each_change_is_one_event(team: Team, sink: Sink) -> None:
    """Added, Modified and Deleted, in order, each once, each complete."""
    uid = team.source("one", {"watch": [{"kind": "ConfigMap"}], "event": {"discriminator": "app"}})
    team.settled(sink, "one")

    added = team.put("app", {"level": "info"})
    modified = team.patch("app", {"data": {"level": "debug", "b": "1"}})
    team.delete("app")

    assert team.settled(sink, "one") == [("Added", "app"), ("Modified", "app"), ("Deleted", "app")]
    requests = [each for each in sink.of(f"{team.name}/one") if each.what[1] == "app"]
    for request, change, obj in zip(requests, ChangeType, (added, modified, modified), strict=True):
        _expect(request, team, uid, change, obj)


def test_a_change_becomes_a_workflow(team: Team) -> None:
    """Through the real argo-server: one Workflow, named after the event, which succeeds."""
    team.plane.kubectl("-n", team.name, "apply", "--server-side", "-f", "-", stdin=WORKFLOW)
    server = {"url": team.plane.argo_url}
    uid = team.source(
        "real", {"watch": [{"names": ["app"]}], "event": {"discriminator": "app"}, "server": server}
    )
    assert team.until("real", "Bound", "True")["reason"] == "BindingsFound"

    added = team.put("app", {"level": "info"})["metadata"]
    team.patch("app", {"data": {"level": "debug"}})

    def phases() -> dict[str, str]:
        found = team.plane.kubectl("-n", team.name, "get", "workflows", "-o", "json")
        items = json.loads(found)["items"]
        return {each["metadata"]["name"]: each.get("status", {}).get("phase", "") for each in items}

    name = "wait-" + event_id(uid, added["uid"], added["resourceVersion"], ChangeType.ADDED)
    wait_for(lambda: phases() == {name: "Succeeded"}, 20, f"{name} succeeds alone", phases)


def test_sources_of_the_same_object_are_independent(team: Team, sink: Sink) -> None:
    """Two sources send an event each; one that cannot work disturbs neither and says why."""
    watch = {"watch": [{"names": ["app"]}]}
    uids = [team.source(name, watch) for name in ("first", "second")]
    team.source("broken", {"watch": [{"kind": "ConfigMapp"}, {"names": ["app"]}]}, ready=False)
    watching = team.until("broken", "Watching", "False")

    obj = team.put("app", {})["metadata"]

    for name, uid in zip(("first", "second"), uids, strict=True):
        requests = sink.wait(f"{team.name}/{name}", 1)
        ident = event_id(uid, obj["uid"], obj["resourceVersion"], ChangeType.ADDED)
        assert [each.body["id"] for each in requests] == [ident]
        assert team.condition(name, "Ready")["status"] == "True"
    assert watching["reason"] == "KindNotFound"
    assert watching["message"].startswith("spec.watch[0].kind: ")
    assert "ConfigMapp" in watching["message"]
    assert "ConfigMap" in watching["message"].replace("ConfigMapp", "")  # what was probably meant
    assert team.condition("broken", "Ready")["reason"] == "KindNotFound"


def test_an_expression_that_does_not_compile_names_its_field(team: Team) -> None:
    team.source("cel", {"watch": [{}, {"condition": "object.data.env == "}]}, ready=False)
    accepted = team.until("cel", "Accepted", "False")
    assert "spec.watch[1].condition" in accepted["message"]
    assert team.condition("cel", "Ready")["status"] == "False"

    generation = team.edit_source("cel", {"watch": [{"condition": "object.data.env == 'prod'"}]})
    team.until("cel", "Ready", "True", generation=generation)


def test_a_server_that_is_not_allowed_names_the_remedy(team: Team, sink: Sink) -> None:
    url = "http://127.0.0.1:9"
    team.source("astray", {"watch": [{}], "server": {"url": url}}, ready=False)
    authorized = team.until("astray", "Authorized", "False")
    assert f"--allow-server {url}" in authorized["message"]
    assert authorized["message"].startswith("spec.server.url: ")

    team.put("app", {})
    generation = team.edit_source("astray", {"server": None})
    team.until("astray", "Ready", "True", generation=generation)
    assert {what[0] for what in team.settled(sink, "astray")} <= {"Added"}


def test_leaving_a_selector_is_no_deletion(team: Team, sink: Sink) -> None:
    """A label that is removed and put back tells nothing; the object's own changes do."""
    labels = {"app": "shop"}
    team.source("labels", {"watch": [{"labelSelector": {"matchLabels": labels}}]})
    team.put("app", {"a": "1"}, labels)
    sink.wait(f"{team.name}/labels", 1)

    team.patch("app", {"metadata": {"labels": {"app": None}}})
    team.patch("app", {"data": {"a": "2"}})
    assert team.settled(sink, "labels", labels) == [("Added", "app")]
    team.patch("app", {"metadata": {"labels": labels}})
    team.patch("app", {"data": {"a": "3"}})
    team.delete("app")

    whats = team.settled(sink, "labels", labels)
    assert whats[0] == ("Added", "app")
    assert whats[-1] == ("Deleted", "app")
    assert {what[0] for what in whats[1:-1]} == {"Modified"}


def test_a_secret_needs_rights_and_its_values_stay_secret(
    team: Team, sink: Sink, operator: Operator, plane: ControlPlane
) -> None:
    """Not without a right; with it, an event with digests, and the value nowhere."""
    value = "tr0ub4dor-and-3"
    encoded = base64.b64encode(value.encode()).decode()
    spec = {"watch": [{"kind": "Secret", "names": ["pass"]}], "bindings": {"resyncSeconds": 5}}
    team.source("secrets", spec, ready=False)
    message = team.until("secrets", "Authorized", "False")["message"]
    assert "list and watch secrets" in message
    team.request("POST", "secrets", {"metadata": {"name": "pass"}, "stringData": {"password": "before"}})

    assert message.count("kubectl create ") == 2
    run_as_printed(plane, message)
    team.until("secrets", "Ready", "True")
    team.request("PATCH", "secrets/pass", {"stringData": {"password": value}})
    wait_for(lambda: ("Modified", "pass") in sink.whats(f"{team.name}/secrets"), 10, "the Secret's change")

    sent = sink.of(f"{team.name}/secrets")[-1].body["data"]
    assert sent["changed"] == ["data.password"]
    assert set(sent["object"]["data"]) == {"password"}
    wait_for(team.checkpoints, 10, "a checkpoint")
    shown = team.plane.kubectl("-n", team.name, "get", "evs,evsc,events", "-o", "json")
    places = [each.raw.decode() + str(each.headers) for each in list(sink.requests)]
    for text in (*places, operator.log.read_text(), shown):
        assert value not in text
        assert encoded not in text


def test_another_namespace_needs_rights(team: Team, sink: Sink, plane: ControlPlane) -> None:
    """Denied, the status says which commands help; after them the source works by itself."""
    other = Team(plane, "other")
    spec = {"watch": [{"namespaces": {"names": [other.name]}}], "bindings": {"resyncSeconds": 5}}
    team.source("afar", spec, ready=False)
    denied = team.until("afar", "Authorized", "False")
    assert f"list and watch configmaps in namespace {other.name}" in denied["message"]
    other.put("unseen", {})

    assert denied["message"].count("kubectl create ") == 2
    run_as_printed(plane, denied["message"])
    team.until("afar", "Authorized", "True")
    team.until("afar", "Ready", "True")
    other.put("app", {})

    wait_for(lambda: ("Added", "app") in sink.whats(f"{team.name}/afar"), 10, "the change afar")
    assert sink.of(f"{team.name}/afar")[-1].headers["x-event-namespace"] == other.name
    other.end()
