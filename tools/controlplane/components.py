"""The command line of each server, and how one knows that it is ready."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tools.controlplane.argo import NAMESPACE
from tools.controlplane.certs import write_signing_key
from tools.controlplane.rest import Client

ISSUER = "https://kubernetes.default.svc.cluster.local"
CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
)
"""What a cluster without nodes needs: the other forty only cost start-up time."""
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
WORKFLOW_CONTROLLER_READY = "Manager initialized successfully"
"""Logged once its caches have synced. Its health port is fixed: a second control plane could not ask."""


@dataclass(frozen=True)
class Component:
    """A server: its command line, and the poll that tells when it serves."""

    name: str
    argv: list[str]
    ready: Callable[[], bool]
    env: dict[str, str] = field(default_factory=dict)


def etcd(binaries: Path, data: Path, client_port: int, peer_port: int) -> Component:
    """The store. Without fsync: nothing here must survive the machine, and shared disks are slow."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    argv = [str(binaries / "etcd"), "--unsafe-no-fsync", f"--data-dir={data / 'etcd'}", "--log-level=warn"]
    argv += [f"--listen-client-urls={client}", f"--advertise-client-urls={client}"]
    argv += [
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]
    health = Client(client)
    return Component("etcd", argv, lambda: health.answers("/health"))


def api_server(
    binaries: Path, data: Path, port: int, etcd_url: str, admin_token: str, audit_log: Path | None
) -> Component:
    """The API server, with the files that it reads: signing key, admin token, audit policy."""
    private, public, tokens = data / "sa.key", data / "sa.pub", data / "tokens.csv"
    write_signing_key(private, public)
    tokens.touch(mode=0o600)
    tokens.write_text(f'{admin_token},admin,admin,"system:masters"\n', encoding="ascii")
    argv = [
        str(binaries / "kube-apiserver"),
        f"--etcd-servers={etcd_url}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",  # else it looks for a default route, which a machine may not have
        "--endpoint-reconciler-type=none",  # loopback is no valid endpoint
        f"--cert-dir={data / 'certs'}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={public}",
        f"--service-account-signing-key-file={private}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.255.0.0/24",
        "--disable-admission-plugins=ServiceAccount",  # it would wait for kube-controller-manager's objects
        "--allow-privileged=true",
    ]
    if audit_log is not None:
        policy = data / "audit-policy.json"
        policy.write_text(json.dumps(AUDIT_POLICY), encoding="utf-8")
        argv += [
            f"--audit-policy-file={policy}",
            f"--audit-log-path={audit_log}",
            "--audit-log-mode=blocking",
        ]
    certificate = data / "certs" / "apiserver.crt"
    client = Client(f"https://127.0.0.1:{port}", admin_token, certificate)
    return Component("kube-apiserver", argv, lambda: certificate.exists() and client.answers("/readyz"))


def controller_manager(binaries: Path, data: Path, port: int, kubeconfig: Path) -> Component:
    """Namespace deletion, garbage collection, default ServiceAccounts."""
    argv = [
        str(binaries / "kube-controller-manager"),
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={data / 'controller-manager'}",
        f"--root-ca-file={data / 'certs' / 'apiserver.crt'}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]
    client = Client(f"https://127.0.0.1:{port}")
    return Component("kube-controller-manager", argv, lambda: client.answers("/healthz"))


def argo_server(
    binaries: Path, name: str, port: int, kubeconfig: Path, token: str, extra_args: list[str]
) -> Component:
    """An Argo Server; without further arguments in client mode and without TLS."""
    argv = [str(binaries / "argo"), "server", f"--port={port}", f"--namespace={NAMESPACE}"]
    argv += [f"--kubeconfig={kubeconfig}"]
    if not any(argument.startswith("--auth-mode") for argument in extra_args):
        argv += ["--auth-mode=client"]
    secure = any(argument in {"--secure", "--secure=true"} for argument in extra_args)
    if not secure:
        argv += ["--secure=false"]
    client = Client(f"http{'s' if secure else ''}://127.0.0.1:{port}", token)
    # The variable as well as the flag: in client mode it looks there for the cluster of a caller's token.
    environment = {"KUBECONFIG": str(kubeconfig)}
    return Component(name, [*argv, *extra_args], lambda: client.answers("/api/v1/version"), environment)


def workflow_controller(binaries: Path, log: Path, kubeconfig: Path) -> Component:
    """The controller that runs Workflows; those of a `suspend` template need no node."""
    argv = [str(binaries / "workflow-controller"), f"--kubeconfig={kubeconfig}", f"--namespace={NAMESPACE}"]
    argv += ["--executor-image=none", "--qps=200", "--burst=400"]

    def ready() -> bool:
        text = log.read_text(encoding="utf-8", errors="replace")
        return WORKFLOW_CONTROLLER_READY in text[text.rfind(START_MARK) :]

    return Component("workflow-controller", argv, ready, {"LEADER_ELECTION_DISABLE": "true"})


START_MARK = "=== start "
"""The launcher writes this line into a component's log before each start."""
