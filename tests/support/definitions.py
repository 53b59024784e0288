"""CustomResourceDefinitions of kinds that tests bring along."""

import json
from typing import Any

ANYTHING: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
"""A schema that takes every object, and keeps what is in it."""


def definition(
    group: str, kind: str, properties: dict[str, Any] | None = None, *, with_status: bool = False
) -> str:
    """The manifest of a namespaced kind with one version, `v1`.

    Args:
        group: its API group.
        kind: its name in the singular, as `Widget`; with an `s` it is the plural, and the path of its objects.
        properties: schemas of an object's fields, all others are pruned; None keeps whatever an object holds.
        with_status: whether `status` is a subresource, as EventSource's is.
    """
    schema = ANYTHING if properties is None else {"type": "object", "properties": properties}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    if with_status:
        version["subresources"] = {"status": {}}
    singular = kind.lower()
    plural = f"{singular}s"
    manifest = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": singular},
            "versions": [version],
        },
    }
    return json.dumps(manifest)
