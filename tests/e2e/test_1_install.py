"""The product as its users meet it: installed from the manifests, a ConfigMap changed, a Workflow run."""

import json
import time

import pytest

from tests.e2e.kit import argo, render
from tests.e2e.kit.cluster import OPERATOR, ROOT, Cluster, CommandError
from tests.e2e.kit.telling import Tell
from tests.support.controlplane import wait_for

FROM_NOTHING_SECONDS = 600
"""From no cluster to what `kubectl get evs` shows, with warm caches."""
LOOK_AROUND = ROOT / "tests/e2e/kit/look_around.py"


def test_from_nothing_to_a_succeeded_workflow(
    cluster: Cluster, operator: str, begun: float, tell: Tell
) -> None:
    with cluster.namespace("quickstart") as namespace:
        started = time.monotonic()
        cluster.kubectl("-n", namespace, "apply", "-f", argo.sample("quickstart"))
        for condition in ("Ready", "Bound"):
            cluster.kubectl(
                "-n",
                namespace,
                "wait",
                f"--for=condition={condition}",
                "eventsource/app-config",
                "--timeout=60s",
            )
        ready = time.monotonic()
        patch = json.dumps({"data": {"LOG_LEVEL": "debug"}})
        cluster.kubectl("-n", namespace, "patch", "configmap", "app", "--type=merge", "-p", patch)

        def succeeded() -> bool:
            return argo.phases(cluster, namespace) == ["Succeeded"]

        wait_for(succeeded, 60, "one Workflow, Succeeded")
        tell(
            f"EventSource ready {ready - started:.1f} s after apply, "
            f"Workflow Succeeded {time.monotonic() - ready:.1f} s after the change"
        )
        workflow = argo.workflows(cluster, namespace)[0]
        assert argo.parameters(workflow) == {
            "configmap": f"{namespace}/app",
            "change": "Modified",
            "changed": '["data.LOG_LEVEL"]',
            "data": '{"GREETING":"hello","LOG_LEVEL":"debug"}',
        }
        assert workflow["metadata"]["labels"]["workflows.argoproj.io/workflow-event-binding"] == "app-config"

        def shown() -> str:
            table = cluster.kubectl("-n", namespace, "get", "evs")
            head, row = (line.split() for line in table.splitlines())
            columns = dict(zip(head, row, strict=False))
            assert columns["READY"] == "True"
            assert (columns["BINDINGS"], columns["DELIVERED"], columns["FAILED"]) == ("1", "1", "0")
            return table

        for line in wait_for(shown, 10, "kubectl get evs to tell the story").splitlines():
            tell(line)
        if begun:
            lasted = time.monotonic() - begun
            tell(f"from no cluster to this table: {lasted:.0f} s")
            assert lasted < FROM_NOTHING_SECONDS
        # A label is not a new configuration: nothing more is sent.
        cluster.kubectl("-n", namespace, "label", "configmap", "app", "team=shop")
        patch = json.dumps({"data": {"LOG_LEVEL": "warn"}})
        cluster.kubectl("-n", namespace, "patch", "configmap", "app", "--type=merge", "-p", patch)
        wait_for(
            lambda: len(argo.workflows(cluster, namespace)) == 2, 30, "a second Workflow, for the data alone"
        )
    assert operator == OPERATOR


def test_one_replica_leads_and_both_are_ready(cluster: Cluster, operator: str) -> None:
    pods = cluster.get("-n", operator, "pods", "-l", "app.kubernetes.io/component=operator")["items"]
    assert len(pods) == 2
    assert all(pod["status"]["containerStatuses"][0]["ready"] for pod in pods)
    assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in pods] == [0, 0]
    leader = cluster.leader()
    assert sum(leader.startswith(pod["metadata"]["name"]) for pod in pods) == 1, leader
    gauges = [metric(cluster, pod["metadata"]["name"], "eventsource_operator_leader") for pod in pods]
    assert sorted(gauges) == [0.0, 1.0]


def metric(cluster: Cluster, pod: str, name: str) -> float:
    """A metric without labels, read as Prometheus reads it."""
    text = cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{OPERATOR}/pods/{pod}:8080/proxy/metrics")
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def test_the_pods_are_restricted_and_the_image_holds_nothing_to_attack_with(
    cluster: Cluster, operator: str, tell: Tell
) -> None:
    namespace = cluster.get("namespace", operator)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    program = LOOK_AROUND.read_text()
    found = json.loads(
        cluster.kubectl("-n", operator, "exec", f"deploy/{operator}", "--", "python3", "-c", program)
    )
    assert found["uid"] == 65532
    assert found["writable"] == []
    assert (found["programs"], found["pip"], found["setuid"]) == ([], [], [])
    with pytest.raises(CommandError):
        cluster.kubectl("-n", operator, "exec", "deploy/" + operator, "--", "sh", "-c", "true")
    tell(f"image: {found['size'] / 1e6:.0f} MB of files")
    tell(f"Debian packages: {' '.join(found['debian'])}")
    tell(f"Python packages: {', '.join(found['python'])}")


@pytest.mark.parametrize("directory", ["base", "overlays/all-namespaces", "overlays/namespaced"])
def test_the_api_server_accepts_the_manifests(cluster: Cluster, operator: str, directory: str) -> None:  # noqa: ARG001
    output = cluster.kubectl("apply", "--dry-run=server", "-k", f"manifests/{directory}")
    assert "deployment.apps/eventsource-operator" in output


@pytest.mark.parametrize("sets", [[], ["rbac.sendEverywhere=true"], ["allNamespaces=false"]], ids=str)
def test_the_api_server_accepts_the_chart(cluster: Cluster, operator: str, sets: list[str]) -> None:
    rendered = render.dump(render.helm(*sets, release="second", namespace=operator))
    output = cluster.kubectl("-n", operator, "apply", "--dry-run=server", "-f", "-", stdin=rendered)
    assert "deployment.apps/second-eventsource-operator" in output
    assert "violate" not in output
