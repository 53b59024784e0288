"""A cluster to test in: one made here for the session, or the user's own through KUBECONFIG."""

import contextlib
import datetime as dt
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kubernetes import client, config

from tools.controlplane import build

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "tests/e2e/cluster.sh"
OPERATOR = "eventsource-operator"
"""Name of the operator's namespace, Deployment, ServiceAccount and Lease in `manifests/base`."""
IMAGE = "eventsource-operator:0.1.0"
"""As `manifests/base` and the chart write it."""


class CommandError(AssertionError):
    """A command failed; the message has what it printed."""


class Cluster:
    """kubectl and the API of one cluster.

    Attributes:
        kubeconfig: administrator's access.
        work: the node's directory, None for a cluster that was not made here.
    """

    def __init__(self, kubeconfig: Path, work: Path | None) -> None:
        self.kubeconfig = kubeconfig
        self.work = work
        self._kubectl = build.ensure(("plane",)) / "kubectl"
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        if work is not None:
            self._environment["KUBECACHEDIR"] = str(work / "kubectl-cache")

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True, timeout: float = 120) -> str:
        """Runs kubectl and returns what it printed.

        Raises:
            CommandError: it failed, and `check` is set.
        """
        done = subprocess.run(
            [self._kubectl, *args],
            input=stdin,
            capture_output=True,
            text=True,
            env=self._environment,
            cwd=ROOT,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            raise CommandError(
                f"kubectl {' '.join(args)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout + ("" if check else done.stderr)

    def get(self, *args: str) -> Any:
        """`kubectl get … -o json`, decoded."""
        return json.loads(self.kubectl("get", *args, "-o", "json"))

    def apply(self, *objects: dict[str, Any]) -> None:
        """Applies objects."""
        self.kubectl(
            "apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def core(self) -> Any:
        """A client of the core API of its own, for many calls in a row."""
        configuration = client.Configuration()
        config.load_kube_config(str(self.kubeconfig), client_configuration=configuration)
        return client.CoreV1Api(client.ApiClient(configuration))

    @contextlib.contextmanager
    def namespace(self, name: str) -> Iterator[str]:
        """A namespace for a test, with the `restricted` pod security standard; deleted afterwards."""
        restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": restricted}}
        )
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    def rolled_out(self, namespace: str, deployment: str, seconds: int = 90) -> None:
        """Waits for a Deployment's pods to be ready and the old ones to be gone."""
        self.kubectl(
            "-n",
            namespace,
            "rollout",
            "status",
            f"deployment/{deployment}",
            f"--timeout={seconds}s",
            timeout=seconds + 30,
        )

    def load_image(self) -> None:
        """Builds the Dockerfile and loads the image; on the user's own cluster it must be there already."""
        if self.work is not None:
            script("image", IMAGE, timeout=600)

    def load_argo(self) -> str:
        """Name of an image with `/bin/argo` and `/bin/workflow-controller`."""
        return "localhost/argo:e2e" if self.work is not None else os.environ.get("E2E_ARGO_IMAGE", "")

    def leader(self, namespace: str = OPERATOR) -> str:
        """Who holds the lease; empty if nobody does."""
        lease = self.kubectl(
            "-n", namespace, "get", "lease", OPERATOR, "-o", "jsonpath={.spec.holderIdentity}", check=False
        )
        return "" if "NotFound" in lease or "Error" in lease else lease

    def leading_since(self, namespace: str = OPERATOR) -> float:
        """When the lease's holder took it, in seconds of the wall clock."""
        spec = self.get("-n", namespace, "lease", OPERATOR)["spec"]
        return dt.datetime.fromisoformat(spec["acquireTime"]).timestamp()

    def evidence(self) -> str:
        """What explains a failure: pods, sources, events and the operator's last lines."""
        parts = []
        for args in (
            ("get", "pods", "-A", "-o", "wide"),
            ("get", "eventsources", "-A", "-o", "wide"),
            (
                "get",
                "eventsources",
                "-A",
                "-o",
                'jsonpath={range .items[*]}{.metadata.name}{"\\n"}{.status}{"\\n"}{end}',
            ),
            ("get", "events", "-A", "--sort-by=.lastTimestamp"),
            ("-n", OPERATOR, "logs", "-l", "app.kubernetes.io/component=operator", "--tail=40", "--prefix"),
            (
                "-n",
                OPERATOR,
                "logs",
                "-l",
                "app.kubernetes.io/component=operator",
                "--tail=20",
                "--prefix",
                "--previous",
            ),
        ):
            lines = self.kubectl(*args, check=False).splitlines()
            parts.append(f"$ kubectl {' '.join(args)}\n" + "\n".join(lines[-60:]))
        return "\n\n".join(parts)


def script(*args: str, timeout: float) -> str:
    """Runs `cluster.sh`.

    Raises:
        CommandError: it failed.
    """
    with tempfile.TemporaryFile("w+") as errors:  # not a pipe: the node's processes would keep it open
        done = subprocess.run(
            [SCRIPT, *args], stdout=subprocess.PIPE, stderr=errors, text=True, timeout=timeout, check=False
        )
        errors.seek(0)
        if done.returncode != 0:
            raise CommandError(
                f"cluster.sh {' '.join(args)} ended with {done.returncode}\n{done.stdout}{errors.read()}"
            )
    return done.stdout


def why_not() -> str:
    """Why no cluster can be made on this machine, with the command that changes it; empty if it can."""
    done = subprocess.run(["bash", SCRIPT, "check"], capture_output=True, text=True, check=False)
    return done.stdout.strip().replace("\n", "; ") if done.returncode else ""
