"""The chart, installed, changed and taken away by Helm itself."""

import json

from tests.e2e.kit import render
from tests.e2e.kit.cluster import Cluster
from tests.support.controlplane import wait_for

RELEASE = "second"
NAME = f"{RELEASE}-eventsource-operator"


def helm(cluster: Cluster, *args: str) -> str:
    return render.run("helm", "--kubeconfig", str(cluster.kubeconfig), *args)


def test_install_upgrade_uninstall(cluster: Cluster, operator: str) -> None:  # noqa: ARG001 - brings the CRDs
    with cluster.namespace("helm") as namespace:
        options = (
            RELEASE,
            str(render.CHART),
            "-n",
            namespace,
            "--set",
            "allNamespaces=false",
            "--wait",
            "--timeout=90s",
        )
        notes = helm(cluster, "install", *options, "--skip-crds")
        assert "argo-server-ca" in notes
        deployment = cluster.get("-n", namespace, "deployment", NAME)
        assert deployment["status"]["readyReplicas"] == 2

        helm(cluster, "upgrade", *options, "--set", "config.logLevel=DEBUG", "--set", "replicas=1")
        assert cluster.get("-n", namespace, "configmap", f"{NAME}-config")["data"] == {"logLevel": "DEBUG"}

        helm(cluster, "uninstall", RELEASE, "-n", namespace, "--wait")

        def left() -> list[str]:
            objects = cluster.get(
                "-n", namespace, "all,roles,rolebindings,configmaps,serviceaccounts,networkpolicies,pdb"
            )["items"]
            names = [f"{item['kind']}/{item['metadata']['name']}" for item in objects]
            return [name for name in names if RELEASE in name]

        wait_for(lambda: left() == [], 60, f"nothing of the release to be left: {json.dumps(left())}")
        assert "eventsources.eventsource-operator.dev" in cluster.kubectl("get", "crds", "-o", "name")
