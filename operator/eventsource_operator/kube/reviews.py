"""What somebody else may do: subject access reviews.

A review about one namespace is a LocalSubjectAccessReview, so that an install with
Roles alone can make it (docs/security.md).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from eventsource_operator.core.text import clean, in_namespace
from eventsource_operator.kube.client import KubeClient


@dataclass(frozen=True, slots=True)
class Attributes:
    """One action on one kind of object, as RBAC sees it.

    Attributes:
        verb: `list`, `watch`, `create`, …
        group: API group, empty for the core group.
        resource: Plural name.
        namespace: Where; empty for all namespaces.
        name: One object only; empty for every one.
    """

    verb: str
    group: str
    resource: str
    namespace: str
    name: str = ""

    @property
    def qualified(self) -> str:
        """`resource.group` as kubectl takes it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    def __str__(self) -> str:
        what = f"{self.verb} {self.qualified}" + (f" {self.name}" if self.name else "")
        return f"{what} {in_namespace(self.namespace)}"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account as a subject of RBAC."""

    namespace: str
    name: str

    @property
    def user(self) -> str:
        """Its user name."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that the API server gives to it."""
        return "system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated"


@dataclass(frozen=True, slots=True)
class Review:
    """The API server's verdict; `reason` is for people and may be empty."""

    allowed: bool
    reason: str


async def review(client: KubeClient, user: str, groups: Sequence[str], attributes: Attributes) -> Review:
    """Ask whether a user may do something.

    Raises:
        Forbidden: We may not ask: the operator lacks `create` on (local) subject access reviews.
        KubeError: The API server could not answer.
    """
    wanted = {
        "verb": attributes.verb,
        "group": attributes.group,
        "resource": attributes.resource,
        "namespace": attributes.namespace,
        "name": attributes.name,
    }
    body: dict[str, Any] = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "groups": list(groups), "resourceAttributes": wanted},
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    if attributes.namespace:
        body["kind"] = "LocalSubjectAccessReview"
        body["metadata"] = {"namespace": attributes.namespace}
        namespace = quote(attributes.namespace, safe="")
        path = f"/apis/authorization.k8s.io/v1/namespaces/{namespace}/localsubjectaccessreviews"
    status = (await client.request("POST", path, body=body)).get("status") or {}
    reason = str(status.get("reason") or status.get("evaluationError") or "")
    return Review(bool(status.get("allowed")) and not status.get("denied"), clean(reason, 300))


def grant_hint(attributes: Attributes | Sequence[Attributes], account: ServiceAccount) -> str:
    """The kubectl commands that grant what was denied, joined by `; `.

    Not by `&&`: where only the binding was taken away, its role is still there, and creating that again fails. The
    parts of the role's name are joined by colons, which none of them can hold: two accounts never share a role.

    Args:
        attributes: What was denied; several must differ in their verb only.
        account: Who shall get the right.
    """
    wanted = [attributes] if isinstance(attributes, Attributes) else list(attributes)
    first = wanted[0]
    verbs = list(dict.fromkeys(a.verb for a in wanted))
    words = ["eventsource", account.namespace, account.name, "-".join(verbs), first.qualified, first.name]
    name = ":".join(word for word in words if word)
    kind, where = ("role", ["-n", first.namespace]) if first.namespace else ("clusterrole", [])
    rule = [f"--verb={','.join(verbs)}", f"--resource={first.qualified}"]
    if first.name:
        rule.append(f"--resource-name={first.name}")
    subject = [f"--{kind}={name}", f"--serviceaccount={account.namespace}:{account.name}"]
    return "; ".join(
        shlex.join(["kubectl", "create", *command])
        for command in ([kind, name, *where, *rule], [f"{kind}binding", name, *where, *subject])
    )
