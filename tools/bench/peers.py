"""What is compared: each peer as a user would run it, as one process against the same API server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.controlplane.build import ensure
from tools.controlplane.plane import ControlPlane

_TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 30.0


@dataclass(slots=True)
class Running:
    """A peer that runs."""

    pid: int

    @property
    def cpu(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def resident(self) -> float:
        """MiB of resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0


@contextmanager
def process(command: list[str], env: dict[str, str], log: Path) -> Iterator[Running]:
    """Runs a command until the block ends."""
    with log.open("ab") as out:
        child = subprocess.Popen(command, env={**os.environ, **env}, stdout=out, stderr=out)
    try:
        yield Running(child.pid)
        if child.poll() is not None:
            raise RuntimeError(f"{command[0]} ended by itself, see {log}")
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_until(ready: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> float:
    """Polls; returns how long it took.

    Raises:
        RuntimeError: it did not come true.
    """
    began = time.monotonic()
    while not ready():
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)
    return time.monotonic() - began


def operator(plane: ControlPlane, namespace: str, sink: str, log: Path) -> tuple[list[str], dict[str, str]]:
    """This product: command line, leader election, checkpoints and status as by default."""
    _ = log
    command = [sys.executable, "-m", "eventsource_operator", "run", "--namespace", namespace]
    command += ["--argo-server", sink, "--metrics-port", "0"]
    return command, {"KUBECONFIG": str(plane.kubeconfig), "POD_NAMESPACE": namespace}


def naive(plane: ControlPlane, namespace: str, sink: str, log: Path) -> tuple[list[str], dict[str, str]]:
    """Fifteen lines of Kopf."""
    _ = log
    script = str(Path(__file__).with_name("naive.py"))
    command = [sys.executable, "-m", "kopf", "run", "-q", "--standalone", "-n", namespace, script]
    return command, {"KUBECONFIG": str(plane.kubeconfig), "SINK": sink}


def knative(plane: ControlPlane, namespace: str, sink: str, log: Path) -> tuple[list[str], dict[str, str]]:
    """Knative's ApiServerSource receive adapter."""
    _ = log
    config = {
        "namespaces": [namespace],
        "resources": [{"gvr": {"Group": "", "Version": "v1", "Resource": "configmaps"}}],
        "mode": "Resource",
    }
    binary = ensure(("knative",)) / "apiserver_receive_adapter"
    env = {
        "K_SINK": sink,
        "K_SOURCE_CONFIG": json.dumps(config),
        "NAMESPACE": namespace,
        "NAME": "bench",
        "SYSTEM_NAMESPACE": namespace,
    }
    return [str(binary), f"--kubeconfig={plane.kubeconfig}"], env


PEERS = {"operator": operator, "knative": knative, "naive": naive}
