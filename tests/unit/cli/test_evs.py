"""`kubectl evs`: what it shows of statuses, what it writes, and how it ends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from eventsource_operator.api.spec import ChangeType
from eventsource_operator.api.status import DeliveriesStatus, Delivery, Failure
from eventsource_operator.cli.deliveries import new_lines
from eventsource_operator.cli.evs import cli
from tests.unit.cli.fake_kube import SOURCES, FakeKube

PATH = f"{SOURCES}/namespaces/team-a/eventsources/app-config"
REPLAY = "eventsource-operator.dev/replay"


def delivery(ident: str, time: str = "2026-01-01T00:00:00Z") -> Delivery:
    return Delivery(ident, ChangeType.MODIFIED, "ConfigMap team-a/app", time, 0.5)


def failure(ident: str, time: str = "2026-01-01T00:00:01Z", message: str = "") -> Failure:
    return Failure(ident, ChangeType.DELETED, "ConfigMap team-a/app", time, "DispatchFailed", message)


@pytest.fixture
def kube() -> Iterator[FakeKube]:
    with FakeKube() as server:
        status = {
            "conditions": [
                condition("Ready", "False", "KindNotFound", "no \x1b[31mkind\n"),
                condition("Bound", "True", "BindingsFound", "1"),
            ],
            "watches": [{"target": "v1/ConfigMap", "live": True}, {"target": "v1/Nope"}],
            "deliveries": {"delivered": 3, "failed": 1, "pending": 2},
        }
        server.add("EventSource", "team-a", "app-config", spec={"watch": [{}]}, status=status)
        server.add("EventSource", "team-b", "fresh", spec={"watch": [{}]})
        yield server


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 1}


def invoke(kube: FakeKube, tmp_path: Path, *args: str) -> Result:
    environment = {"KUBECONFIG": kube.kubeconfig(tmp_path)}
    return CliRunner().invoke(cli, args, env=environment, prog_name="kubectl evs")


def changed(kube: FakeKube, kind: str = "MODIFIED", **deliveries: Any) -> dict[str, Any]:
    obj = kube.objects[PATH]
    status = obj["status"] | {"deliveries": obj["status"]["deliveries"] | deliveries}
    return {"type": kind, "object": obj | {"status": status}}


def test_status_of_the_contexts_namespace(kube: FakeKube, tmp_path: Path) -> None:
    result = invoke(kube, tmp_path, "status")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split()[:4] == ["NAMESPACE", "NAME", "READY", "REASON"]
    assert lines[1].split() == [
        "team-a",
        "app-config",
        "False",
        "KindNotFound",
        "1/2",
        "-",
        "3",
        "1",
        "2",
        "-",
        "-",
    ]
    assert "fresh" not in result.stdout
    assert "Ready" in lines[4]
    assert "Bound" not in result.stdout.split("CONDITION")[1]
    assert all(line.isprintable() for line in lines)


def test_status_of_all_namespaces_and_of_one(kube: FakeKube, tmp_path: Path) -> None:
    everywhere = invoke(kube, tmp_path, "status", "-A")
    assert "team-b      fresh        Unknown   NotSeenYet" in everywhere.stdout
    one = invoke(kube, tmp_path, "status", "app-config")
    assert "BindingsFound" in one.stdout
    told = json.loads(invoke(kube, tmp_path, "status", "-A", "-o", "json").stdout)
    assert [item["metadata"]["name"] for item in told["items"]] == ["app-config", "fresh"]
    raw = invoke(kube, tmp_path, "status", "app-config", "-o", "yaml").stdout
    assert yaml.safe_load(raw) == kube.objects[PATH]
    assert "\x1b" not in raw


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("status", "nope"), 1, "there is no EventSource team-a/nope"),
        (("tail", "nope"), 1, "there is no EventSource team-a/nope"),
        (("status", "app-config", "-A"), 2, "--all-namespaces: "),
        (("status", "-n", ""), 2, "--namespace: "),
        (("replay", "nope", "failed"), 1, "not found"),
        (("replay", "app-config", "what\x1b?"), 2, "is neither an event's id"),
        (("status", "--context", "other"), 2, "the cluster cannot be used"),
    ],
)
def test_mistakes(kube: FakeKube, tmp_path: Path, args: tuple[str, ...], code: int, says: str) -> None:
    result = invoke(kube, tmp_path, *args)
    assert result.exit_code == code
    assert says in result.stderr
    assert "\x1b" not in result.stderr
    assert kube.writes == []


def test_an_empty_namespace_is_said_to_be_empty(kube: FakeKube, tmp_path: Path) -> None:
    result = invoke(kube, tmp_path, "status", "-n", "empty")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No EventSources in namespace empty." in result.stderr


def test_a_cluster_without_the_definition(kube: FakeKube, tmp_path: Path) -> None:
    kube.missing = True
    result = invoke(kube, tmp_path, "status")
    assert result.exit_code == 1
    assert "is the CustomResourceDefinition of EventSource installed?" in result.stderr


def test_watching_prints_what_differs(kube: FakeKube, tmp_path: Path) -> None:
    kube.watched = [[changed(kube), changed(kube, delivered=4)], [changed(kube, "DELETED")]]
    result = invoke(kube, tmp_path, "status", "app-config", "-w")
    assert result.exit_code == 1  # the stand-in ends the third watch with 403
    rows = [line.split() for line in result.stdout.splitlines() if line.startswith("team-a ")]
    assert [row[2:7] for row in rows[:2]] == [["False", "KindNotFound", "1/2", "-", n] for n in ("3", "4")]
    assert rows[2:] == [["team-a", "app-config", "deleted"]]


def test_tail_prints_new_deliveries_and_failures(kube: FakeKube, tmp_path: Path) -> None:
    last = {
        "id": "i1",
        "type": "Modified",
        "resource": "ConfigMap team-a/\x1bapp",
        "time": "2026-01-01T00:00:00Z",
    }
    fail = last | {"id": "i2", "reason": "Rejected", "message": "no\nway", "time": "2026-01-01T00:00:01Z"}
    kube.watched = [
        [changed(kube), changed(kube, delivered=5, last=last)],
        [
            {
                "type": "ERROR",
                "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"},
            }
        ],
        [changed(kube, delivered=5, last=last, failed=2, lastFailure=fail)],
    ]
    kube.objects[PATH] = changed(kube, delivered=5, last=last)["object"]
    kube.objects[PATH]["status"]["deliveries"].pop("last")
    kube.objects[PATH]["status"]["deliveries"]["delivered"] = 3
    result = invoke(kube, tmp_path, "tail", "-A")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith(
        "2026-01-01T00:00:00Z team-a/app-config delivered (+1) Modified ConfigMap team-a/"
    )
    assert any("team-a/app-config failed Modified" in line and "Rejected: no way" in line for line in lines)
    assert all(line.isprintable() for line in lines)


def test_what_is_new_between_two_statuses() -> None:
    before = DeliveriesStatus(delivered=2, failed=1, last=delivery("a"), failures=(failure("x"),))
    assert new_lines(before, before) == []
    later = DeliveriesStatus(
        delivered=5, failed=3, last=delivery("b", "2026-01-01T00:00:09Z"),
        last_failure=failure("z", "2026-01-01T00:00:05Z", "why"),
        failures=(failure("z", "2026-01-01T00:00:05Z", "why"), failure("y"), failure("x")),
    )  # fmt: skip
    lines = new_lines(before, later)
    assert [(line.result, line.id, line.more) for line in lines] == [
        ("failed", "y", 0),
        ("failed", "z", 0),
        ("delivered", "b", 2),
    ]
    assert lines[1].detail == "DispatchFailed: why"


def test_an_event_that_is_sent_again_is_new_and_lost_counters_are_not_negative() -> None:
    before = DeliveriesStatus(delivered=2, last=delivery("a"))
    again = DeliveriesStatus(delivered=3, last=delivery("a"))
    assert [(line.id, line.more) for line in new_lines(before, again)] == [("a", 0)]
    reset = DeliveriesStatus(delivered=1, last=delivery("b"))
    assert [(line.id, line.more) for line in new_lines(before, reset)] == [("b", 0)]
    many = DeliveriesStatus(failed=9, last_failure=failure("x"))
    assert [(line.id, line.more) for line in new_lines(DeliveriesStatus(), many)] == [("x", 8)]


@pytest.mark.parametrize(
    "what", ["failed", "3f9c2a7be2d14c5fa0b1c2d3e4f50617", "ConfigMap/team-a/app", "Node/n1"]
)
def test_replay_sets_the_annotation(kube: FakeKube, tmp_path: Path, what: str) -> None:
    result = invoke(kube, tmp_path, "replay", "app-config", what)
    assert (result.exit_code, result.stderr) == (0, "")
    assert kube.writes == [("PATCH", PATH, {"metadata": {"annotations": {REPLAY: what}}})]


def test_replay_waits_until_it_is_taken(kube: FakeKube, tmp_path: Path) -> None:
    result = invoke(kube, tmp_path, "replay", "app-config", "failed", "--wait", "5")
    assert (result.exit_code, result.output) == (0, "team-a/app-config: replay of failed taken.\n")

    def keep(path: str, body: Any) -> None:
        kube.objects[path]["metadata"]["annotations"] = body["metadata"]["annotations"]

    kube.on_patch = keep
    result = invoke(kube, tmp_path, "replay", "app-config", "failed", "--wait", "0.01")
    assert result.exit_code == 1
    assert "not taken within 0.01 s" in result.stderr
    result = invoke(kube, tmp_path, "replay", "app-config", "failed")
    assert result.exit_code == 1
    assert "a replay of failed was not taken yet" in result.stderr


@pytest.mark.parametrize("verb", ["status", "tail"])
def test_where_can_be_said_before_the_verb(kube: FakeKube, tmp_path: Path, verb: str) -> None:
    before = invoke(kube, tmp_path, "-n", "team-b", verb, "nope")
    after = invoke(kube, tmp_path, verb, "nope", "-n", "team-b")
    assert (before.exit_code, before.stderr) == (after.exit_code, after.stderr)
    assert "there is no EventSource team-b/nope" in before.stderr


def test_what_is_said_after_the_verb_goes_first(kube: FakeKube, tmp_path: Path) -> None:
    assert "fresh" in invoke(kube, tmp_path, "-n", "team-b", "status").stdout
    assert "fresh" in invoke(kube, tmp_path, "-n", "team-a", "status", "-n", "team-b").stdout
    assert "fresh" in invoke(kube, tmp_path, "-A", "status").stdout
    assert "app-config" in invoke(kube, tmp_path, "-A", "status", "-o", "json").stdout
    both = invoke(kube, tmp_path, "-A", "status", "-n", "team-b")
    assert (both.exit_code, both.stdout) == (2, "")


def test_flags_before_the_verb_are_not_lost(kube: FakeKube, tmp_path: Path) -> None:
    assert "fresh" in invoke(kube, tmp_path, "-n", "team-b", "check", "fresh", "--no-bindings").stdout
    other = invoke(kube, tmp_path, "--context", "other", "status")
    assert other.exit_code == 2
    assert "the cluster cannot be used" in other.stderr
    everywhere = invoke(kube, tmp_path, "-A", "replay", "app-config", "failed")
    assert everywhere.exit_code == 2
    assert "--all-namespaces: replay looks into one namespace" in everywhere.stderr
    assert kube.writes == []
    helped = invoke(kube, tmp_path, "-n", "team-b", "status", "--help")
    assert helped.exit_code == 0
