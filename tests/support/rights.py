"""What an EventSource needs and what it has: the cases of the authorization matrix, and what must come of each.

The expectation is written out from the contract of docs/security.md ("Boundaries"), not from the
product's own functions.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tools.controlplane.plane import ControlPlane

Rights = Literal["none", "list", "watch", "role", "cluster"]
Policy = Literal["default", "strict"]


class Kind(NamedTuple):
    """A kind to watch, and how RBAC calls it."""

    api_version: str
    kind: str
    qualified: str
    namespaced: bool = True


KINDS = {
    "ConfigMap": Kind("v1", "ConfigMap", "configmaps"),
    "Secret": Kind("v1", "Secret", "secrets"),
    "WorkflowTemplate": Kind("argoproj.io/v1alpha1", "WorkflowTemplate", "workflowtemplates.argoproj.io"),
    "PriorityClass": Kind(
        "scheduling.k8s.io/v1", "PriorityClass", "priorityclasses.scheduling.k8s.io", False
    ),
}
TARGETS = ("own", "other", "selector", "all")
SENDS = ("own", "other", "broadcast")
RIGHTS: tuple[Rights, ...] = ("none", "list", "watch", "role", "cluster")
SEND_RIGHTS: tuple[Rights, ...] = ("none", "role", "cluster")
POLICIES: tuple[Policy, ...] = ("default", "strict")


@dataclass(frozen=True, slots=True)
class Case:
    """One row: where it watches what with which rights, and where it sends with which.

    `rights` are those of the service account: `list` and `watch` one verb by Roles, `role` both by Roles in each of
    the target's namespaces (for `all`: in both that exist here), `cluster` both by a ClusterRole bound cluster-wide.
    """

    policy: Policy = "default"
    target: str = "own"
    kind: str = "ConfigMap"
    rights: Rights = "none"
    send: str = "own"
    send_rights: Rights = "none"

    def __str__(self) -> str:
        return f"{self.policy}-{self.target}-{self.kind}-{self.rights}-{self.send}-{self.send_rights}".lower()


class Missing(NamedTuple):
    """One sentence of `Authorized=False`: verbs that are missing, on what, where (empty: everywhere), what for."""

    purpose: str
    verbs: tuple[str, ...]
    qualified: str
    namespace: str

    def told(self, account: str) -> str:
        """The sentence, for a service account `namespace:name`."""
        namespace, name = account.split(":")
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        role = f"eventsource:{account}:{'-'.join(self.verbs)}:{self.qualified}"
        kind, at = ("role", f" -n {self.namespace}") if self.namespace else ("clusterrole", "")
        return (
            f"to {self.purpose}, service account {namespace}/{name} needs to {' and '.join(self.verbs)} "
            f"{self.qualified} {where}: "
            f"kubectl create {kind} {role}{at} --verb={','.join(self.verbs)} --resource={self.qualified}; "
            f"kubectl create {kind}binding {role}{at} --{kind}={role} --serviceaccount={account}"
        )


def namespaces_of(case: Case, own: str, other: str) -> tuple[str, ...]:
    """Where the target reads; the selector matches both, and an empty name stands for everywhere."""
    if not KINDS[case.kind].namespaced or case.target == "all":
        return ("",)
    return {"own": (own,), "other": (other,), "selector": tuple(sorted((own, other)))}[case.target]


def expected(case: Case, own: str, other: str) -> list[Missing]:
    """What must be told as missing; empty: the source is authorized."""
    found = []
    to = {"own": own, "other": other, "broadcast": ""}[case.send]
    exempt = case.send == "own" and case.policy == "default"
    granted = case.send_rights == "cluster" or (case.send_rights == "role" and to != "")
    if not exempt and not granted:
        found.append(Missing("send events", ("create",), "workflows.argoproj.io", to))
    kind = KINDS[case.kind]
    for namespace in namespaces_of(case, own, other):
        own_objects = namespace == own and case.kind != "Secret" and case.policy == "default"
        if own_objects or case.rights == "cluster":
            continue
        by_role = {"role": {"list", "watch"}, "list": {"list"}, "watch": {"watch"}}.get(case.rights, set())
        has = by_role if namespace else set()
        verbs = tuple(verb for verb in ("list", "watch") if verb not in has)
        if verbs:
            found.append(Missing(f"watch {kind.qualified}", verbs, kind.qualified, namespace))
    return found


def spec_of(case: Case, other: str, label: str) -> dict[str, Any]:
    """`watch` and `event` of the EventSource's spec."""
    kind = KINDS[case.kind]
    watch: dict[str, Any] = {"apiVersion": kind.api_version, "kind": kind.kind}
    where: dict[str, Any] = {
        "other": {"names": [other]},
        "selector": {"selector": {"matchLabels": {label: "yes"}}},
        "all": {"all": True},
    }
    if kind.namespaced and case.target in where:
        watch["namespaces"] = where[case.target]
    to: dict[str, dict[str, Any]] = {
        "own": {},
        "other": {"namespace": other},
        "broadcast": {"broadcast": True},
    }
    return {"watch": [watch], "event": to[case.send]}


def grants(case: Case, own: str, other: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
    """What the service account is given: resource, verbs, namespace (empty: cluster-wide)."""
    kind = KINDS[case.kind]
    verbs = (case.rights,) if case.rights in {"list", "watch"} else ("list", "watch")
    if case.rights == "cluster":
        yield kind.qualified, verbs, ""
    elif case.rights != "none":
        where = namespaces_of(case, own, other)
        for namespace in (own, other) if where == ("",) else where:
            yield kind.qualified, verbs, namespace
    if case.send_rights == "cluster":
        yield "workflows.argoproj.io", ("create",), ""
    elif case.send_rights == "role":
        for namespace in {"own": (own,), "other": (other,), "broadcast": (own, other)}[case.send]:
            yield "workflows.argoproj.io", ("create",), namespace


def run_as_printed(plane: ControlPlane, message: str) -> None:
    """Gives the commands of a message to a shell, as an administrator would."""
    for command in re.findall(r"kubectl create .*?(?=; to |$)", message):
        path = f"{plane.binaries}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        environment = plane.environment() | {"KUBECONFIG": str(plane.kubeconfig), "PATH": path}
        done = subprocess.run(
            ["sh", "-c", command], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"  # the last of its commands worked
