"""The operator as a process that can be killed, and what must hold between what was written and what arrived."""

import json
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from eventsource_operator.api.checkpoint import Head, TargetProgress, parse_checkpoint
from tests.support import running_operator
from tests.support.controlplane import wait_for
from tests.support.recorder import Received, Recorder
from tests.support.running_operator import SOURCES
from tests.support.writer import Change
from tools.controlplane.plane import ControlPlane

NAMESPACE = "chaos"
QUIET_SECONDS = 1.5
SILENCE_SECONDS = 30.0
"""Longer than any pause of the operator while there is something to send."""
SETTLE_SECONDS = 600.0
LATE_SECONDS = 0.5
"""What was under way at a kill may still lie in a socket: the recorder notes it a little later."""
PATIENCE_SECONDS = 90.0
"""For what must come at all, on a machine that others keep busy; what must come soon is measured."""

Named = tuple[str, str, int]
"""Type, uid and version of a change."""
State = tuple[bool, str, int]
"""Whether it is a deletion, uid and version: what a change leaves, whatever an event calls it."""


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


@dataclass(frozen=True, slots=True)
class Gap:
    """A span of the monotonic clock about which the API server could not tell the operator state by state.

    Attributes:
        began: at the latest when the last change was made that the operator read from the old history.
        ended: at the earliest when it had read the list.
        position: of the checkpoint, when the operator was killed in the gap, too. What was created above it and told
            of is unknown to the next process: its deletion is not missed, and it is told of as created (the double
            fault of docs/architecture.md). 0: it was not killed.
    """

    began: float
    ended: float
    position: int = 0

    def unknown(self, life: Sequence[Change]) -> bool:
        """Whether the object was created above the position of a process that was killed."""
        born = life[0]
        return (
            bool(self.position) and born.type == "Added" and born.version > self.position and self.holds(born)
        )

    def holds(self, change: Change) -> bool:
        """Whether the change was acknowledged within it."""
        return self.began <= change.at <= self.ended


@dataclass(frozen=True, slots=True)
class Kill:
    """What the checkpoint said when the operator was killed: the next process goes on from there."""

    at: float
    position: int
    done: frozenset[str]

    def may_repeat(self, event: Received) -> bool:
        """Whether the event was in flight or acknowledged since the position was written (guarantee G2)."""
        return (
            event.at <= self.at + LATE_SECONDS
            and (event.version > self.position or not event.version)
            and event.id not in self.done
        )


def sending(kills: Sequence[Kill], received: list[Received]) -> list[Kill]:
    """Those kills after which a process sent something before it was killed in turn: no other one repeats anything."""
    ends = [kill.at + LATE_SECONDS for kill in kills[1:]] + [float("inf")] * bool(kills)
    return [
        kill
        for kill, end in zip(kills, ends, strict=True)
        if any(kill.at + LATE_SECONDS < event.at <= end for event in received)
    ]


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


@dataclass(frozen=True, slots=True)
class Verdict:
    """How what arrived compares with what was written.

    Attributes:
        written: changes.
        lost: changes that had to arrive and did not.
        skipped: states that did not arrive, and need not (G4).
        strange: events of changes that nobody made, or of another type than the change.
        clashes: ids of two different changes.
        split: changes that came under more than one id.
        disorder: changes that arrived before an earlier one of the same object.
        duplicates: events beyond the first of each change.
        bound: how many the kills explain: for each, the changes in flight or acknowledged since the position was
            written (G2).
        unexplained: events that came more often than the kills explain.
    """

    written: int
    lost: list[Change]
    skipped: int
    strange: list[Received]
    clashes: list[str]
    split: list[State]
    disorder: list[str]
    duplicates: int
    bound: int
    unexplained: list[str]

    def __str__(self) -> str:
        return (
            f"{self.written} changes, {len(self.lost)} lost, {self.skipped} states skipped, "
            f"{len(self.disorder)} out of order, {len(self.clashes)} ids of two changes, "
            f"{len(self.split)} changes with two ids, {len(self.strange)} strange, "
            f"{self.duplicates} duplicates (at most {self.bound})"
        )

    def check(self, evidence: str = "", *, repeats: int = 0) -> None:
        """Asserts what always holds.

        Args:
            evidence: shown beside a failure.
            repeats: so often was an answer lost on the way: each is sent again, beyond what the kills explain.
        """
        for name in ("lost", "strange", "clashes", "split", "disorder"):
            found = getattr(self, name)
            assert not found, f"{name}: {self}: {found[:10]}\n{evidence}"
        assert repeats or not self.unexplained, f"{self}: {self.unexplained[:10]}\n{evidence}"
        assert self.duplicates <= self.bound + repeats, str(self)


