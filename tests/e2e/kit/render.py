"""What kustomize and Helm make of the manifests, in a form in which the two can be compared."""

import json
import subprocess
from typing import Any

import yaml

from tests.e2e.kit.cluster import OPERATOR, ROOT
from tools.controlplane import build

CHART = ROOT / "manifests/helm/eventsource-operator"
KUBERNETES = "1.35.4"
Objects = dict[tuple[str, str], dict[str, Any]]


def run(program: str, *args: str) -> str:
    """Runs a pinned binary and returns its output.

    Raises:
        AssertionError: it failed.
    """
    group = "helm" if program == "helm" else "plane"
    done = subprocess.run(
        [build.ensure((group,)) / program, *args], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, f"{program} {' '.join(args)}\n{done.stdout}{done.stderr}"
    return done.stdout


def kustomize(directory: str) -> list[dict[str, Any]]:
    """The objects that `kubectl apply -k` would send."""
    return [item for item in yaml.safe_load_all(run("kubectl", "kustomize", str(ROOT / directory))) if item]


def helm(
    *sets: str, namespace: str = OPERATOR, release: str = OPERATOR, crds: bool = True
) -> list[dict[str, Any]]:
    """The objects that `helm install` would send."""
    args = ["template", release, str(CHART), "--namespace", namespace, "--kube-version", KUBERNETES]
    args += ["--include-crds"] if crds else []
    for value in sets:
        args += ["--set", value]
    return [item for item in yaml.safe_load_all(run("helm", *args)) if item]


def comparable(objects: list[dict[str, Any]], namespace: str) -> Objects:
    """By kind and name, without what the two say about themselves.

    Dropped are the Namespace, which Helm leaves to its user, and the labels that name the tool, chart and
    release. A namespace that an object does not say is the one that it is installed into.
    """
    result: Objects = {}
    for original in objects:
        item = json.loads(json.dumps(original))
        if item["kind"] == "Namespace":
            continue
        metadata = item["metadata"]
        metadata["labels"] = {
            name: value
            for name, value in metadata.get("labels", {}).items()
            if not name.startswith(("helm.sh/", "app.kubernetes.io/"))
            or name in {"app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/part-of"}
        }
        if item["kind"] == "CustomResourceDefinition":
            metadata["labels"] = {}
            item["spec"] = one_spaced(item["spec"])
        if not item["kind"].startswith("Cluster") and item["kind"] != "CustomResourceDefinition":
            metadata.setdefault("namespace", namespace)
        key = (item["kind"], metadata["name"])
        assert key not in result, f"{key} twice"
        result[key] = item
    return result


def one_spaced(value: Any) -> Any:
    """The value with each run of white space in its texts as one space: kustomize folds long lines anew."""
    if isinstance(value, dict):
        return {name: one_spaced(item) for name, item in value.items()}
    if isinstance(value, list):
        return [one_spaced(item) for item in value]
    return " ".join(value.split()) if isinstance(value, str) else value


def differences(left: Any, right: Any, path: str = "") -> list[str]:
    """Each place in which two JSON values differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        return [
            line
            for name in sorted(left.keys() | right.keys(), key=str)
            for line in differences(left.get(name), right.get(name), f"{path}.{name}")
        ]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [
            line
            for index, (one, other) in enumerate(zip(left, right, strict=True))
            for line in differences(one, other, f"{path}[{index}]")
        ]
    return [] if left == right else [f"{path}: {left!r} ≠ {right!r}"]


def dump(objects: list[dict[str, Any]]) -> str:
    """YAML for `kubectl apply -f -`."""
    return str(yaml.safe_dump_all(objects))
