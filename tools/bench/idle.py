"""B6 and idle: many EventSources or objects, and nothing changes. What does the operator do, and what does it cost?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tools.bench import cluster
from tools.bench.arrivals import sink
from tools.bench.changes import SPEC
from tools.bench.figures import Round
from tools.bench.peers import Running, operator, process, wait_until
from tools.controlplane.plane import ControlPlane

QUIET_SECONDS = 10.0
SETTLE_SECONDS = 300.0
READY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Idle:
    """Sizes: namespaces, and in each objects and sources; seconds of a window."""

    namespaces: int
    objects: int
    sources: int
    seconds: float


def measure(plane: ControlPlane, sizes: Idle, windows: int, log: Path, name: str) -> list[Round]:
    """Some windows of one life of the operator, the first one once it has nothing to write any more.

    Args:
        plane: with an audit log.
        sizes: how much there is.
        windows: how many.
        log: for what the processes say.
        name: of the benchmark, for the names of the namespaces.

    Raises:
        RuntimeError: the sources did not become ready, or the operator goes on writing.
    """
    names = [f"bench-{name.lower()}-{number}" for number in range(sizes.namespaces)]
    for namespace in names:
        cluster.fill(plane, namespace, sizes.objects)
        cluster.add_sources(plane, namespace, sizes.sources, SPEC)
    total = sizes.namespaces * sizes.sources
    with sink(0.0, log) as arrivals:
        command = operator(plane, names[0], arrivals.url, everywhere=len(names) > 1)
        began = time.monotonic()
        with process(command, log) as running:
            wait_until(
                lambda: cluster.ready_sources(plane, names) == total,
                f"{total} EventSources to be Ready",
                READY_SECONDS,
            )
            ready = time.monotonic() - began
            _settle(plane)
            rounds = [_window(plane, sizes.seconds, running) for _ in range(windows)]
        for one in rounds:
            one["first start to all Ready s"] = round(ready, 1)
            one["lost"], one["duplicated"] = 0, len(arrivals.fetch() or {})
        return rounds


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _settle(plane: ControlPlane) -> None:
    """Waits until nothing was written for a while."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        since = _now()
        time.sleep(QUIET_SECONDS)
        found = cluster.traffic(plane.audit_events(), since)
        if not found.writes:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"it goes on writing: {dict(found.requests)}")


def _window(plane: ControlPlane, seconds: float, running: Running) -> Round:
    since = _now()
    share = running.load(seconds)
    found = cluster.traffic(plane.audit_events(), since)
    return {
        "CPU % of a core": round(share, 2),
        "writes": found.writes,
        "renewals of the Lease": found.beats,
        "requests": found.requests.total(),
        "open watches": found.watches.total(),
        "resident MiB": round(running.resident, 1),
        "window s": seconds,
    }
