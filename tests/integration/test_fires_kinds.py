"""Which kinds fire, one row per kind, with complete events, on the real control plane."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jsonpatch
import pytest

from eventsource_operator.core.redaction import LAST_APPLIED
from tests.support.definitions import definition
from tests.support.rights import run_as_printed
from tests.support.running_operator import Team
from tests.support.sink import Sink
from tools.controlplane.plane import ControlPlane

pytestmark = pytest.mark.usefixtures("operator")

MERGE = "application/merge-patch+json"
POD = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {"containers": [{"name": "web", "image": "registry.test/web:1"}]},
}


@dataclass(frozen=True, slots=True)
class Row:
    """An object, a change of it, and the paths that the change's event names.

    ``noise`` are further changes that must not fire, each a subresource (or nothing) and a merge patch.
    """

    kind: str
    plural: str
    manifest: dict[str, Any]
    patch: dict[str, Any]
    changed: list[str]
    api: str = "v1"
    fields: list[str] = field(default_factory=list)
    noise: tuple[tuple[str, dict[str, Any]], ...] = ()
    cluster: bool = False


ROWS = {
    "configmap": Row(
        "ConfigMap", "configmaps", {"data": {"a": "1", "b": "1"}}, {"data": {"b": "2", "c": "1"}}, ["data.b", "data.c"]
    ),
    "binary data": Row(
        "ConfigMap", "configmaps", {"binaryData": {"blob": base64.b64encode(bytes(range(256))).decode()}},
        {"binaryData": {"blob": base64.b64encode(b"\xff\x00").decode()}}, ["binaryData.blob"],
    ),
    "unicode": Row(
        "ConfigMap", "configmaps",
        {"metadata": {"annotations": {"example.com/owner": "Zoë 🐍"}}, "data": {"greeting": "Grüße"}},
        {"metadata": {"annotations": {"example.com/owner": "日本 \u0000\u2028"}}, "data": {"greeting": "Привет"}},
        ["data.greeting", 'metadata.annotations["example.com/owner"]'],
    ),
    "keys with dots": Row(
        "ConfigMap", "configmaps", {"data": {"app.properties": "a=1", "other.txt": "1"}},
        {"data": {"app.properties": "a=2", "other.txt": "2"}}, ['data["app.properties"]', 'data["other.txt"]'],
        fields=['data["app.properties"]'], noise=(("", {"data": {"other.txt": "3"}}),),
    ),
    "deployment": Row(
        "Deployment", "deployments",
        {"spec": {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": POD}},
        {"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "registry.test/web:2"}]}}}},
        ["spec.template.spec.containers[0].image"], api="apps/v1", fields=["spec"],
        noise=(
            ("/status", {"status": {"replicas": 1, "observedGeneration": 7}}),
            ("", {"metadata": {"labels": {"seen": "yes"}}}),
        ),
    ),
    "role": Row(
        "Role", "roles", {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
        {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}, ["rules[0].verbs[0]"],
        api="rbac.authorization.k8s.io/v1",
    ),
    "namespace": Row(
        "Namespace", "namespaces", {"metadata": {"labels": {"tier": "a"}}},
        {"metadata": {"labels": {"tier": "b"}}}, ["metadata.labels.tier"], fields=["metadata.labels"],
        noise=(("", {"metadata": {"annotations": {"note": "1"}}}),), cluster=True,
    ),
}  # fmt: skip


def _group(api: str) -> str:
    return f"/apis/{api}" if "/" in api else f"/api/{api}"


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_kind_fires(team: Team, sink: Sink, plane: ControlPlane, row: Row) -> None:
    """Added, Modified and Deleted, each once and complete; what the fields leave out does not fire."""
    name = f"{team.name}-x" if row.cluster else "app.v1.example.com"
    watch: dict[str, Any] = {"apiVersion": row.api, "kind": row.kind, "names": [name]}
    if row.fields:
        watch["fields"] = row.fields
    spec = {"watch": [watch], "bindings": {"resyncSeconds": 5}}
    team.source("kinds", spec, ready=not row.cluster)
    if row.cluster:
        denied = team.until("kinds", "Authorized", "False")["message"]
        assert "list and watch namespaces in all namespaces" in denied
        run_as_printed(plane, denied)
        team.until("kinds", "Ready", "True")
    full = f"{team.name}/kinds"
    collection = _group(row.api) + ("" if row.cluster else f"/namespaces/{team.name}") + f"/{row.plural}"
    item = f"{collection}/{name}"

    manifest = row.manifest | {"metadata": {"name": name, **row.manifest.get("metadata", {})}}
    manifest["metadata"]["annotations"] = {LAST_APPLIED: "{}", **manifest["metadata"].get("annotations", {})}
    added = plane.api.request("POST", collection, manifest)
    sink.exactly(full, name, ["Added"])
    for subresource, noise in row.noise:
        plane.api.request("PATCH", item + subresource, noise, content_type=MERGE)
    modified = plane.api.request("PATCH", item, row.patch, content_type=MERGE)
    sink.exactly(full, name, ["Added", "Modified"])
    plane.api.request("DELETE", item)

    requests = sink.exactly(full, name, ["Added", "Modified", "Deleted"])
    for request, obj in zip(requests, (added, modified, modified), strict=True):
        data = request.body["data"]
        assert (data["apiVersion"], data["kind"], data["name"]) == (row.api, row.kind, name)
        assert data.get("namespace") == (None if row.cluster else team.name)
        place = name if row.cluster else f"{team.name}/{name}"
        assert request.body["subject"] == f"{row.plural}/{place}"
        assert request.headers["x-event-namespace"] == ("" if row.cluster else team.name)
        assert data["uid"] == obj["metadata"]["uid"]
        sent = data["object"]
        assert "managedFields" not in sent["metadata"]
        assert LAST_APPLIED not in sent["metadata"].get("annotations", {})
        for part in {"data", "binaryData", "rules"} & set(obj):
            assert sent[part] == obj[part]
    assert set(row.changed) <= set(requests[1].body["data"]["changed"])
    if not row.noise:
        assert requests[1].body["data"]["changed"] == row.changed
    assert requests[1].body["data"]["resourceVersion"] == modified["metadata"]["resourceVersion"]


@pytest.fixture
def group(plane: ControlPlane, team: Team) -> Iterator[str]:
    """An API group of the test's own, in which it installs a kind Widget."""
    name = f"{team.name}.example.com"
    yield name
    plane.kubectl("delete", f"crd/widgets.{name}")


