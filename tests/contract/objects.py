"""Templates and bindings of the contract tests, and the Workflows that came of them."""

import functools
from collections.abc import Mapping
from typing import Any

from tests.support.controlplane import wait_for
from tools.controlplane.argo import NAMESPACE, SENDER, SENDER_RULES
from tools.controlplane.rest import Client

ARGO = "/apis/argoproj.io/v1alpha1"


def binding(
    name: str,
    *,
    selector: str = "true",
    template: str | None = "wait",
    workflow_name: str = "",
    parameters: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    cluster_scope: bool = False,
) -> dict[str, Any]:
    """A WorkflowEventBinding; without a template it submits nothing."""
    spec: dict[str, Any] = {"event": {"selector": selector}}
    if template is not None:
        reference = {"name": template} | ({"clusterScope": True} if cluster_scope else {})
        submit: dict[str, Any] = {"workflowTemplateRef": reference}
        if workflow_name:
            submit["metadata"] = {"name": workflow_name}
        if parameters:
            entries = [{"name": key, "valueFrom": {"event": text}} for key, text in parameters.items()]
            submit["arguments"] = {"parameters": entries}
        spec["submit"] = submit
    metadata = {"name": name, "labels": dict(labels or {})}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowEventBinding",
        "metadata": metadata,
        "spec": spec,
    }


def wait_until_allowed(api: Client, namespace: str, account: str, *rights: tuple[str, str]) -> None:
    """Waits until the API server's authorizer has seen a new Role: it answers 403 until then.

    Args:
        api: an administrator's.
        namespace: where the rights are.
        account: the ServiceAccount as `namespace:name`.
        *rights: verbs and resources of `argoproj.io`.
    """

    def allowed(verb: str, resource: str) -> bool:
        attributes = {"namespace": namespace, "verb": verb, "group": "argoproj.io", "resource": resource}
        spec = {"user": f"system:serviceaccount:{account}", "resourceAttributes": attributes}
        review = api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
        return bool(review["status"]["allowed"])

    for verb, resource in rights:
        wait_for(functools.partial(allowed, verb, resource), 10, f"{account} to {verb} {resource}")


def wait_until_sender_allowed(api: Client, namespace: str) -> None:
    """The same for the rights of the session's sender."""
    rights = [
        (verb, resource) for rule in SENDER_RULES for verb in rule["verbs"] for resource in rule["resources"]
    ]
    wait_until_allowed(api, namespace, f"{NAMESPACE}:{SENDER}", *rights)


class Cluster:
    """The Argo objects of one namespace, seen as administrator; `token` is that of a sender."""

    def __init__(self, api: Client, namespace: str, token: str = "") -> None:
        self.api = api
        self.token = token
        self.namespace = namespace
        self._path = f"{ARGO}/namespaces/{namespace}"

    def template(self, name: str = "wait", labels: Mapping[str, str] | None = None) -> None:
        """A WorkflowTemplate that needs no node."""
        spec = {"entrypoint": "wait", "templates": [{"name": "wait", "suspend": {"duration": "0"}}]}
        metadata = {"name": name, "labels": dict(labels or {})}
        manifest = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTemplate",
            "metadata": metadata,
            "spec": spec,
        }
        self.api.request("POST", f"{self._path}/workflowtemplates", manifest)

    def bind(self, *bindings: dict[str, Any]) -> None:
        for manifest in bindings:
            self.api.request("POST", f"{self._path}/workfloweventbindings", manifest)

    def unbind(self, name: str) -> None:
        self.api.request("DELETE", f"{self._path}/workfloweventbindings/{name}")

    def workflows(self) -> dict[str, dict[str, Any]]:
        items = self.api.request("GET", f"{self._path}/workflows")["items"]
        return {str(item["metadata"]["name"]): item for item in items}

    def parameters(self, workflow: str) -> dict[str, str]:
        spec = self.api.request("GET", f"{self._path}/workflows/{workflow}")["spec"]
        return {str(entry["name"]): entry["value"] for entry in spec["arguments"]["parameters"]}

    def warnings(self) -> list[str]:
        items = self.api.request("GET", f"/api/v1/namespaces/{self.namespace}/events")["items"]
        return [str(item["message"]) for item in items if item["reason"] == "WorkflowEventBindingError"]

    def wait_for_workflow(self, name: str) -> None:
        wait_for(lambda: name in self.workflows(), 10, f"Workflow {name}")
