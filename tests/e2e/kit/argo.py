"""Argo Workflows in the cluster: the Argo Server behind TLS and the workflow-controller, as pods."""

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.kit.cluster import Cluster
from tools.controlplane import build

NAMESPACE = "argo"
SERVER = "argo-server"
CA_CONFIG_MAP = "argo-server-ca"
TLS_SECRET = "argo-server-tls"
PATIENT = {"periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 30}
"""A busy machine must not take a server out of its Service."""
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def install(cluster: Cluster, image: str) -> None:
    """Installs Argo's CRDs, the Argo Server and the controller, and waits until they are ready."""
    for crd in sorted((build.ensure(("plane",)) / build.ARGO_CRDS).iterdir()):
        cluster.kubectl("apply", "--server-side", "-f", str(crd))
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    _certified(cluster)
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "argo", "namespace": NAMESPACE}},
        # Argo's own rights are not what is tested here; the sender's are, and they are the operator's.
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "argo"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [{"kind": "ServiceAccount", "name": "argo", "namespace": NAMESPACE}],
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "workflow-controller-configmap", "namespace": NAMESPACE},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": SERVER, "namespace": NAMESPACE},
            "spec": {"selector": {"app": SERVER}, "ports": [{"port": 2746, "targetPort": 2746}]},
        },
        _deployment(
            SERVER,
            image,
            [
                "/bin/argo",
                "server",
                "--auth-mode=client",
                "--secure",
                f"--tls-certificate-secret-name={TLS_SECRET}",
            ],
            {"httpGet": {"path": "/", "port": 2746, "scheme": "HTTPS"}},
        ),
        _deployment(
            "workflow-controller",
            image,
            ["/bin/workflow-controller", "--executor-image=none", "--qps=200", "--burst=400"],
            {"httpGet": {"path": "/healthz", "port": 6060}},
        ),
    )
    for deployment in (SERVER, "workflow-controller"):
        cluster.rolled_out(NAMESPACE, deployment)


def _certified(cluster: Cluster) -> None:
    """Gives the Argo Server its certificate, once: in a kept cluster it runs on and would not read another."""
    if cluster.kubectl("-n", NAMESPACE, "get", "secret", TLS_SECRET, "--ignore-not-found", "-o", "name"):
        return
    key, chain = certificates()
    data = {name: base64.b64encode(value).decode() for name, value in (("tls.key", key), ("tls.crt", chain))}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": TLS_SECRET, "namespace": NAMESPACE},
            "data": data,
        }
    )


def certificate(cluster: Cluster) -> str:
    """The Argo Server's certificate, which is its own CA."""
    secret = cluster.get("-n", NAMESPACE, "secret", TLS_SECRET)
    return base64.b64decode(secret["data"]["tls.crt"]).decode()


def certificates() -> tuple[bytes, bytes]:
    """A key and a certificate for the Argo Server's Service names, valid for a day; its own CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVER)])
    now = dt.datetime.now(dt.UTC)
    names = [f"{SERVER}.{NAMESPACE}.svc", f"{SERVER}.{NAMESPACE}.svc.cluster.local"]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns) for dns in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, signed.public_bytes(serialization.Encoding.PEM)


def _deployment(name: str, image: str, command: list[str], probe: dict[str, Any]) -> dict[str, Any]:
    labels = {"app": name}
    container = {
        "name": name,
        "image": image,
        "command": command,
        "env": [
            {"name": "LEADER_ELECTION_DISABLE", "value": "true"},
            {"name": "ARGO_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        ],
        "readinessProbe": {**probe, **PATIENT},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
        "securityContext": RESTRICTED,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": "argo",
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 8737,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    }


def workflows(cluster: Cluster, namespace: str, selector: str = "") -> list[dict[str, Any]]:
    """The namespace's Workflows, oldest first."""
    found = cluster.kubectl("-n", namespace, "get", "workflows", "-l", selector, "-o", "json")
    items: list[dict[str, Any]] = json.loads(found)["items"]
    return sorted(items, key=lambda item: str(item["metadata"]["creationTimestamp"]))


def phases(cluster: Cluster, namespace: str) -> list[str]:
    """How far the namespace's Workflows are; empty for one that the controller has not seen yet."""
    return [str(item.get("status", {}).get("phase", "")) for item in workflows(cluster, namespace)]


def parameters(workflow: dict[str, Any]) -> dict[str, str]:
    """A Workflow's arguments by name."""
    return {item["name"]: item["value"] for item in workflow["spec"]["arguments"]["parameters"]}


def sample(name: str) -> str:
    """Path of a sample, for kubectl."""
    return str(Path("manifests/samples", name))