def named(event: Received) -> Named:
    """What tells an event's change from every other; a deletion's version is not known to the writer."""
    return event.type, event.uid, 0 if event.type == "Deleted" else event.version


def state(of: Change | Received) -> State:
    """What it left."""
    deleted = of.type == "Deleted"
    return deleted, of.uid, 0 if deleted else of.version


def compare(
    changes: Iterable[Change], received: list[Received], gaps: Sequence[Gap] = (), kills: Sequence[Kill] = ()
) -> Verdict:
    """Per change and per object, every intermediate state counted but those that a gap may hide.

    Args:
        changes: what was written, in order per object.
        received: what arrived, in order.
        gaps: when the API server's history was lost: there the newest state of each object and each deletion of
            an object that was ever told of must arrive, states between need not (G4).
        kills: of the operator; each lets those events come once more that were above its position.
    """
    written = list(changes)
    lives: dict[str, list[Change]] = defaultdict(list)
    for change in written:
        lives[change.uid].append(change)
    unknown = {uid for uid, life in lives.items() if any(gap.unknown(life) for gap in gaps)}
    first: dict[State, Received] = {}
    by_id: dict[str, set[Named]] = defaultdict(set)
    ids: dict[State, set[str]] = defaultdict(set)
    for event in received:
        first.setdefault(state(event), event)
        by_id[event.id].add(named(event))
        ids[state(event)].add(event.id)
    skipped = _excused(lives, first, gaps)
    copies = Counter(event.id for event in received)
    allowed = Counter(
        event.id for kill in sending(kills, received) for event in first.values() if kill.may_repeat(event)
    )
    return Verdict(
        written=len(written),
        lost=[change for change in written if state(change) not in first and state(change) not in skipped],
        skipped=len(skipped),
        strange=_strange(written, first, skipped, unknown),
        clashes=[id_ for id_, of in by_id.items() if len(of) > 1],
        split=[of for of, names in ids.items() if len(names) > 1 and of[1] not in unknown],
        disorder=_disorder(written, first),
        duplicates=len(received) - len(first),
        bound=allowed.total(),
        unexplained=[id_ for id_, count in copies.items() if count - 1 > allowed[id_]],
    )


def _excused(lives: dict[str, list[Change]], first: dict[State, Received], gaps: Sequence[Gap]) -> set[State]:
    """Missing states that a newer one within the same gap stands for, and objects whose whole life lies in one."""
    excused: set[State] = set()
    for life in lives.values():
        unseen = not any(state(change) in first for change in life)
        for gap in gaps:
            within = life[-1].type == "Deleted" and all(map(gap.holds, life))
            if within and (unseen or gap.unknown(life)):
                excused.update(state(change) for change in life if state(change) not in first)
            excused.update(
                state(change)
                for change, newer in pairwise(life)
                if state(change) not in first and gap.holds(change) and gap.holds(newer)
            )
    return excused


def _strange(
    written: list[Change], first: dict[State, Received], skipped: set[State], unknown: set[str]
) -> list[Received]:
    """Of no change; or not of its type, but for an object whose creation was skipped: its first state is Added."""
    types = {state(change): change.type for change in written}
    unborn = {
        change.uid for change in written if change.type == "Added" and state(change) in skipped
    } | unknown
    wrong = []
    for of, event in first.items():
        begins = event.type == "Added" and event.uid in unborn and types.get(of) == "Modified"
        if event.type != types.get(of) and not begins:
            wrong.append(event)
        if begins:
            unborn.discard(event.uid)
    return wrong


def _disorder(written: list[Change], first: dict[State, Received]) -> list[str]:
    """Changes that arrived before an earlier one of the same object."""
    latest: dict[str, int] = {}
    wrong = []
    for change in written:
        event = first.get(state(change))
        if event is None:
            continue
        if event.number < latest.get(change.key, -1):
            wrong.append(f"{change.type} {change.key} {change.version}")
        latest[change.key] = max(event.number, latest.get(change.key, -1))
    return wrong


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
