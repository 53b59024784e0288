"""Each sample: applied as its header says, its change made, its Workflow there with the right parameters.

Workflows that need a pod are looked at when they are made: the images that they run are not in this cluster.
"""

import json
from typing import Any

from tests.e2e.kit import argo
from tests.e2e.kit.cluster import Cluster
from tests.support.controlplane import wait_for


def applied(cluster: Cluster, namespace: str, sample: str, source: str) -> None:
    """Applies a sample and waits until its source is ready and bound."""
    cluster.kubectl("-n", namespace, "apply", "-f", argo.sample(sample))
    ready(cluster, namespace, source)


def ready(cluster: Cluster, namespace: str, source: str) -> None:
    """Waits for a source."""
    for condition in ("Ready", "Bound"):
        cluster.kubectl(
            "-n", namespace, "wait", f"--for=condition={condition}", f"eventsource/{source}", "--timeout=60s"
        )


def patch(cluster: Cluster, namespace: str, kind: str, name: str, body: dict[str, Any], *more: str) -> None:
    """A merge patch."""
    cluster.kubectl("-n", namespace, "patch", kind, name, "--type=merge", "-p", json.dumps(body), *more)


def one(cluster: Cluster, namespace: str, selector: str = "") -> dict[str, Any]:
    """The only Workflow, once it is there."""

    def found() -> dict[str, Any]:
        items = argo.workflows(cluster, namespace, selector)
        assert len(items) == 1
        return items[0]

    return wait_for(found, 30, f"one Workflow {selector}")


def with_text(cluster: Cluster, namespace: str, text: str) -> dict[str, Any]:
    """The only Workflow with a text in its parameters, once it is there."""

    def found() -> dict[str, Any]:
        items = [
            item for item in argo.workflows(cluster, namespace) if text in json.dumps(argo.parameters(item))
        ]
        assert len(items) == 1
        return items[0]

    return wait_for(found, 30, f"one Workflow with {text}")


def test_restart_on_config_change(cluster: Cluster, operator: str) -> None:  # noqa: ARG001
    with cluster.namespace("sample-restart") as namespace:
        applied(cluster, namespace, "restart-on-config-change", "restart-on-config-change")
        for currency in ("CHF", "USD", "GBP"):
            patch(cluster, namespace, "configmap", "shop", {"data": {"CURRENCY": currency}})
        parameters = argo.parameters(one(cluster, namespace))  # three edits in a row: one restart
        assert (parameters["deployment"], parameters["cause"]) == ("shop", "ConfigMap/shop")
        assert len(parameters["event"]) == 32


def test_validate_config(cluster: Cluster, operator: str) -> None:  # noqa: ARG001
    with cluster.namespace("sample-validate") as namespace:
        applied(cluster, namespace, "validate-config", "validate-config")
        broken = {"data": {"config.json": '{"timeout": -1}'}}
        patch(cluster, namespace, "configmap", "shop-candidate", broken)
        workflow = with_text(cluster, namespace, "-1")
        assert argo.parameters(workflow)["candidate"] == "shop-candidate"
        assert json.loads(argo.parameters(workflow)["files"]) == {"config.json": '{"timeout": -1}'}
        assert workflow["metadata"]["labels"]["example.com/config"] == "shop-candidate"


def test_sync_on_status(cluster: Cluster, operator: str) -> None:  # noqa: ARG001
    cluster.kubectl("apply", "-f", f"{argo.sample('sync-on-status')}/crd")
    cluster.kubectl("wait", "--for=condition=Established", "crd/databases.samples.eventsource-operator.dev")
    try:
        with cluster.namespace("sample-status") as namespace:
            applied(cluster, namespace, "sync-on-status", "database-phase")
            for status in (
                {"phase": "Pending"},
                {"phase": "Pending", "lastProbeTime": "2026-01-01T00:00:00Z"},
                {"phase": "Ready", "endpoint": "orders:5432"},
                {"phase": "Ready", "lastProbeTime": "2026-01-01T00:00:10Z"},
            ):
                patch(cluster, namespace, "database", "orders", {"status": status}, "--subresource=status")
            workflow = one(cluster, namespace, "example.com/database=orders")
            assert argo.parameters(workflow) == {
                "database": "orders",
                "phase": "Ready",
                "endpoint": "orders:5432",
            }
    finally:
        cluster.kubectl("delete", "-f", f"{argo.sample('sync-on-status')}/crd")
        cluster.kubectl("delete", "clusterrole", "eventsource-operator-watch-databases", "--ignore-not-found")


def test_audit_deletions(cluster: Cluster, operator: str) -> None:  # noqa: ARG001
    with cluster.namespace("sample-audit") as namespace:
        applied(cluster, namespace, "audit-deletions", "audit-deletions")
        cluster.kubectl("-n", namespace, "delete", "configmap", "important")
        parameters = argo.parameters(one(cluster, namespace, "example.com/audit=deleted"))
        assert parameters["resource"] == f"configmaps/{namespace}/important"
        assert json.loads(parameters["lastState"])["data"] == {"owner": "accounting"}


def test_release_per_deployment(cluster: Cluster, operator: str) -> None:  # noqa: ARG001
    cluster.kubectl(
        "create",
        "clusterrole",
        "e2e-watch-deployments",
        "--verb=get,list,watch",
        "--resource=deployments.apps",
    )
    cluster.kubectl(
        "label", "clusterrole", "e2e-watch-deployments", "eventsource-operator.dev/aggregate-to-watcher=true"
    )
    try:
        with cluster.namespace("sample-release") as namespace:
            applied(cluster, namespace, "release-per-deployment", "deployment-released")
            cluster.kubectl("-n", namespace, "scale", "deployment/web", "--replicas=0")  # no release
            cluster.kubectl("-n", namespace, "set", "env", "deployment/web", "VERSION=2")
            workflow = one(cluster, namespace, "example.com/deployment=web,example.com/revision=2")
            uid = cluster.get("-n", namespace, "deployment", "web")["metadata"]["uid"]
            assert workflow["metadata"]["name"] == f"release-{uid}-2"
            assert argo.parameters(workflow) == {
                "deployment": "web",
                "revision": "2",
                "images": '["registry.k8s.io/pause:3.10"]',
            }
    finally:
        cluster.kubectl("delete", "clusterrole", "e2e-watch-deployments")


def test_broadcast(cluster: Cluster, operator: str) -> None:  # noqa: ARG001
    cluster.kubectl("apply", "-f", argo.sample("broadcast"))
    try:
        ready(cluster, "platform", "base-settings")
        patch(cluster, "platform", "configmap", "base-settings", {"data": {"proxy": "proxy-b:3128"}})
        for team in ("team-a", "team-b"):
            workflow = with_text(cluster, team, "proxy-b")
            assert argo.parameters(workflow) == {"settings": '{"proxy":"proxy-b:3128"}'}
    finally:
        cluster.kubectl("delete", "-f", argo.sample("broadcast"), "--wait=false")