def test_a_kind_that_appears_later(team: Team, sink: Sink, plane: ControlPlane, group: str) -> None:
    """Watching=False KindNotFound until it is there; then its objects fire, without anything being done."""
    api = f"{group}/v1"
    team.source(
        "later", {"watch": [{"apiVersion": api, "kind": "Widget"}], "event": {"content": "Diff"}}, ready=False
    )
    assert team.until("later", "Watching", "False")["reason"] == "KindNotFound"

    plane.apply(definition(group, "Widget"))
    team.until("later", "Ready", "True")
    widget = {
        "apiVersion": api,
        "kind": "Widget",
        "metadata": {"name": "one"},
        "spec": {"größe": 1, "a/b~c": 1},
    }
    collection = f"{_group(api)}/namespaces/{team.name}/widgets"
    plane.api.request("POST", collection, widget)
    plane.api.request("PATCH", f"{collection}/one", {"spec": {"größe": 2, "a/b~c": [1]}}, content_type=MERGE)

    requests = sink.exactly(f"{team.name}/later", "one", ["Added", "Modified"])
    added, modified = (each.body["data"] for each in requests)
    assert added["object"]["spec"] == {"größe": 1, "a/b~c": 1}
    assert {"spec.a/b~c", "spec.größe"} <= set(modified["changed"])
    assert jsonpatch.apply_patch(added["object"], modified["patch"]) == modified["object"]
