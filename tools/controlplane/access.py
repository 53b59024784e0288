"""What one does with a control plane once it runs: credentials, kubectl, the audit log."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.controlplane import argo
from tools.controlplane.rest import Client

TOKEN_SECONDS = 30 * 24 * 3600
"""Longer than anybody leaves `./dev up` running."""


class ControlPlaneError(RuntimeError):
    """The control plane did not do what was asked; the message ends with the log of the component."""


class Access:
    """Where a control plane is and how to get in; `ControlPlane` fills it in at its start.

    Attributes:
        binaries: directory of the programs, kubectl among them.
        data: temporary directory with everything that the servers write.
        server: URL of the API server, and `ca` the file with the certificate to trust.
        kubeconfig: an administrator's kubeconfig.
        admin_token: bearer token in `system:masters`.
        api: a small client with that token.
        etcd_url: URL of etcd's client port.
        argo_url: URL of the Argo Server (client mode, plain HTTP).
        argo_token: token of ServiceAccount `argo/event-sender`, with a sender's rights in namespace `argo`.
    """

    def __init__(self) -> None:
        self.binaries = Path()
        self.data = Path()
        self.kubeconfig = Path()
        self.ca = Path()
        self.audit_log = Path()
        self.server = self.etcd_url = self.argo_url = ""
        self.admin_token = self.argo_token = ""
        self.api = Client("")

    def environment(self) -> dict[str, str]:
        """Nothing of the user's but PATH: neither proxies nor another cluster's settings may leak in."""
        home = str(self.data)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": home,
            "TMPDIR": home,
            "KUBECACHEDIR": home,
        }

    def token(self, namespace: str, name: str = "default", seconds: int = TOKEN_SECONDS) -> str:
        """A token of a ServiceAccount, which is created if it does not exist."""
        return argo.service_account_token(self.api, namespace, name, seconds)

    def allow_sending(self, namespace: str, subject: str = f"{argo.NAMESPACE}:{argo.SENDER}") -> None:
        """Gives a ServiceAccount (`namespace:name`) a sender's rights; by default that of `argo_token`."""
        argo.allow_sending(self.api, namespace, subject)

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        """Runs the pinned kubectl as administrator; returns what it printed.

        Raises:
            ControlPlaneError: it failed, with its error message.
        """
        done = subprocess.run(
            [self.binaries / "kubectl", *args],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=self.environment() | {"KUBECONFIG": str(self.kubeconfig)},
        )
        if check and done.returncode != 0:
            raise ControlPlaneError(
                f"kubectl {' '.join(args)} ended with {done.returncode}: {done.stderr.strip()}"
            )
        return done.stdout

    def apply(self, manifests: str, *args: str) -> str:
        """Applies YAML documents with kubectl (server-side)."""
        return self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", *args, stdin=manifests)

    def audit_events(self) -> Iterator[dict[str, Any]]:
        """What the API server wrote down about each request (`audit=True` only)."""
        for line in self.audit_log.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)
