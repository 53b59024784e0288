"""`./dev bench [B1 B2 B3 B5]`: prints a table and writes `bench.json` (or `--json FILE`)."""

from __future__ import annotations

import argparse
import json
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.bench.peers import PEERS, Running, process, wait_until
from tools.controlplane.plane import ControlPlane

SETTLE_SECONDS = 40.0
SOURCE = {
    "apiVersion": "eventsource-operator.dev/v1alpha1",
    "kind": "EventSource",
    "metadata": {"name": "bench"},
    "spec": {"watch": [{"kind": "ConfigMap", "names": ["cm-*"]}]},
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One measurement: objects, changes, writers at once, changes a second (0: all), the sink's delay (s), size."""

    objects: int
    changes: int
    writers: int
    rate: float
    delay: float
    peers: tuple[str, ...] = ("operator", "knative", "naive")


SCENARIOS = {
    "B1": Scenario(50, 500, 4, 50, 0),
    "B2": Scenario(1000, 1000, 8, 0, 0),
    "B3": Scenario(300, 300, 16, 0, 0.1),
    "B5": Scenario(10_000, 50, 4, 50, 0, ("operator",)),
}


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def sink(delay: float, log: Path) -> Iterator[str]:
    """A sink; its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with process([sys.executable, "-m", "tools.bench.sink", str(port), str(delay)], {}, log):
        wait_until(lambda: arrivals(url) is not None, "the sink answers")
        yield url


def arrivals(url: str) -> dict[str, list[float]] | None:
    """What arrived since the last call; None while the sink is not there."""
    try:
        with urllib.request.urlopen(f"{url}/arrivals", timeout=5) as answer:  # noqa: S310 - a loopback URL of ours
            found: dict[str, list[float]] = json.load(answer)
            return found
    except OSError:
        return None


def fill(plane: ControlPlane, namespace: str, objects: int) -> None:
    """A namespace with that many ConfigMaps of 1 KiB."""
    plane.kubectl("create", "namespace", namespace)
    for begin in range(0, objects, 500):
        items = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"cm-{i}", "namespace": namespace},
                "data": {"fill": "x" * 900, "marker": "none"},
            }
            for i in range(begin, min(begin + 500, objects))
        ]
        plane.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def measure(plane: ControlPlane, name: str, peer: str, number: int, log: Path) -> dict[str, Any]:
    """One round of one peer."""
    scenario = SCENARIOS[name]
    namespace = f"bench-{name.lower()}-{peer}-{number}"
    fill(plane, namespace, scenario.objects)
    with sink(scenario.delay, log) as url:
        command, env = PEERS[peer](plane, namespace, url, log)
        if peer == "operator":
            plane.kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(SOURCE))
        restart = 0.0
        if name == "B5":  # once to learn the objects, then again: the restart is what is measured
            with process(command, env, log) as running:
                first_delivery(plane, namespace, url)
        began = time.monotonic()
        with process(command, env, log) as running:
            first_delivery(plane, namespace, url)
            restart = time.monotonic() - began
            result = changes(plane, namespace, scenario, url, running)
        result["restart to first delivery s"] = round(restart, 2)
        return result


def first_delivery(plane: ControlPlane, namespace: str, url: str) -> None:
    """Changes one object again and again until the peer delivers it."""

    def delivered() -> bool:
        write(plane, namespace, 1, 1, 1, 0)
        return bool(arrivals(url))

    wait_until(delivered, "the first delivery", 60)
    deadline = time.monotonic() + 10
    while arrivals(url) and time.monotonic() < deadline:
        time.sleep(0.3)


def write(
    plane: ControlPlane, namespace: str, objects: int, count: int, writers: int, rate: float
) -> dict[str, float]:
    """Runs the driver."""
    numbers = [str(n) for n in (objects, count, writers, rate)]
    command = [sys.executable, "-m", "tools.bench.load", str(plane.kubeconfig), namespace, *numbers]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    written: dict[str, float] = json.loads(done.stdout)
    return written


def changes(
    plane: ControlPlane, namespace: str, scenario: Scenario, url: str, running: Running
) -> dict[str, Any]:
    """Writes, waits until all arrived, and counts."""
    cpu = running.cpu
    written = write(plane, namespace, scenario.objects, scenario.changes, scenario.writers, scenario.rate)
    got: dict[str, list[float]] = {}
    deadline = time.monotonic() + SETTLE_SECONDS
    while len(got.keys() & written.keys()) < len(written) and time.monotonic() < deadline:
        for marker, times in (arrivals(url) or {}).items():
            got.setdefault(marker, []).extend(times)
        time.sleep(0.05)
    time.sleep(0.5)  # a duplicate would come now
    for marker, times in (arrivals(url) or {}).items():
        got.setdefault(marker, []).extend(times)
    seen = [m for m in written if m in got]
    delays = sorted((got[m][0] - written[m]) * 1000 for m in seen)
    spread = max((got[m][0] for m in seen), default=0) - min((got[m][0] for m in seen), default=0)
    return {
        "p50 ms": round(statistics.median(delays), 2) if delays else None,
        "p99 ms": round(delays[int(len(delays) * 0.99) - 1], 2) if delays else None,
        "per second": round((len(seen) - 1) / spread, 1) if spread else None,
        "CPU ms per change": round((running.cpu - cpu) * 1000 / len(written), 3),
        "resident MiB": round(running.resident, 1),
        "lost": len(written) - len(seen),
        "duplicated": sum(len(got[m]) - 1 for m in seen),
    }


def summary(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Median, least and most of each figure."""
    result: dict[str, Any] = {}
    for key in rounds[0]:
        values = [r[key] for r in rounds if r[key] is not None]
        if values:
            result[key] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return result


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*SCENARIOS, []], help="which (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", default="bench.json")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    options = parser.parse_args()
    machine = {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
    }
    report: dict[str, Any] = {"machine": machine, "rounds": options.rounds, "results": {}}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        log = Path(folder) / "log"
        with ControlPlane(argo=False) as plane:
            for name in options.names or list(SCENARIOS):
                results: dict[str, list[dict[str, Any]]] = {}
                for number in range(options.rounds):
                    for peer in [p for p in SCENARIOS[name].peers if p in options.peers]:
                        results.setdefault(peer, []).append(measure(plane, name, peer, number, log))
                report["results"][name] = {peer: summary(rounds) for peer, rounds in results.items()}
                show(name, report["results"][name])
    Path(options.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"written to {options.json}")
    return 0


def show(name: str, results: dict[str, Any]) -> None:
    """A table of one scenario."""
    from rich.console import Console  # noqa: PLC0415 - only when there is something to show
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=f"{name}: {SCENARIOS[name]}", title_justify="left")
    table.add_column("figure")
    for peer in results:
        table.add_column(peer, justify="right")
    for key in next(iter(results.values())):
        cells = [results[p].get(key) for p in results]
        table.add_row(key, *(f"{c['median']:g} ({c['min']:g}-{c['max']:g})" if c else "-" for c in cells))
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
