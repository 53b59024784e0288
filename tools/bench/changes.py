"""B1, B2, B3, B5: objects change, a sink takes the events; each peer against the same API server and objects."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tools.bench import cluster, load
from tools.bench.arrivals import Arrivals, judged, lag, sink
from tools.bench.figures import Round
from tools.bench.peers import Running, command_of, process, wait_until
from tools.controlplane.plane import ControlPlane

FIRST_SECONDS = 300.0
SPEC = {"watch": [{"kind": "ConfigMap", "names": ["cm-*"]}]}
"""The source of each of these benchmarks."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Sizes: objects, changes, writers at once, changes a second (0: all there is), the sink's delay (s)."""

    objects: int
    changes: int
    writers: int
    rate: float = 0.0
    delay: float = 0.0
    restart: bool = False
    """Whether the operator knows the objects from an earlier life: then its start is a restart."""


def measure(plane: ControlPlane, namespace: str, peer: str, sizes: Changes, log: Path) -> Round:
    """One round of one peer, in a namespace that is filled already.

    Raises:
        RuntimeError: the peer did not start, or ended by itself.
    """
    with sink(sizes.delay, log) as arrivals:
        command = command_of(peer, plane, namespace, arrivals.url)
        if peer == "operator":
            cluster.add_sources(plane, namespace, 1, SPEC)
        try:
            if sizes.restart:
                with process(command, log):
                    learned(plane, namespace, 1, arrivals)
            arrivals.quiet()
            began = time.monotonic()
            with process(command, log) as running:
                first_delivery(plane, namespace, arrivals)
                start = time.monotonic() - began
                result = under_load(plane, namespace, sizes, arrivals, running)
        finally:
            if peer == "operator":
                cluster.remove_sources(plane, namespace)
    result["start to first delivery s"] = round(start, 2)
    return result


def first_delivery(plane: ControlPlane, namespace: str, arrivals: Arrivals) -> None:
    """Changes one object again and again until the peer delivers it, and waits until it is quiet."""
    path = f"{cluster.configmaps(namespace)}/cm-0"

    def delivered() -> bool:
        change = {"data": {"marker": f"start-{time.time_ns()}"}}
        plane.api.request("PATCH", path, change, content_type="application/merge-patch+json")
        return bool(arrivals.fetch())

    wait_until(delivered, "the first delivery", FIRST_SECONDS)
    arrivals.quiet()


def learned(plane: ControlPlane, namespace: str, sources: int, arrivals: Arrivals) -> None:
    """A first life of the operator: each source has stored where it stands, so that the next one is a restart."""
    first_delivery(plane, namespace, arrivals)
    wait_until(
        lambda: cluster.ready_sources(plane, [namespace]) == sources,
        "every source to be Ready",
        FIRST_SECONDS,
    )


def under_load(
    plane: ControlPlane, namespace: str, sizes: Changes, arrivals: Arrivals, running: Running
) -> Round:
    """Writes, waits until all arrived, and counts what it cost."""
    cpu = running.cpu
    job = load.Job(
        str(plane.kubeconfig), cluster.configmaps(namespace), sizes.objects,
        changes=sizes.changes, writers=sizes.writers, rate=sizes.rate,
    )  # fmt: skip
    written = load.run(job)
    got = arrivals.all_of(written.acknowledged)
    result = judged(written.acknowledged, got)
    result["CPU ms per change"] = round((running.cpu - cpu) * 1000 / len(written.acknowledged), 3)
    result["resident MiB"] = round(running.resident, 1)
    result["peak MiB"] = round(running.peak, 1)
    result["delivery / writing time"] = lag(written, got)
    result["driver % of a core"] = round(written.busy, 1)
    return result
