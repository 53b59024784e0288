"""Signals to a container's process, sent from the node's host as a kernel or an operator would."""

import json
import os
import signal
from pathlib import Path

from tests.e2e.kit.cluster import OPERATOR, Cluster, CommandError


def leading_pod(cluster: Cluster) -> str:
    """Name of the pod that holds the lease.

    Raises:
        CommandError: nobody holds it.
    """
    holder = cluster.leader()
    pods = json.loads(cluster.kubectl("-n", OPERATOR, "get", "pods", "-o", "json"))["items"]
    for pod in pods:
        if holder and holder.startswith(str(pod["metadata"]["name"])):
            return str(pod["metadata"]["name"])
    raise CommandError(f"no pod is the lease's holder {holder!r}")


def process_of(cluster: Cluster, pod: str) -> int:
    """The operator's process in a pod, as the machine that hosts the node numbers it.

    Raises:
        CommandError: it is not found.
    """
    status = cluster.get("-n", OPERATOR, "pod", pod)["status"]["containerStatuses"][0]
    container = status["containerID"].rpartition("/")[2]
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            cgroup = (directory / "cgroup").read_text()
            command = (directory / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if container in cgroup and b"eventsource_operator" in command:
            return int(directory.name)
    raise CommandError(f"no process of container {container} of {pod}")


def send(cluster: Cluster, pod: str, number: signal.Signals) -> None:
    """Sends a signal to the operator in a pod; on another cluster, SIGKILL deletes the pod at once."""
    if cluster.work is not None:
        os.kill(process_of(cluster, pod), number)
    elif number is signal.SIGKILL:
        cluster.kubectl("-n", OPERATOR, "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
