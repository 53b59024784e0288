"""The operator as a process that can be killed, and what must hold between what was written and what arrived."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from tests.support.controlplane import wait_for
from tests.support.recorder import Received, Recorder
from tests.support.writer import Change
from tools.controlplane.plane import ControlPlane

NAMESPACE = "chaos"
STOP_SECONDS = 40.0


class Operator:
    """The operator as a user runs it, without leader election: a killed leader's lease would have to expire first."""

    def __init__(self, plane: ControlPlane, sink: str, folder: Path) -> None:
        token = folder / "argo.token"
        token.write_text("made-up", encoding="utf-8")
        self.log = folder / "operator.log"
        self._command = [sys.executable, "-m", "eventsource_operator", "run", "--namespace", NAMESPACE]
        self._command += ["--argo-server", sink, "--metrics-port", "0", "--no-leader-elect"]
        self._env = {
            **os.environ,
            "KUBECONFIG": str(plane.kubeconfig),
            "POD_NAMESPACE": NAMESPACE,
            "EVENTSOURCE_OPERATOR_ARGO_TOKEN_FILE": str(token),
        }
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._child is not None and self._child.poll() is None

    @property
    def resident(self) -> float:
        """MiB of resident memory."""
        assert self._child is not None
        for line in Path(f"/proc/{self._child.pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def start(self) -> None:
        """Starts it; does not wait."""
        with self.log.open("ab") as out:
            self._child = subprocess.Popen(self._command, env=self._env, stdout=out, stderr=out)

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._child is not None
        self._child.send_signal(number)
        return self._child.wait(STOP_SECONDS)

    def tail(self) -> str:
        """The end of its log, beside a failure."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-4000:]


def new_source(plane: ControlPlane, **delivery: Any) -> None:
    """The namespace, with a source of all its ConfigMaps that the writer makes."""
    plane.kubectl("create", "namespace", NAMESPACE)
    spec: dict[str, Any] = {"watch": [{"kind": "ConfigMap", "names": ["cm-*"]}], "delivery": delivery}
    source = {"apiVersion": "eventsource-operator.dev/v1alpha1", "kind": "EventSource"}
    plane.apply(json.dumps({**source, "metadata": {"name": "source", "namespace": NAMESPACE}, "spec": spec}))


def status(plane: ControlPlane) -> dict[str, Any]:
    """The source's status."""
    text = plane.kubectl("--namespace", NAMESPACE, "get", "eventsources", "source", "-o", "json")
    found: dict[str, Any] = json.loads(text).get("status", {})
    return found


def until_watching(plane: ControlPlane, operator: Operator) -> None:
    """Waits until a change from now on counts."""

    def watching() -> bool:
        conditions = {c["type"]: c["status"] for c in status(plane).get("conditions", [])}
        return conditions.get("Watching") == "True"

    wait_for(watching, 30, "the source watches", operator.tail)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How what arrived compares with what was written."""

    written: int
    lost: list[Change]
    clashes: list[str]
    disorder: list[str]
    duplicates: int
    split: list[tuple[str, str, int]]
    """Changes that came under more than one id."""

    def __str__(self) -> str:
        return (
            f"{self.written} changes, {len(self.lost)} lost, {self.duplicates} duplicates, "
            f"{len(self.clashes)} ids of two changes, {len(self.split)} changes with two ids, "
            f"{len(self.disorder)} out of order"
        )


def identity(event: Received) -> tuple[str, str, int]:
    """What tells a change from every other; a deletion's version is not known to the writer."""
    return event.type, event.uid, 0 if event.type == "Deleted" else event.version


def compare(changes: Iterable[Change], received: list[Received]) -> Verdict:
    """Per change and per object, every intermediate state counted."""
    written = list(changes)
    by_id: dict[str, set[tuple[str, str, int]]] = defaultdict(set)
    ids: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    first: dict[tuple[str, str, int], int] = {}
    for event in received:
        by_id[event.id].add(identity(event))
        ids[identity(event)].add(event.id)
        first.setdefault(identity(event), event.number)
    return Verdict(
        written=len(written),
        lost=[change for change in written if change.identity not in first],
        clashes=[id_ for id_, changes_ in by_id.items() if len(changes_) > 1],
        disorder=_disorder(written, first),
        duplicates=len(received) - len(first),
        split=[change for change, names in ids.items() if len(names) > 1],
    )


def _disorder(written: list[Change], first: dict[tuple[str, str, int], int]) -> list[str]:
    """Changes that arrived before an earlier one of the same object."""
    latest: dict[str, int] = {}
    wrong = []
    for change in written:
        at = first.get(change.identity)
        if at is None:
            continue
        if at < latest.get(change.key, -1):
            wrong.append(f"{change.type} {change.key} {change.version}")
        latest[change.key] = max(at, latest.get(change.key, -1))
    return wrong


def settled(changes: list[Change], recorder: Recorder, operator: Operator, timeout: float) -> Verdict:
    """Waits until nothing is missing, then until nothing arrives any more; asserts what always holds."""
    deadline = time.monotonic() + timeout
    verdict = compare(changes, list(recorder.received))
    while verdict.lost and time.monotonic() < deadline:
        time.sleep(0.3)
        verdict = compare(changes, list(recorder.received))
    quiet(recorder)
    verdict = compare(changes, list(recorder.received))
    assert not verdict.lost, f"{verdict}: {verdict.lost[:10]}\n{operator.tail()}"
    assert not verdict.clashes, f"{verdict}: {verdict.clashes[:10]}"
    assert not verdict.split, f"{verdict}: {verdict.split[:10]}"
    assert not verdict.disorder, f"{verdict}: {verdict.disorder[:10]}"
    return verdict


def quiet(recorder: Recorder, seconds: float = 1.5) -> None:
    """Waits until nothing has arrived for a while: a duplicate would come within it."""
    count, since = len(recorder.received), time.monotonic()
    while time.monotonic() - since < seconds:
        time.sleep(0.1)
        if len(recorder.received) != count:
            count, since = len(recorder.received), time.monotonic()


def final_states(plane: ControlPlane) -> dict[str, tuple[str, int]]:
    """Object → uid and version as the API server has them now."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(
            f"{plane.server}/api/v1/namespaces/{NAMESPACE}/configmaps",
            headers={"Authorization": f"Bearer {plane.admin_token}"},
            verify=str(plane.ca),
            timeout=10,
        )
    answer.raise_for_status()
    metas = [item["metadata"] for item in answer.json()["items"]]
    return {m["name"]: (m["uid"], int(m["resourceVersion"])) for m in metas if m["name"].startswith("cm-")}
