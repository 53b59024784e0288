"""`check` against a cluster and its Argo Server, and what it must not show or send."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from eventsource_operator.cli.main import cli
from tests.support.fake_argo import FakeArgo
from tests.unit.cli.checked import items, source
from tests.unit.cli.fake_kube import FakeKube

TARGET = {
    "names": ["app*"],
    "labelSelector": {"matchLabels": {"app": "shop"}},
    "fields": ["data"],
    "condition": 'object.data.env == "prod"',
}


@pytest.fixture
def kube() -> Iterator[FakeKube]:
    with FakeKube() as server:
        server.add("ConfigMap", "team-a", "app", metadata={"labels": {"app": "shop"}}, data={"env": "prod"})
        server.add(
            "ConfigMap", "team-a", "app-dev", metadata={"labels": {"app": "shop"}}, data={"env": "dev"}
        )
        server.add("ConfigMap", "team-a", "other", data={"env": "prod"})
        server.add("ConfigMap", "team-b", "app", metadata={"labels": {"app": "shop"}}, data={"env": "prod"})
        yield server


@pytest.fixture
def argo() -> Iterator[FakeArgo]:
    with FakeArgo({"good": ("*",)}) as server:
        yield server


def online(kube: FakeKube, tmp_path: Path, obj: dict[str, Any], *args: str, argo: str = "") -> Result:
    path = tmp_path / "source.yaml"
    path.write_text(yaml.safe_dump(obj), encoding="utf-8")
    more = [] if argo else ["--no-bindings"]
    environment = {"KUBECONFIG": kube.kubeconfig(tmp_path), "ARGO_SERVER": argo, "ARGO_TOKEN": "good"}
    return CliRunner().invoke(cli, ["check", str(path), *more, *args], env=environment)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("nowhere.yaml",), "nowhere.yaml: no such file"),
        (("name-alone",), "a live source is called NAMESPACE/NAME"),
        (("team-a/app", "--offline"), "--offline: "),
        (("team-a/app", "--object", "a/b/c"), "--object: "),
        (("team-a/app", "--argo-server", "nope"), "--argo-server: "),
        (("team-a/app",), "the cluster cannot be used: no kubeconfig"),
        (("/",), "cannot be read"),
    ],
)
def test_what_cannot_be_carried_out(args: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(cli, ["check", *args], env={"KUBECONFIG": "/nowhere/kubeconfig"})
    assert result.exit_code == 2
    assert says in result.stderr


def test_matches_and_events(kube: FakeKube, tmp_path: Path) -> None:
    result = online(kube, tmp_path, source(watch=[TARGET]))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "v1/ConfigMap in team-a: 1 of 3 objects match" in result.stdout
    assert "ConfigMap team-a/app   Modified   -          configmaps/team-a/app" in result.stdout
    assert "known once it exists" in result.stdout
    assert kube.writes == []


def test_the_id_is_that_of_the_live_source(kube: FakeKube, tmp_path: Path) -> None:
    live = kube.add("EventSource", "team-a", "app-config", spec={"watch": [TARGET]})
    (told,) = items(online(kube, tmp_path, live, "-o", "json", "--show-body"))
    (event,) = told["targets"][0]["events"]
    environment = {"KUBECONFIG": kube.kubeconfig(tmp_path)}
    args = ["check", "team-a/app-config", "--no-bindings", "-o", "yaml"]
    again = yaml.safe_load(CliRunner().invoke(cli, args, env=environment).stdout)
    assert event["id"] == again["items"][0]["targets"][0]["events"][0]["id"]
    assert event["id"] == event["body"]["id"]
    assert event["body"]["subject"] == event["subject"] == "configmaps/team-a/app"
    assert event["body"]["data"]["object"]["data"] == {"env": "prod"}
    assert "changed" not in event["body"]["data"]


@pytest.mark.parametrize(
    ("name", "failing"),
    [
        ("app", set()),
        ("app-dev", {"condition"}),
        ("other", {"names", "labelSelector"}),
    ],
)
def test_why_an_object_matches_or_not(kube: FakeKube, tmp_path: Path, name: str, failing: set[str]) -> None:
    result = online(kube, tmp_path, source(watch=[TARGET]), "--object", f"team-a/{name}", "-o", "json")
    (told,) = items(result)
    tests = told["targets"][0]["tests"]
    assert {test["test"] for test in tests if test["passed"] is False} == failing
    assert {test["test"] for test in tests if test["passed"] is None} == {"fields"}
    assert bool(told["targets"][0]["events"]) == (not failing)
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("target", "args", "failing"),
    [
        ({}, ("--object", "team-b/app"), {"namespaces"}),
        ({"namespaces": {"all": True}}, ("--object", "team-b/app"), set()),
        ({"fieldSelector": "metadata.name=other"}, ("--object", "team-a/app"), {"fieldSelector"}),
        ({"fieldSelector": "metadata.name=app"}, ("--object", "team-a/app"), set()),
        ({"events": ["Added"]}, ("--object", "app", "--change", "deleted"), {"events"}),
        ({"events": ["Deleted"]}, ("--object", "app"), set()),
    ],
)
def test_the_other_tests(
    kube: FakeKube, tmp_path: Path, target: dict[str, Any], args: tuple[str, ...], failing: set[str]
) -> None:
    (told,) = items(online(kube, tmp_path, source(watch=[target]), *args, "-o", "json"))
    found = told["targets"][0]["tests"]
    assert {test["test"] for test in found if test["passed"] is False} == failing


def test_an_object_that_does_not_exist(kube: FakeKube, tmp_path: Path) -> None:
    result = online(kube, tmp_path, source(), "--object", "team-a/nope")
    assert result.exit_code == 1
    assert "no target watches a kind of which team-a/nope is an object" in result.stderr


def test_a_secret_is_shown_as_digests(kube: FakeKube, tmp_path: Path) -> None:
    kube.add("Secret", "team-a", "token", data={"password": "aHVudGVyMg=="})
    result = online(kube, tmp_path, source(watch=[{"kind": "Secret"}]), "--show-body")
    assert result.exit_code == 0
    assert "hmac-sha256:" in result.stdout
    assert "aHVudGVyMg" not in result.output


def test_missing_rights_kinds_and_lists_are_problems(kube: FakeKube, tmp_path: Path) -> None:
    kube.allowed = False
    kube.refused.add("/api/v1/namespaces/team-a/configmaps")
    targets = [{}, {"kind": "Configmap"}, {"kind": "Node"}]
    result = online(kube, tmp_path, source(watch=targets, event={"namespace": "argo"}))
    assert result.exit_code == 1
    assert (
        "service account team-a/default needs to create workflows.argoproj.io in namespace argo"
        in result.stderr
    )
    assert "needs to list and watch nodes in all namespaces: kubectl create clusterrole" in result.stderr
    assert "spec.watch[0]: no list of" in result.stderr
    assert "spec.watch[1].kind: " in result.stderr
    assert "did you mean kind ConfigMap?" in result.stderr


def test_an_expression_that_fails_on_an_object(kube: FakeKube, tmp_path: Path) -> None:
    result = online(kube, tmp_path, source(watch=[{"condition": "object.data.nope == 'x'"}]))
    assert result.exit_code == 1
    assert "spec.watch[0].condition: fails on team-a/app: no such key: nope" in result.stderr


def test_an_object_of_two_targets_is_sent_once(kube: FakeKube, tmp_path: Path) -> None:
    (told,) = items(online(kube, tmp_path, source(watch=[{}, TARGET]), "-o", "json"))
    assert [event["again"] for target in told["targets"] for event in target["events"]] == [False] * 3 + [
        True
    ]


def test_long_lists_are_cut(kube: FakeKube, tmp_path: Path) -> None:
    result = online(kube, tmp_path, source(), "--limit", "1")
    assert "3 of 3 objects match" in result.stdout
    assert "and 2 more" in result.stdout
    assert "team-a/other" not in result.stdout


def test_bindings(kube: FakeKube, tmp_path: Path, argo: FakeArgo) -> None:
    binding = {
        "metadata": {"namespace": "team-a", "name": "de\x1b[31mploy"},
        "spec": {"event": {"selector": "true"}},
    }
    argo.bindings["team-a"] = [binding]
    result = online(kube, tmp_path, source(bindings={"labelSelector": "a=b"}), argo=argo.url)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 WorkflowEventBinding in namespace team-a" in result.stdout
    assert "\x1b" not in result.stdout
    assert [seen.method for seen in argo.seen] == ["GET"]  # and nothing else: nothing is sent


def test_no_bindings_is_a_warning_and_a_refusal_a_problem(
    kube: FakeKube, tmp_path: Path, argo: FakeArgo
) -> None:
    result = online(kube, tmp_path, source(), argo=argo.url)
    assert result.exit_code == 0
    assert "no WorkflowEventBinding in namespace team-a" in result.stdout
    with FakeArgo({"good": ("elsewhere",)}) as strict:
        result = online(kube, tmp_path, source(), argo=strict.url)
    assert result.exit_code == 1
    assert "bindings: " in result.stderr


def test_the_token_is_not_shown_to_a_server_that_is_not_allowed(
    kube: FakeKube, tmp_path: Path, argo: FakeArgo
) -> None:
    result = online(kube, tmp_path, source(server={"url": argo.url}), argo="http://localhost:1")
    assert result.exit_code == 1
    assert "is not allowed" in result.stderr
    assert argo.seen == []
