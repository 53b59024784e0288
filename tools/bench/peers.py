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
from dataclasses import dataclass, field
from pathlib import Path

from tools.controlplane.build import ensure
from tools.controlplane.plane import ControlPlane

_TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 60.0
STOP_SECONDS = 40.0
_TAIL = 3000


@dataclass(frozen=True, slots=True)
class Command:
    """How a peer is started."""

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)


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
        """MiB of resident memory now."""
        return self._status("VmRSS:")

    @property
    def peak(self) -> float:
        """The most MiB of resident memory since its start."""
        return self._status("VmHWM:")

    def _status(self, name: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"process {self.pid} has ended")

    def load(self, seconds: float) -> float:
        """Share of a core that it takes over the next ``seconds``, %."""
        began, cpu = time.monotonic(), self.cpu
        time.sleep(seconds)
        return 100 * (self.cpu - cpu) / (time.monotonic() - began)


@contextmanager
def process(command: Command, log: Path) -> Iterator[Running]:
    """Runs a command until the block ends.

    Raises:
        RuntimeError: it ended by itself; the message has the end of its log.
    """
    with log.open("ab") as out:
        child = subprocess.Popen(command.argv, env={**os.environ, **command.env}, stdout=out, stderr=out)
    try:
        yield Running(child.pid)
        if child.poll() is not None:
            raise RuntimeError(f"{command.argv[0]} ended by itself with {child.returncode}: {tail(log)}")
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def tail(log: Path) -> str:
    """The end of a log."""
    return log.read_text(encoding="utf-8", errors="replace")[-_TAIL:]


def wait_until(ready: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> float:
    """Polls; returns how long it took. No answer from a server that is asked (`OSError`) is "not yet".

    Raises:
        RuntimeError: it did not come true.
    """
    began = time.monotonic()
    last = ""
    while True:
        try:
            if ready():
                return time.monotonic() - began
        except OSError as error:
            last = f" ({error})"
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"{what}: not within {seconds:g} s{last}")
        time.sleep(0.02)


def operator(
    plane: ControlPlane, namespace: str, sink: str, *further: str, everywhere: bool = False
) -> Command:
    """This product: command line, leader election, checkpoints and status as by default."""
    scope = "--all-namespaces" if everywhere else f"--namespace={namespace}"
    argv = [sys.executable, "-m", "eventsource_operator", "run", scope]
    argv += ["--argo-server", sink, "--metrics-port", "0", *further]
    return Command(argv, {"KUBECONFIG": str(plane.kubeconfig), "POD_NAMESPACE": namespace})


def naive(plane: ControlPlane, namespace: str, sink: str) -> Command:
    """Fifteen lines of Kopf."""
    script = str(Path(__file__).with_name("naive.py"))
    argv = [sys.executable, "-m", "kopf", "run", "-q", "--standalone", "-n", namespace, script]
    return Command(argv, {"KUBECONFIG": str(plane.kubeconfig), "SINK": sink})


def knative(plane: ControlPlane, namespace: str, sink: str) -> Command:
    """Knative's ApiServerSource receive adapter."""
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
    return Command([str(binary), f"--kubeconfig={plane.kubeconfig}"], env)


def command_of(peer: str, plane: ControlPlane, namespace: str, sink: str) -> Command:
    """How a peer of that name is started."""
    match peer:
        case "operator":
            return operator(plane, namespace, sink)
        case "knative":
            return knative(plane, namespace, sink)
        case "naive":
            return naive(plane, namespace, sink)
        case _:
            raise ValueError(f"there is no peer {peer}")
