"""Which kinds fire and what their events carry, one row per kind, on the real control plane."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jsonpatch
import pytest

from eventsource_operator.core.redaction import LAST_APPLIED
from tests.support.controlplane import wait_for
from tests.support.running_operator import Operator, Team
from tests.support.sink import Request, Sink
from tools.controlplane.plane import ControlPlane

pytestmark = pytest.mark.usefixtures("operator")

MERGE = "application/merge-patch+json"
SECRET_VALUES = ("5ecret-before-x", "5ecret-after-y")
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


def _grant(plane: ControlPlane, message: str) -> None:
    """Runs the commands that a denial names, as its reader would."""
    for command in message[message.index("kubectl create ") :].split("; "):
        plane.kubectl(*command.split()[1:])


def _sources(team: Team, specs: dict[str, dict[str, Any]]) -> None:
    """Creates all of them, then waits."""
    for name, spec in specs.items():
        team.source(name, spec, ready=False)
    for name in specs:
        team.until(name, "Ready", "True")


def _whats(sink: Sink, source: str, name: str) -> list[str]:
    return [kind for kind, what in sink.whats(source) if what == name]


def _arrives(sink: Sink, source: str, name: str, expected: list[str]) -> list[Request]:
    """Waits until exactly these types arrived for an object."""
    wait_for(
        lambda: len(_whats(sink, source, name)) >= len(expected), 15, f"{expected} of {name}",
        lambda: sink.whats(source)[-20:],
    )  # fmt: skip
    assert _whats(sink, source, name) == expected
    return [each for each in sink.of(source) if each.what[1] == name]


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
        _grant(plane, denied)
        team.until("kinds", "Ready", "True")
    full = f"{team.name}/kinds"
    collection = _group(row.api) + ("" if row.cluster else f"/namespaces/{team.name}") + f"/{row.plural}"
    item = f"{collection}/{name}"

    manifest = row.manifest | {"metadata": {"name": name, **row.manifest.get("metadata", {})}}
    manifest["metadata"]["annotations"] = {LAST_APPLIED: "{}", **manifest["metadata"].get("annotations", {})}
    added = plane.api.request("POST", collection, manifest)
    _arrives(sink, full, name, ["Added"])
    for subresource, noise in row.noise:
        plane.api.request("PATCH", item + subresource, noise, content_type=MERGE)
    modified = plane.api.request("PATCH", item, row.patch, content_type=MERGE)
    _arrives(sink, full, name, ["Added", "Modified"])
    plane.api.request("DELETE", item)

    requests = _arrives(sink, full, name, ["Added", "Modified", "Deleted"])
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
def crd(plane: ControlPlane, team: Team) -> Iterator[dict[str, Any]]:
    """A definition with a group of its own; the test installs it."""
    group = f"{team.name}.example.com"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    yield {
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "scope": "Namespaced",
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }
    plane.api.request(
        "DELETE", f"{_group('apiextensions.k8s.io/v1')}/customresourcedefinitions/widgets.{group}"
    )


def test_a_kind_that_appears_later(team: Team, sink: Sink, plane: ControlPlane, crd: dict[str, Any]) -> None:
    """Watching=False KindNotFound until it is there; then its objects fire, without anything being done."""
    api = f"{crd['spec']['group']}/v1"
    team.source(
        "later", {"watch": [{"apiVersion": api, "kind": "Widget"}], "event": {"content": "Diff"}}, ready=False
    )
    assert team.until("later", "Watching", "False")["reason"] == "KindNotFound"

    plane.api.request("POST", f"{_group('apiextensions.k8s.io/v1')}/customresourcedefinitions", crd)
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

    requests = _arrives(sink, f"{team.name}/later", "one", ["Added", "Modified"])
    added, modified = (each.body["data"] for each in requests)
    assert added["object"]["spec"] == {"größe": 1, "a/b~c": 1}
    assert {"spec.a/b~c", "spec.größe"} <= set(modified["changed"])
    assert jsonpatch.apply_patch(added["object"], modified["patch"]) == modified["object"]


def test_an_object_near_a_mebibyte_is_referred_to(team: Team, sink: Sink) -> None:
    """Larger than maxBytes: no object, `truncated`; with room for it the same object is sent whole."""
    watch = [{"names": ["huge"]}]
    _sources(team, {"small": {"watch": watch}, "large": {"watch": watch, "event": {"maxBytes": 2 << 20}}})
    value = "ü" * 500_000
    team.put("huge", {"a": value, "n": "1"})
    team.patch("huge", {"data": {"n": "2"}})

    added, modified = (
        each.body["data"] for each in _arrives(sink, f"{team.name}/small", "huge", ["Added", "Modified"])
    )
    assert added["truncated"] is modified["truncated"] is True
    assert "object" not in added
    assert "object" not in modified
    assert (modified["name"], modified["changed"]) == ("huge", ["data.n"])
    whole = _arrives(sink, f"{team.name}/large", "huge", ["Added", "Modified"])[1].body["data"]
    assert whole["object"]["data"] == {"a": value, "n": "2"}
    assert "truncated" not in whole


def test_content_reference_and_diff(team: Team, sink: Sink) -> None:
    """A reference leaves the object out; the patch of a Diff turns the old object into the new one."""
    watch = [{"names": ["app"]}]
    contents = ("Reference", "Diff")
    _sources(team, {each.lower(): {"watch": watch, "event": {"content": each}} for each in contents})
    team.put("app", {"a": "1", "gone": "1", "x.y_z": "1"}, {"tier": "a"})
    team.patch("app", {"data": {"a": "2", "gone": None, "new": "1"}, "metadata": {"labels": {"tier": None}}})

    both = ["Added", "Modified"]
    references = [each.body["data"] for each in _arrives(sink, f"{team.name}/reference", "app", both)]
    assert all("object" not in each and "patch" not in each for each in references)
    changed = ["data.a", "data.gone", "data.new", "metadata.labels.tier"]
    assert references[1]["changed"][:3] == changed[:3]
    added, modified = (each.body["data"] for each in _arrives(sink, f"{team.name}/diff", "app", both))
    assert "patch" not in added
    patched = jsonpatch.apply_patch(added["object"], modified["patch"])
    assert patched == modified["object"]
    assert patched["data"] == {"a": "2", "new": "1", "x.y_z": "1"}


def test_payload_condition_discriminator_and_headers(team: Team, sink: Sink) -> None:
    """The payload is the whole body, the condition compares with the former state, headers stay."""
    condition = "type == 'Modified' && oldObject != null && oldObject.data.n != object.data.n"
    payload = '{"was": oldObject.data.n, "is": object.data.n, "changed": changed, "type": type}'
    spec = {
        "watch": [{"names": ["app"], "condition": condition}],
        "event": {"payload": payload, "discriminator": "from-cel"},
    }
    uid = team.source("cel", spec)
    team.put("app", {"n": "1"})
    team.patch("app", {"data": {"other": "1"}})
    team.patch("app", {"data": {"n": "2"}})

    request = _arrives(sink, f"{team.name}/cel", "app", ["Modified"])[0]
    assert request.body == {"was": "1", "is": "2", "changed": ["data.n"], "type": "Modified"}
    assert (request.namespace, request.discriminator) == (team.name, "from-cel")
    assert request.headers["x-event-kind"] == "ConfigMap"
    assert len(request.headers["x-event-id"]) == 32
    assert uid not in request.raw.decode()


def test_a_secret_value_is_nowhere(team: Team, sink: Sink, operator: Operator, plane: ControlPlane) -> None:
    """In each mode, in CEL payloads and errors: digests only; bodies, log, status, events and checkpoints."""
    payload = '{"data": object.data, "was": oldObject == null ? null : oldObject.data, "all": string(object.data.k)}'
    events: dict[str, dict[str, Any]] = {
        "object": {}, "reference": {"content": "Reference"}, "diff": {"content": "Diff"},
        "payload": {"payload": payload}, "broken": {"payload": "object.data.k + object.data.missing"},
        "wrong": {"payload": "int(object.data.k)"},
    }  # fmt: skip
    watch = {"kind": "Secret", "names": ["pass"], "fields": ["data"]}
    for name, event in events.items():
        spec = {"watch": [watch], "event": event, "bindings": {"resyncSeconds": 5}}
        team.source(name, spec, ready=False)
    _grant(plane, team.until("object", "Authorized", "False")["message"])
    for name in events:
        team.until(name, "Ready", "True")
    manifest = {"metadata": {"name": "pass"}, "stringData": {"k": SECRET_VALUES[0]}}
    team.request("POST", "secrets", manifest)
    team.request("PATCH", "secrets/pass", {"stringData": {"k": SECRET_VALUES[1]}})
    team.request("DELETE", "secrets/pass")

    for name in ("object", "reference", "diff", "payload"):
        requests = _arrives(sink, f"{team.name}/{name}", "pass", ["Added", "Modified", "Deleted"])
        if name == "payload":
            assert requests[1].body["data"]["k"].startswith("hmac-sha256:")
            assert requests[1].body["was"] == requests[0].body["data"] != requests[1].body["data"]
        else:
            assert requests[1].body["data"]["changed"] == ["data.k"]
    wait_for(lambda: _errors(team, "broken") >= 2, 10, "evaluation errors", operator.tail)
    wait_for(lambda: _errors(team, "wrong") >= 3, 10, "evaluation errors", operator.tail)
    wait_for(lambda: len(team.checkpoints()) >= len(events), 10, "checkpoints", operator.tail)
    shown = plane.kubectl("-n", team.name, "get", "evs,evsc,events", "-o", "json")
    sent = "".join(each.raw.decode() + str(each.headers) for each in list(sink.requests))
    for value in SECRET_VALUES:
        for form in (value, base64.b64encode(value.encode()).decode()):
            assert form not in sent
            assert form not in operator.log.read_text(encoding="utf-8")
            assert form not in shown


def _errors(team: Team, source: str) -> int:
    found = json.loads(team.plane.kubectl("-n", team.name, "get", "evs", source, "-o", "json"))
    return int(found.get("status", {}).get("evaluationErrors", {}).get("count", 0))
