"""The operator as a process that can be killed, and waits until what was written has arrived."""

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from eventsource_operator.api.checkpoint import Head, TargetProgress, parse_checkpoint
from tests.chaos.verdict import Gap, Kill, Verdict, compare
from tests.support import running_operator
from tests.support.controlplane import wait_for
from tests.support.recorder import Recorder
from tests.support.running_operator import SOURCES
from tests.support.writer import Change
from tools.controlplane.plane import ControlPlane

NAMESPACE = "chaos"
QUIET_SECONDS = 1.5
PATIENCE_SECONDS = 90.0
"""For what must come at all, on a machine that others keep busy; what must come soon is measured."""
SILENCE_SECONDS = 90.0
"""Longer than any pause of the operator while there is something to send, its start on such a machine included."""
SETTLE_SECONDS = 600.0


class Operator(running_operator.Operator):
    """The operator of the chaos namespace; what is left of it is killed at the end."""

    def __init__(self, plane: ControlPlane, sink: str, folder: Path) -> None:
        super().__init__(plane, sink, folder, namespaces=(NAMESPACE,))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self.kill()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._child is not None and self._child.poll() is None

    @property
    def resident(self) -> float:
        """MiB of resident memory."""
        text = Path(f"/proc/{self._running().pid}/status").read_text(encoding="utf-8")
        return int(re.findall(r"^VmRSS:\s+(\d+)", text, re.MULTILINE)[0]) / 1024

    @property
    def scheduled(self) -> tuple[float, float]:
        """Seconds in which its main thread ran, and in which it could have run while the machine was busy."""
        fields = Path(f"/proc/{self._running().pid}/schedstat").read_text(encoding="utf-8").split()
        return int(fields[0]) / 1e9, int(fields[1]) / 1e9

    @property
    def metrics_url(self) -> str:
        """Where the process that runs now tells its metrics."""
        ports = re.findall(r"health and metrics on port (\d+)", self.log.read_text(encoding="utf-8"))
        assert ports, self.tail()
        return f"http://127.0.0.1:{ports[-1]}/metrics"

    def metric(self, name: str, **labels: str) -> float:
        """The sum of those samples that have these labels; 0 when there are none."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(self.metrics_url, timeout=10)
        answer.raise_for_status()
        samples = [one for family in text_string_to_metric_families(answer.text) for one in family.samples]
        return sum(one.value for one in samples if one.name == name and labels.items() <= one.labels.items())

    @property
    def expired(self) -> float:
        """How often the API server had forgotten what the watch of the ConfigMaps asked for (410)."""
        return self.metric(
            "eventsource_operator_watch_restarts_total", resource="configmaps", reason="Expired"
        )

    @property
    def last_delivery(self) -> float:
        """Wall clock of the last acknowledged event; 0 before the first."""
        return self.metric("eventsource_operator_last_delivery_timestamp_seconds")

    @property
    def retried(self) -> float:
        """How many retries of events were used up."""
        return self.metric("eventsource_operator_deliveries_total", result="retried")


def new_source(plane: ControlPlane, bindings: dict[str, Any] | None = None, **delivery: Any) -> None:
    """The namespace, with a source of all its ConfigMaps that the writer makes."""
    plane.kubectl("create", "namespace", NAMESPACE)
    spec: dict[str, Any] = {"watch": [{"kind": "ConfigMap", "names": ["cm-*"]}], "delivery": delivery}
    spec["bindings"] = bindings or {}
    source = {"apiVersion": "eventsource-operator.dev/v1alpha1", "kind": "EventSource"}
    plane.apply(json.dumps({**source, "metadata": {"name": "source", "namespace": NAMESPACE}, "spec": spec}))


def status(plane: ControlPlane) -> dict[str, Any]:
    """The source's status."""
    path = f"{SOURCES}/namespaces/{NAMESPACE}/eventsources/source"
    found: dict[str, Any] = plane.api.request("GET", path).get("status", {})
    return found


def conditions(plane: ControlPlane) -> dict[str, str]:
    """Type and status of the source's conditions."""
    return {each["type"]: each["status"] for each in status(plane).get("conditions", [])}


def until_watching(plane: ControlPlane, operator: Operator) -> None:
    """Waits until a change from now on counts."""

    def watching() -> bool:
        return conditions(plane).get("Watching") == "True"

    wait_for(watching, PATIENCE_SECONDS, "the source watches", operator.tail)


def lasting(seconds: float, look: Callable[[], object]) -> None:
    """Keeps a fault up for this long and looks at something meanwhile."""
    ends = time.monotonic() + seconds

    def over() -> bool:
        look()
        return time.monotonic() >= ends

    wait_for(over, seconds + 10, "the end of the fault")


def until_more(recorder: Recorder, more: int, operator: Operator) -> None:
    """Waits for this many further events."""
    count = len(recorder.received)
    wait_for(
        lambda: len(recorder.received) >= count + more,
        PATIENCE_SECONDS,
        f"{more} more deliveries",
        operator.tail,
    )


class Return:
    """The moment in which a server is back, and how soon after it the operator delivers."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._queued = operator.scheduled[1]
        self.at = time.monotonic()

    def took(self, delivered: float) -> float:
        """Seconds to the delivery, without those in which the machine kept the operator waiting for a processor."""
        return delivered - self.at - (self._operator.scheduled[1] - self._queued)


def progress(plane: ControlPlane) -> TargetProgress:
    """What the checkpoint says now."""
    path = f"{SOURCES}/namespaces/{NAMESPACE}/eventsourcecheckpoints"
    parts = [parse_checkpoint(each) for each in plane.api.request("GET", path)["items"]]
    (target,) = (target for part in parts if isinstance(part, Head) for target in part.targets)
    return target


def killed(plane: ControlPlane, operator: Operator) -> Kill:
    """Kills the operator (SIGKILL) and reads the position from which the next one goes on."""
    operator.kill()
    at, stored = time.monotonic(), progress(plane)
    return Kill(at, int(stored.position), frozenset(stored.done))


def settled(
    changes: list[Change],
    recorder: Recorder,
    operator: Operator,
    *,
    gaps: Sequence[Gap] = (),
    kills: Sequence[Kill] = (),
    repeats: Callable[[], int] = int,
) -> Verdict:
    """Waits until nothing is missing, or nothing comes any more; asserts what always holds."""
    began = time.monotonic()

    def over() -> bool:
        last = recorder.received[-1].at if recorder.received else began
        if time.monotonic() - max(began, last) >= SILENCE_SECONDS:
            return True
        return not compare(changes, list(recorder.received), gaps, kills).lost

    wait_for(over, SETTLE_SECONDS, "every change to arrive", operator.tail)
    quiet(recorder)
    verdict = compare(changes, list(recorder.received), gaps, kills)
    verdict.check(operator.tail(), repeats=repeats())
    return verdict


def quiet(recorder: Recorder, seconds: float = QUIET_SECONDS) -> None:
    """Waits until nothing has arrived for a while: a duplicate would come within it."""
    began = time.monotonic()

    def still() -> bool:
        last = recorder.received[-1].at if recorder.received else began
        return time.monotonic() - max(began, last) >= seconds

    wait_for(still, 120, "no event to arrive any more")
