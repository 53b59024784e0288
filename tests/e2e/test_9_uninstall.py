"""Taking it away, in any order: no object is left that waits for somebody who is gone."""

import json
from collections.abc import Callable

import pytest

from tests.e2e.kit import argo
from tests.e2e.kit.cluster import OPERATOR, Cluster
from tests.e2e.kit.installation import install
from tests.support.controlplane import wait_for

NAMESPACE = "uninstall"
CRDS = ("eventsources.eventsource-operator.dev", "eventsourcecheckpoints.eventsource-operator.dev")
Step = Callable[[Cluster], None]


def delete(*args: str) -> Step:
    """A step: delete, and wait until it is gone."""

    def step(cluster: Cluster) -> None:
        cluster.kubectl("delete", *args, "--ignore-not-found", "--timeout=60s", timeout=90)

    return step


operator_away = delete("-n", OPERATOR, "deployment", OPERATOR)
sources_away = delete("-n", NAMESPACE, "eventsources", "--all")
watched_away = delete("-n", NAMESPACE, "configmap", "app")
tenant_away = delete("namespace", NAMESPACE)
crds_away = delete("crd", *CRDS)
all_away = delete("-k", "manifests/base")


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([all_away, tenant_away], id="all-at-once"),
        pytest.param(
            [operator_away, sources_away, watched_away, crds_away, all_away, tenant_away], id="operator-first"
        ),
        pytest.param([crds_away, watched_away, tenant_away, all_away], id="crds-first"),
        pytest.param([tenant_away, operator_away, crds_away, all_away], id="tenant-first"),
    ],
)
def test_nothing_is_stuck(cluster: Cluster, operator: str, steps: list[Step]) -> None:  # noqa: ARG001
    install(cluster)
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    cluster.kubectl("-n", NAMESPACE, "apply", "-f", argo.sample("quickstart"))
    cluster.kubectl(
        "-n", NAMESPACE, "wait", "--for=condition=Ready", "eventsource/app-config", "--timeout=60s"
    )
    patch = json.dumps({"data": {"LOG_LEVEL": "debug"}})
    cluster.kubectl("-n", NAMESPACE, "patch", "configmap", "app", "--type=merge", "-p", patch)
    wait_for(lambda: argo.workflows(cluster, NAMESPACE), 30, "a Workflow")
    source = cluster.get("-n", NAMESPACE, "eventsource", "app-config")
    watched = cluster.get("-n", NAMESPACE, "configmap", "app")
    assert [item["metadata"].get("finalizers") for item in (source, watched)] == [None, None]

    for step in steps:
        step(cluster)

    left = cluster.kubectl("get", "crd", "-o", "name")
    assert "eventsource-operator.dev" not in left.replace("samples.eventsource-operator.dev", "")
    namespaces = cluster.kubectl("get", "namespaces", "-o", "name").split()
    assert not {f"namespace/{NAMESPACE}", f"namespace/{OPERATOR}"} & set(namespaces)
    roles = cluster.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
    assert [line for line in roles.splitlines() if "eventsource-operator" in line] == []
