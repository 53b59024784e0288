"""The manifests without a cluster: kustomize and Helm say the same, and neither says more than it should."""

from typing import Any

import pytest

from tests.e2e.kit import render
from tests.e2e.kit.cluster import OPERATOR, ROOT
from tests.e2e.kit.telling import Tell

MONITORING = [f"monitoring.{part}.enabled=true" for part in ("podMonitor", "rules", "dashboard")]


@pytest.mark.parametrize(
    ("directory", "namespace", "sets"),
    [
        ("manifests/base", OPERATOR, []),
        ("manifests/overlays/all-namespaces", OPERATOR, ["rbac.sendEverywhere=true"]),
        ("manifests/overlays/monitoring", OPERATOR, MONITORING),
        ("manifests/overlays/namespaced", "argo", ["allNamespaces=false"]),
    ],
)
def test_helm_and_kustomize_render_the_same(
    directory: str, namespace: str, sets: list[str], tell: Tell
) -> None:
    crds = directory != "manifests/overlays/namespaced"  # there an admin has installed them before
    from_kustomize = render.comparable(render.kustomize(directory), namespace)
    from_helm = render.comparable(render.helm(*sets, namespace=namespace, crds=crds), namespace)
    assert sorted(from_helm) == sorted(from_kustomize)
    assert [
        f"{key} {line}"
        for key in from_helm
        for line in render.differences(from_kustomize[key], from_helm[key])
    ] == []
    tell(f"{directory} and the chart: {len(from_helm)} objects, no difference")


def test_the_chart_is_in_order() -> None:
    assert "0 chart(s) failed" in render.run("helm", "lint", "--strict", str(render.CHART))


def test_the_chart_brings_the_crds_of_this_checkout_and_nothing_else_of_that_folder() -> None:
    kinds = [item["kind"] for item in render.helm() if item["apiVersion"].startswith("apiextensions")]
    assert kinds == ["CustomResourceDefinition"] * 2


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("replicas=two", "replicas"),
        ("config.argoSever=https://x", "argoSever"),
        ("argoServer.url=argo-server:2746", "url"),
        ("image.digest=sha256:abc", "digest"),
        ("nothing.like.it=1", "nothing"),
    ],
)
def test_a_wrong_value_is_refused_by_name(value: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        render.helm(value)


def test_every_value_that_is_offered_is_used() -> None:
    rendered = render.dump(
        render.helm(
            "replicas=3", "image.digest=sha256:" + "a" * 64, "config.maxConcurrency=8", "podLabels.team=x",
            "podAnnotations.a=b", "nodeSelector.disk=ssd", "priorityClassName=high", "metricsPort=9090",
            "extraArgs={--log-level=DEBUG}", "argoServer.allow={https://other:2746}", "logFormat=text",
            "networkPolicy.egressPorts={8443}", "imagePullSecrets[0].name=pull", "tolerations[0].key=spot",
            "serviceAccount.annotations.role=r", "terminationGracePeriodSeconds=90",
            "rbac.watch[0].apiGroups={apps}", "rbac.watch[0].resources={deployments}",
            "extraEnv[0].name=TZ", "extraEnv[0].value=UTC",
        )
    )  # fmt: skip
    for expected in (
        "replicas: 3", "sha256:aaaa", "maxConcurrency: '8'", "team: x", "a: b", "disk: ssd", "name: TZ",
        "priorityClassName: high", "--log-level=DEBUG", "--allow-server=https://other:2746", "port: 8443",
        "--metrics-port=9090", "name: pull", "role: r", "--log-format=text", "key: spot",
        "terminationGracePeriodSeconds: 90", "- deployments",
    ):  # fmt: skip
        assert expected in rendered


def test_a_namespaced_installation_has_roles_alone() -> None:
    for objects in (
        render.kustomize("manifests/overlays/namespaced"),
        render.helm("allNamespaces=false", namespace="argo", crds=False),
    ):
        assert [item["kind"] for item in objects if item["kind"].startswith("Cluster")] == []
        assert {item["metadata"].get("namespace", "argo") for item in objects} == {"argo"}


def rules_of(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        rule
        for item in objects
        if item["kind"] in {"Role", "ClusterRole"}
        for rule in item.get("rules") or []
    ]


@pytest.mark.parametrize(
    "directory", ["manifests/base", "manifests/overlays/namespaced", "manifests/overlays/all-namespaces"]
)
def test_no_right_is_a_wildcard_and_none_reaches_secrets_unasked(directory: str) -> None:
    objects = render.kustomize(directory)
    for rule in rules_of(objects):
        for field in ("apiGroups", "resources", "verbs"):
            assert "*" not in rule[field], rule
    bound = {item["roleRef"]["name"] for item in objects if item["kind"].endswith("RoleBinding")}
    granted = rules_of([item for item in objects if item["metadata"]["name"] in bound])
    assert [rule for rule in granted if "secrets" in rule["resources"]] == []


def test_every_alert_has_its_paragraph_in_the_docs() -> None:
    alerts = {
        rule["alert"]
        for item in render.kustomize("manifests/monitoring")
        if item["kind"] == "PrometheusRule"
        for group in item["spec"]["groups"]
        for rule in group["rules"]
    }
    text = (ROOT / "docs/operations.md").read_text()
    assert {alert for alert in alerts if f"\n### {alert}\n" not in text} == set()
