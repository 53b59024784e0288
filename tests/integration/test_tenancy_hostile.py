"""What a tenant can put into objects, and a server into its answers: none of it does more than be shown."""

import http.client
import json
import ssl
from collections.abc import Iterator
from urllib.parse import quote, unquote

import pytest

from tests.support.controlplane import wait_for
from tests.support.definitions import definition
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink
from tools.controlplane.plane import ControlPlane

GROUP = "hostile.example.com"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
NAMES = [
    "evil\r\nX-Injected: 1\r\n\r\nGET ",
    "evil\x1b[31m\x1b]0;owned\x07",
    "evil\x00\x08\x7f\x9b31m",
    "evil\N{RIGHT-TO-LEFT OVERRIDE}gnp\N{ZERO WIDTH SPACE}",
    "evil 'quoted' $(id) `id` \"x\" ; rm -rf ~ && {{x}} <b>",
    "evil-" + "ä" * 900,
]
"""Names that the API server takes: those of Roles are path segments, in which anything but `/` and `%` is legal."""
DEPTHS = (50, 240, 300, 900, 1100, 9000)
"""Below and beyond what is written as JSON (254), and what is parsed (1,024); the API server takes 10,000."""
MEGABYTE = "x" * 900_000
"""As long as a value can be: a ConfigMap has at most 1 MiB."""


@pytest.fixture(scope="module")
def crd(plane: ControlPlane) -> Iterator[str]:
    """A kind whose objects hold anything; the path of a namespace's objects, with `%s` for the namespace."""
    plane.apply(definition(GROUP, "Nest", {"spec": {"x-kubernetes-preserve-unknown-fields": True}}))
    plane.kubectl("wait", "--for=condition=Established", f"crd/nests.{GROUP}", "--timeout=20s")
    yield f"/apis/{GROUP}/v1/namespaces/%s/nests"
    plane.kubectl("delete", "crd", f"nests.{GROUP}", "--wait=false")


def _nested(levels: int, kind: str) -> bytes:
    """JSON of so many levels, written by hand: the usual encoders give up before the API server does."""
    if kind == "list":
        return b"[" * levels + b"]" * levels
    return b'{"a":' * levels + b"1" + b"}" * levels


def _safe(text: str) -> bool:
    return all(char.isprintable() or char == "\n" for char in text)


def test_names_and_values_are_only_shown(
    plane: ControlPlane, team: Team, sink: Sink, operator: Operator
) -> None:
    """A header for each name, decoded to the name and no further one; log, status and Events stay printable."""
    full = f"{team.name}/names"
    roles = f"{RBAC}/namespaces/{team.name}/roles"
    spec = {"watch": [{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "names": ["evil*"]}]}
    team.source("names", spec)
    annotations = {"a": "\r\nX: 1\x1b[2J\x00", "b": "y" * 200_000}
    for name in NAMES:
        meta = {"name": name, "annotations": annotations}
        plane.api.request("POST", roles, {"metadata": meta, "rules": []})
    found = {unquote(each.headers["x-event-name"]): each for each in sink.wait(full, len(NAMES))}
    assert set(found) == set(NAMES)
    for name, request in found.items():
        assert request.headers["x-event-name"].isascii()
        assert request.headers["x-event-name"].isprintable()
        assert "x-injected" not in request.headers
        assert request.body["data"]["name"] == name
        assert request.body["data"]["object"]["metadata"]["annotations"] == annotations

    sink.status = 400  # each is recorded as failed, with its name
    for name in NAMES:
        plane.api.request("DELETE", f"{roles}/{quote(name, safe='')}")

    def failed() -> bool:
        status = plane.api.request("GET", team._path("names"))["status"]
        return int(status["deliveries"]["failed"]) == len(NAMES)

    wait_for(failed, 20, "all failures recorded", operator.tail)
    sink.status = 200
    status = plane.api.request("GET", team._path("names"))["status"]
    assert _safe(json.dumps(status, ensure_ascii=False))
    shown = plane.kubectl("-n", team.name, "get", "events", "-o", "json")
    assert all(
        _safe(each["note"] if "note" in each else each["message"]) for each in json.loads(shown)["items"]
    )
    assert _safe(operator.log.read_text(encoding="utf-8"))
    assert team.condition("names", "Ready")["status"] == "True"
    assert _safe(operator.metrics())


