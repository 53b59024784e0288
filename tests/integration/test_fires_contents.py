"""What events carry: objects, references, patches, payloads; of Secrets digests alone. On the real control plane."""

import base64
import json
from typing import Any

import jsonpatch
import pytest

from tests.support.controlplane import wait_for
from tests.support.rights import run_as_printed
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink
from tools.controlplane.plane import ControlPlane

pytestmark = pytest.mark.usefixtures("operator")

SECRET_VALUES = ("5ecret-before-x", "5ecret-after-y")


def _sources(team: Team, specs: dict[str, dict[str, Any]]) -> None:
    """Creates all of them, then waits."""
    for name, spec in specs.items():
        team.source(name, spec, ready=False)
    for name in specs:
        team.until(name, "Ready", "True")


def test_an_object_near_a_mebibyte_is_referred_to(team: Team, sink: Sink) -> None:
    """Larger than maxBytes: no object, `truncated`; with room for it the same object is sent whole."""
    watch = [{"names": ["huge"]}]
    _sources(team, {"small": {"watch": watch}, "large": {"watch": watch, "event": {"maxBytes": 2 << 20}}})
    value = "ü" * 500_000
    team.put("huge", {"a": value, "n": "1"})
    team.patch("huge", {"data": {"n": "2"}})

    added, modified = (
        each.body["data"] for each in sink.exactly(f"{team.name}/small", "huge", ["Added", "Modified"])
    )
    assert added["truncated"] is modified["truncated"] is True
    assert "object" not in added
    assert "object" not in modified
    assert (modified["name"], modified["changed"]) == ("huge", ["data.n"])
    whole = sink.exactly(f"{team.name}/large", "huge", ["Added", "Modified"])[1].body["data"]
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
    references = [each.body["data"] for each in sink.exactly(f"{team.name}/reference", "app", both)]
    assert all("object" not in each and "patch" not in each for each in references)
    changed = ["data.a", "data.gone", "data.new", "metadata.labels.tier"]
    assert references[1]["changed"][:3] == changed[:3]
    added, modified = (each.body["data"] for each in sink.exactly(f"{team.name}/diff", "app", both))
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

    request = sink.exactly(f"{team.name}/cel", "app", ["Modified"])[0]
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
    run_as_printed(plane, team.until("object", "Authorized", "False")["message"])
    for name in events:
        team.until(name, "Ready", "True")
    manifest = {"metadata": {"name": "pass"}, "stringData": {"k": SECRET_VALUES[0]}}
    team.request("POST", "secrets", manifest)
    team.request("PATCH", "secrets/pass", {"stringData": {"k": SECRET_VALUES[1]}})
    team.request("DELETE", "secrets/pass")

    for name in ("object", "reference", "diff", "payload"):
        requests = sink.exactly(f"{team.name}/{name}", "pass", ["Added", "Modified", "Deleted"])
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
