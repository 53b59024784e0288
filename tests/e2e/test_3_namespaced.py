"""The installation for one namespace: Roles alone, and not a right more than the docs list."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.e2e.kit import argo
from tests.e2e.kit.cluster import OPERATOR, ROOT, Cluster
from tests.e2e.kit.installation import trust
from tests.support.controlplane import wait_for

NAMESPACE = argo.NAMESPACE
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{OPERATOR}"
Right = tuple[str, str, str]


@pytest.fixture(scope="module")
def namespaced(cluster: Cluster, operator: str) -> Iterator[str]:
    """`kubectl apply -k manifests/overlays/namespaced`, while the operator for all namespaces rests."""
    cluster.kubectl("-n", operator, "scale", f"deployment/{operator}", "--replicas=0")
    cluster.kubectl("apply", "-k", "manifests/overlays/namespaced")
    trust(cluster, NAMESPACE)
    cluster.rolled_out(NAMESPACE, OPERATOR)
    yield NAMESPACE
    cluster.kubectl("delete", "-k", "manifests/overlays/namespaced", "--wait=false")
    cluster.kubectl("-n", operator, "scale", f"deployment/{operator}", "--replicas=2")
    cluster.rolled_out(operator, operator)


def rights(cluster: Cluster, namespace: str, account: str) -> set[Right]:
    """What `kubectl auth can-i --list` shows, one (verb, resource, name) each; URLs left out."""
    table = cluster.kubectl("auth", "can-i", "--list", f"--as={account}", "-n", namespace)
    found: set[Right] = set()
    for line in table.splitlines()[1:]:
        resource, _, rest = line.partition(" ")
        columns = re.fullmatch(r"\s*\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]\s*", rest)
        assert columns is not None, line
        if resource:
            found |= {
                (verb, resource, name) for verb in columns[3].split() for name in columns[2].split() or [""]
            }
    return found


def documented() -> set[Right]:
    """The table of docs/install.md#rights-of-a-namespaced-installation."""
    text = (ROOT / "docs/install.md").read_text()
    section = text.split("### Rights of a namespaced installation", 1)[1].split("\n#", 1)[0]
    rows = re.findall(r"^\| `([^`]+)` \|([^|]*)\|([^|]*)\|", section, re.MULTILINE)
    return {
        (verb, resource, name.strip(" `"))
        for resource, name, verbs in rows
        for verb in verbs.replace(",", " ").split()
    }


def test_its_account_may_do_what_the_docs_list_and_nothing_else(cluster: Cluster, namespaced: str) -> None:
    anybody = rights(cluster, namespaced, f"system:serviceaccount:{namespaced}:default")
    its_own = rights(cluster, namespaced, ACCOUNT) - anybody
    assert its_own == documented()
    elsewhere = rights(cluster, "default", ACCOUNT)
    assert elsewhere == rights(cluster, "default", "system:serviceaccount:default:default")


def test_it_does_the_job(cluster: Cluster, namespaced: str) -> None:
    cluster.kubectl("-n", namespaced, "apply", "-f", argo.sample("quickstart"))
    try:
        for condition in ("Ready", "Bound"):
            cluster.kubectl(
                "-n",
                namespaced,
                "wait",
                f"--for=condition={condition}",
                "eventsource/app-config",
                "--timeout=60s",
            )
        patch = json.dumps({"data": {"LOG_LEVEL": "trace"}})
        cluster.kubectl("-n", namespaced, "patch", "configmap", "app", "--type=merge", "-p", patch)
        wait_for(
            lambda: argo.phases(cluster, namespaced) == ["Succeeded"],
            60,
            "the Workflow, Succeeded",
        )
    finally:
        cluster.kubectl("-n", namespaced, "delete", "-f", argo.sample("quickstart"), "--wait=false")
        cluster.kubectl("-n", namespaced, "delete", "workflows", "--all", "--wait=false")


def test_what_lies_beyond_its_namespace_is_refused_in_words(cluster: Cluster, namespaced: str) -> None:
    source = {
        "apiVersion": "eventsource-operator.dev/v1alpha1",
        "kind": "EventSource",
        "metadata": {"name": "too-far", "namespace": namespaced},
        "spec": {"watch": [{"kind": "ConfigMap", "namespaces": {"names": ["default"]}}]},
    }
    cluster.apply(source)
    try:

        def told() -> str:
            status = cluster.get("-n", namespaced, "eventsource", "too-far").get("status", {})
            conditions = {item["type"]: item for item in status.get("conditions", [])}
            assert conditions["Ready"]["status"] == "False"
            message = " ".join(
                str(item["message"]) for item in conditions.values() if item["status"] != "True"
            )
            assert "default" in message
            assert "configmaps" in message
            return message

        wait_for(told, 30, "the refusal")
    finally:
        cluster.kubectl("-n", namespaced, "delete", "eventsource", "too-far")
