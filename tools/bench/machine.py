"""On what was measured: the machine, how busy it was with other things, and which versions ran."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from tools.controlplane import build, pins

_PARTS = ("kopf", "kubernetes", "aiohttp", "uvloop", "orjson")
_PROGRAMS = ("kube-apiserver", "etcd", "argo", "apiserver_receive_adapter")


def busy(seconds: float = 2.0) -> float:
    """Share of all processors that is in use over the next ``seconds``, %."""
    before, idle_before = _times()
    time.sleep(seconds)
    after, idle_after = _times()
    return round(100 * (1 - (idle_after - idle_before) / max(1, after - before)), 1)


def _times() -> tuple[int, int]:
    numbers = [int(n) for n in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    return sum(numbers), numbers[3] + numbers[4]


def facts() -> dict[str, Any]:
    """The machine and the versions."""
    from eventsource_operator import __version__  # noqa: PLC0415 - the product as it is now

    versions = {name: pins.pinned_version(build.BINARIES[name]) for name in _PROGRAMS}
    versions |= {name: metadata.version(name) for name in _PARTS}
    return {
        "cores": os.cpu_count(),
        "processor": _field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "memory": _field(Path("/proc/meminfo"), "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {"eventsource-operator": __version__, **versions},
    }


def _field(path: Path, name: str) -> str:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