@pytest.mark.parametrize("kind", ["list", "map"])
def test_deep_objects_do_not_stop_the_watch(
    plane: ControlPlane, team: Team, sink: Sink, operator: Operator, crd: str, kind: str
) -> None:
    """As deep as the API server takes it: told in some form or recorded as failed, and the next object is told."""
    full = f"{team.name}/nests"
    watch = {"apiVersion": f"{GROUP}/v1", "kind": "Nest"}
    path = crd % team.name
    _put_nested(plane, path, "old-4000", 4000, kind)  # there before the first list
    team.source("nests", {"watch": [watch | {"initial": "Send"}]})
    team.source("fields", {"watch": [watch | {"fields": ["spec"]}], "event": {"content": "Diff"}})
    for levels in DEPTHS:
        _put_nested(plane, path, f"deep-{levels}", levels, kind)
        _put_nested(plane, path, f"deep-{levels}", levels, kind, label="x")
    _put_nested(plane, path, "after", 1, kind)
    expected = {("Added", "after"), ("Added", "old-4000")}
    expected |= {(change, f"deep-{levels}") for levels in DEPTHS for change in ("Added", "Modified")}
    wait_for(lambda: expected <= set(sink.whats(full)), 20, "all of them", lambda: sink.whats(full))
    assert len(sink.whats(full)) == len(expected)
    wait_for(lambda: ("Added", "after") in sink.whats(f"{team.name}/fields"), 20, "the other source")
    for source in ("nests", "fields"):
        assert team.condition(source, "Ready")["status"] == "True"
        assert plane.api.request("GET", team._path(source))["status"]["deliveries"]["failed"] == 0
    assert "Traceback" not in operator.log.read_text(encoding="utf-8")


def test_values_as_long_as_can_be(team: Team, sink: Sink, operator: Operator) -> None:
    """A long value comes whole; where the event would be larger than a server takes, a reference comes."""
    team.source("long", {"watch": [{"names": ["long*"]}]})
    team.put("long-plain", {"a": MEGABYTE[:200_000]})
    team.put("long-most", {"a": MEGABYTE})
    team.put("long-escaped", {"a": "\x01" * 400_000})  # six bytes each, as JSON
    wait_for(lambda: len(sink.whats(f"{team.name}/long")) == 3, 20, "all", operator.tail)
    found = {each.what[1]: each.body["data"] for each in sink.of(f"{team.name}/long")}
    assert found["long-plain"]["object"]["data"]["a"] == MEGABYTE[:200_000]
    for name in ("long-most", "long-escaped"):
        assert found[name]["truncated"]
        assert "object" not in found[name]


def test_an_answer_of_the_server_is_only_shown(
    plane: ControlPlane, team: Team, sink: Sink, operator: Operator
) -> None:
    """Error texts with everything in them: recorded, bounded and printable, in status, Events and log."""
    team.source("errors", {"watch": [{"names": ["app-*"]}]})
    texts = [f"{name} {MEGABYTE[:200_000]}" for name in NAMES]
    answers = [json.dumps({"code": 3, "message": text, "details": [{"a": text}]}).encode() for text in texts]
    answers += [b"[" * 5000, b'{"code": 3, "message": ' + b"[" * 3000 + b"]" * 3000 + b"}"]
    try:
        for number, answer in enumerate(answers):
            sink.status, sink.answer = 400, answer
            team.put(f"app-{number}", {})
            wait_for(lambda n=number: len(sink.of(f"{team.name}/errors")) > n, 20, "the event")  # type: ignore[misc]
    finally:
        sink.status, sink.answer = 200, b""

    def settled() -> bool:
        found = plane.api.request("GET", team._path("errors"))["status"]["deliveries"]
        return bool(found["pending"] == 0 and found["failed"] + found["delivered"] == len(answers))

    wait_for(settled, 30, "each to end in some way", operator.tail)
    status = plane.api.request("GET", team._path("errors"))["status"]
    assert status["deliveries"]["failed"] >= len(NAMES)
    assert _safe(json.dumps(status, ensure_ascii=False))
    assert all(len(each["message"]) <= 1024 for each in status["deliveries"]["failures"])
    events = json.loads(plane.kubectl("-n", team.name, "get", "events", "-o", "json"))["items"]
    assert events
    assert all(_safe(each["message"]) for each in events)
    log = operator.log.read_text(encoding="utf-8")
    assert _safe(log)
    assert max(map(len, log.splitlines())) < 5000
    assert team.condition("errors", "Ready")["status"] == "True"


def _put_nested(
    plane: ControlPlane, path: str, name: str, levels: int, kind: str, *, label: str = ""
) -> None:
    """Creates or labels an object; written and read without a parser, for the usual ones give up too early."""
    base, _, host = plane.server.rpartition("//")
    assert base
    connection = http.client.HTTPSConnection(host, context=ssl.create_default_context(cafile=str(plane.ca)))
    meta = {"name": name, "labels": {"a": label}}
    head = json.dumps({"apiVersion": f"{GROUP}/v1", "kind": "Nest", "metadata": meta})
    body = head[:-1].encode() + b', "spec": ' + _nested(levels, kind) + b"}"
    headers = {"Authorization": f"Bearer {plane.admin_token}", "Content-Type": "application/json"}
    if label:
        body = json.dumps({"metadata": {"labels": {"a": label}}}).encode()
        headers["Content-Type"] = "application/merge-patch+json"
    method, where = ("PATCH", f"{path}/{name}") if label else ("POST", path)
    connection.request(method, where, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status in {200, 201}, text[:500]
