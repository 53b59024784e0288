"""What Argo needs in the cluster before its servers start, and what a sender of events may do."""

from typing import Any

from tools.controlplane.rest import Client, HttpError

NAMESPACE = "argo"
SENDER = "event-sender"
CONFLICT = 409
SENDER_RULES: list[dict[str, list[str]]] = [
    {"apiGroups": ["argoproj.io"], "resources": ["workfloweventbindings"], "verbs": ["list"]},
    {"apiGroups": ["argoproj.io"], "resources": ["workflowtemplates"], "verbs": ["get"]},
    {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create"]},
]
"""The least that `receive_event` needs in the namespace of the bindings."""
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def create(api: Client, path: str, manifest: dict[str, Any]) -> None:
    """Creates an object unless it exists."""
    try:
        api.request("POST", path, manifest)
    except HttpError as error:
        if error.status != CONFLICT:
            raise


def create_namespace(api: Client, name: str) -> None:
    """Creates a namespace unless it exists."""
    create(api, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def create_service_account(api: Client, namespace: str, name: str) -> None:
    """Creates a ServiceAccount unless it exists (without kube-controller-manager nobody makes `default`)."""
    manifest = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace},
    }
    create(api, f"/api/v1/namespaces/{namespace}/serviceaccounts", manifest)


def service_account_token(api: Client, namespace: str, name: str, seconds: int) -> str:
    """Asks the API server for a token of a ServiceAccount (TokenRequest)."""
    create_service_account(api, namespace, name)
    answer = api.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        },
    )
    return str(answer["status"]["token"])


def allow_sending(api: Client, namespace: str, subject: str = f"{NAMESPACE}:{SENDER}") -> None:
    """Lets a ServiceAccount, given as `namespace:name`, send events to a namespace."""
    subject_namespace, subject_name = subject.split(":")
    name = f"send-events-{subject_namespace}-{subject_name}"
    metadata = {"name": name, "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": SENDER_RULES}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": subject_name, "namespace": subject_namespace}],
    }
    create(api, f"{RBAC}/namespaces/{namespace}/roles", role)
    create(api, f"{RBAC}/namespaces/{namespace}/rolebindings", binding)


def prepare(api: Client) -> None:
    """Namespace, controller configuration and sender of a new control plane (the CRDs are applied apart)."""
    create_namespace(api, NAMESPACE)
    configuration = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "workflow-controller-configmap", "namespace": NAMESPACE},
        "data": {"metricsConfig": "enabled: false\n", "telemetryConfig": "enabled: false\n"},
    }  # the metrics' port is fixed, and two control planes must run side by side
    create(api, f"/api/v1/namespaces/{NAMESPACE}/configmaps", configuration)
    create_service_account(api, NAMESPACE, "default")
    create_service_account(api, NAMESPACE, SENDER)
    allow_sending(api, NAMESPACE)
    cluster_templates = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": SENDER},
        "rules": [
            {"apiGroups": ["argoproj.io"], "resources": ["clusterworkflowtemplates"], "verbs": ["get"]}
        ],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": SENDER},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": SENDER},
        "subjects": [{"kind": "ServiceAccount", "name": SENDER, "namespace": NAMESPACE}],
    }
    create(api, f"{RBAC}/clusterroles", cluster_templates)
    create(api, f"{RBAC}/clusterrolebindings", binding)
