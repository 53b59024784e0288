"""Where events arrive: a sink process, asked for what it saw, and what follows for loss, duplicates and time."""

from __future__ import annotations

import json
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools.bench.figures import DUPLICATED, LOST, Round, percentile
from tools.bench.load import Written
from tools.bench.peers import Command, process, wait_until

SETTLE_SECONDS = 60.0
"""How long arrivals are waited for before they count as lost."""

AFTER_SECONDS = 3.0
"""Waited after the last one: a duplicate would come now, and a checkpoint's write belongs to the cost."""


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Arrivals:
    """What a process at ``url`` saw arrive."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fetch(self) -> dict[str, list[float]] | None:
        """What arrived since the last call, unix seconds by marker; None while nobody answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/arrivals", timeout=10) as answer:  # noqa: S310 - loopback
                found: dict[str, list[float]] = json.load(answer)
                return found
        except OSError:
            return None

    def all_of(
        self, markers: Mapping[str, object], seconds: float = SETTLE_SECONDS
    ) -> dict[str, list[float]]:
        """Waits until each marker arrived, at most this long after the last arrival, and for what comes twice."""
        got: dict[str, list[float]] = {}
        deadline = time.monotonic() + seconds
        while not markers.keys() <= got.keys() and time.monotonic() < deadline:
            time.sleep(0.05)
            for marker, times in (self.fetch() or {}).items():
                got.setdefault(marker, []).extend(times)
                deadline = time.monotonic() + seconds
        time.sleep(AFTER_SECONDS)
        for marker, times in (self.fetch() or {}).items():
            got.setdefault(marker, []).extend(times)
        return got

    def quiet(self) -> None:
        """Waits until nothing has arrived for half a second."""
        deadline = time.monotonic() + 30
        while self.fetch() and time.monotonic() < deadline:
            time.sleep(0.5)


@contextmanager
def sink(delay: float, log: Path) -> Iterator[Arrivals]:
    """A server that answers each event after ``delay`` seconds."""
    port = free_port()
    found = Arrivals(f"http://127.0.0.1:{port}")
    with process(Command([sys.executable, "-m", "tools.bench.sink", str(port), str(delay)]), log):
        wait_until(lambda: found.fetch() is not None, "the sink answers")
        yield found


def judged(written: Mapping[str, float], got: Mapping[str, list[float]]) -> Round:
    """Loss, duplicates, delays (ms, from the API server's acknowledgement to the arrival) and rate of a run."""
    seen = [marker for marker in written if marker in got]
    figures: Round = {"p50 ms": None, "p99 ms": None, "per second": None}
    if seen:
        delays = [(min(got[m]) - written[m]) * 1000 for m in seen]
        figures["p50 ms"] = round(percentile(delays, 0.5), 2)
        figures["p99 ms"] = round(percentile(delays, 0.99), 2)
    figures["per second"] = rate([min(got[m]) for m in seen])
    figures[LOST] = len(written) - len(seen)
    figures[DUPLICATED] = sum(len(got[m]) - 1 for m in seen)
    return figures


def rate(times: list[float]) -> float | None:
    """Arrivals a second, from the first to the last."""
    spread = max(times, default=0.0) - min(times, default=0.0)
    return round((len(times) - 1) / spread, 1) if spread > 0 else None


def lag(written: Written, got: Mapping[str, list[float]]) -> float | None:
    """Time of delivering as a multiple of the time of writing: 1 is as fast as written."""
    times = [min(got[m]) for m in written.acknowledged if m in got]
    if not times or not written.seconds:
        return None
    return round((max(times) - min(written.acknowledged.values())) / written.seconds, 3)
