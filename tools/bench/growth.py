"""How the operator's costs grow with objects and with sources; one life of the operator for each size."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.bench import cluster
from tools.bench.arrivals import sink
from tools.bench.changes import SPEC, Changes, first_delivery, learned, under_load
from tools.bench.figures import Round, slope
from tools.bench.peers import Running, operator, process
from tools.controlplane.plane import ControlPlane

_EACH_ITS_OWN = {"watch": [{"kind": "ConfigMap", "names": ["cm-%d"]}]}
_BYTES_PER_MIB = 1024 * 1024
_CALM_PERCENT = 5.0
_CALM_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Numbers of objects (one source), of sources (each of one object), changes at each size, seconds of idling."""

    objects: tuple[int, ...]
    sources: tuple[int, ...]
    changes: int
    seconds: float


def measure(plane: ControlPlane, sizes: Sizes, log: Path) -> tuple[dict[str, Round], list[str]]:
    """Figures by size, such as `1000 objects`, and how much each object and source adds; and what failed."""
    found: dict[str, Round] = {}
    errors: list[str] = []
    for unit, counts in (("objects", sizes.objects), ("sources", sizes.sources)):
        for count in counts:
            try:
                found[f"{count} {unit}"] = _size(plane, unit, count, sizes, log)
            except (RuntimeError, OSError) as error:  # the other sizes go on
                errors.append(f"{count} {unit}: {type(error).__name__}: {error}")
    found["growth"] = growth(found)
    return found, errors


def _size(plane: ControlPlane, unit: str, count: int, sizes: Sizes, log: Path) -> Round:
    namespace = f"bench-{unit}-{count}"
    if unit == "objects":
        cluster.fill(plane, namespace, count)
        cluster.add_sources(plane, namespace, 1, SPEC)
        return _life(plane, namespace, (count, 1), sizes, log)
    cluster.fill(plane, namespace, max(sizes.sources))
    cluster.add_sources(plane, namespace, count, _EACH_ITS_OWN)
    return _life(plane, namespace, (count, count), sizes, log)


def growth(found: Mapping[str, Mapping[str, float | None]]) -> Round:
    """Bytes of memory for each object and each source, the line through all sizes."""
    result: Round = {}
    for unit in ("objects", "sources"):
        points = series(found, unit, "resident MiB")
        if len(points) < 2:  # noqa: PLR2004 - a line needs two
            continue
        result[f"bytes of memory per {unit.removesuffix('s')}"] = round(slope(points) * _BYTES_PER_MIB)
    return result


def series(
    found: Mapping[str, Mapping[str, float | None]], unit: str, figure: str
) -> list[tuple[float, float]]:
    """A figure against the number of objects or sources."""
    points = []
    for name, figures in found.items():
        count, _, what = name.partition(" ")
        value = figures.get(figure)
        if what == unit and value is not None:
            points.append((float(count), value))
    return points


def _life(plane: ControlPlane, namespace: str, counts: tuple[int, int], sizes: Sizes, log: Path) -> Round:
    """A restart with that many objects that are selected and that many sources, changes, and idling."""
    objects, sources = counts
    with sink(0.0, log) as arrivals:
        command = operator(plane, namespace, arrivals.url)
        with process(command, log):
            learned(plane, namespace, sources, arrivals)
        arrivals.quiet()
        began = time.monotonic()
        with process(command, log) as running:
            first_delivery(plane, namespace, arrivals)
            start = time.monotonic() - began
            calm(running)
            result = under_load(plane, namespace, Changes(objects, sizes.changes, 8), arrivals, running)
            calm(running)
            result["CPU % of a core when idle"] = round(running.load(sizes.seconds), 2)
            result["start to first delivery s"] = round(start, 2)
    return result


def calm(running: Running) -> None:
    """Waits, within bounds, until the process has little to do: many sources go on starting for a while."""
    deadline = time.monotonic() + _CALM_SECONDS
    while running.load(3) > _CALM_PERCENT and time.monotonic() < deadline:
        pass
