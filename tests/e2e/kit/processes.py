"""Signals to a container's process, sent from the node's host as a kernel or an operator would."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

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


def address(cluster: Cluster, pod: str) -> str:
    """Of a pod."""
    return str(cluster.get("-n", OPERATOR, "pod", pod)["status"]["podIP"])


def container(cluster: Cluster, pod: str) -> Any:
    """The status of a pod's only container."""
    (status,) = cluster.get("-n", OPERATOR, "pod", pod)["status"]["containerStatuses"]
    return status


def number_within(process: int) -> int:
    """How a process is numbered in its own container."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[-1] for line in lines if line.startswith("NSpid:")))


def process_of(cluster: Cluster, pod: str) -> int:
    """The operator's process in a pod, as the machine that hosts the node numbers it.

    Raises:
        CommandError: it is not found.
    """
    ident = str(container(cluster, pod)["containerID"]).rpartition("/")[2]
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            cgroup = (directory / "cgroup").read_text()
            command = (directory / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if ident in cgroup and b"eventsource_operator" in command:
            return int(directory.name)
    raise CommandError(f"no process of container {ident} of {pod}")


def send(cluster: Cluster, pod: str, number: signal.Signals) -> float:
    """Sends a signal to the operator in a pod; on another cluster, SIGKILL deletes the pod at once.

    Returns the moment of it, in seconds of the wall clock.
    """
    if cluster.work is not None:
        process = process_of(cluster, pod)
        sent = time.time()
        os.kill(process, number)
        return sent
    sent = time.time()
    if number is signal.SIGKILL:
        cluster.kubectl("-n", OPERATOR, "delete", "pod", pod, "--grace-period=0", "--force", "--wait=false")
    return sent
