"""A load on two replicas: what was written, what the sink got, and what may be said of both."""

import contextlib
import itertools
from collections import Counter
from typing import Any

from tests.e2e.kit import sink
from tests.e2e.kit.cluster import OPERATOR, Cluster
from tests.e2e.kit.lease import LeaseLog
from tests.support.controlplane import wait_for

CLEAN_TAKEOVER_SECONDS = 2
"""From the release of the lease to the next leader."""
BUSY_SECONDS = 1
"""What a busy machine adds to a look each second."""
POSITION_SECONDS = 2
"""How often a position is written at the most: what was acknowledged since can be sent again."""
WRITING_SECONDS = 1
"""What the writing of a position itself takes on a busy machine."""
Records = list[dict[str, Any]]


class Run:
    """One load against one EventSource, and what the sink got of it."""

    def __init__(self, cluster: Cluster, namespace: str, name: str, total: int, per_second: float) -> None:
        self.cluster, self.namespace = cluster, namespace
        source = sink.event_source(namespace, name, f"http://{sink.NAME}.{namespace}.svc:2746")
        cluster.apply(source)
        cluster.kubectl(
            "-n", namespace, "wait", "--for=condition=Ready", f"eventsource/{name}", "--timeout=60s"
        )
        self.name, self.total, self.per_second = name, total, per_second
        self.pods = addresses(cluster)
        self.writers = sink.Writers(cluster, namespace, name, total=total, per_second=per_second)

    def received(self) -> Records:
        """The records of this load's objects, in the order of arrival."""
        return [
            record
            for record in sink.records(self.cluster, self.namespace)
            if str(record["name"]).startswith(f"{self.name}-")
        ]

    def start(self, part: float) -> None:
        """Starts the writers, and waits until a part of the changes is done."""
        self.writers.start()
        wait_for(lambda: self.writers.done >= self.total * part, 120, f"{part:.0%} of the changes")

    def sent_by_another(self, addresses: set[str]) -> None:
        """Waits for an event from another pod, then lets the writers end: the load has lasted for long enough."""
        wait_for(lambda: self.received()[-1]["from"] not in addresses, 60, "an event from another pod")
        self.writers.enough()

    def may_repeat(self, until: float) -> set[str]:
        """Ids of what was in flight when the leader ended, or acknowledged since its last position write.

        To be asked before another leader writes positions. What stands in the checkpoint as done above the position
        is not among them.
        """
        heads = [
            item
            for item in self.cluster.get("-n", self.namespace, "eventsourcecheckpoints")["items"]
            if (item["role"], item["source"]["name"]) == ("Head", self.name)
        ]
        position, done = 0, set[str]()
        for head in heads:
            (target,) = head["targets"]
            position, done = int(target["position"]), set(target["done"])
        return {
            str(record["id"])
            for record in self.received()
            if record["at"] <= until and int(record["version"] or 0) > position
        } - done

    def verdict(self) -> tuple[sink.Comparison, Records]:
        """Waits until everything arrived, or nothing more does for 30 s, and compares."""
        changes = self.writers.finish()
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not sink.compare(changes, self.received()).lost, 60, "all changes")
        received = self.received()
        return sink.compare(changes, received), received


def longest_gap(received: Records, after: float) -> float:
    """Seconds without an arrival, at most, from a moment on."""
    times = sorted(record["at"] for record in received if record["at"] >= after)
    moments = [after, *times]
    return max((later - earlier for earlier, later in zip(moments, times, strict=False)), default=0.0)


def check(comparison: sink.Comparison) -> None:
    """All arrived, as it was written and in the order of each object."""
    assert comparison.lost == []
    assert comparison.unexpected == []
    assert comparison.ambiguous == 0
    assert comparison.out_of_order == []


def check_repeated(received: Records, allowed: set[str], ended: float) -> None:
    """Sent again is only what was allowed to be, once, and nothing that was acknowledged long before the end."""
    counted = Counter(str(record["id"]) for record in received)
    repeated = {ident for ident, times in counted.items() if times > 1}
    assert repeated - allowed == set()
    assert max(counted.values()) <= 2
    first = {str(record["id"]): float(record["at"]) for record in reversed(received)}
    early = {
        ident: ended - first[ident]
        for ident in allowed
        if first[ident] < ended - POSITION_SECONDS - WRITING_SECONDS
    }
    assert early == {}, "the last position was written longer before the end than it may be"


def addresses(cluster: Cluster) -> set[str]:
    """Of the operator's pods."""
    pods = cluster.get("-n", OPERATOR, "pods", "-l", "app.kubernetes.io/component=operator")["items"]
    return {str(pod["status"].get("podIP")) for pod in pods}


def check_turns(load: Run, received: Records) -> list[str]:
    """Each leader sent before the next one began, and none began again; returns their addresses in turn."""
    senders = [str(address) for address, _ in itertools.groupby(record["from"] for record in received)]
    assert len(senders) == len(set(senders)), senders
    assert set(senders) <= load.pods | addresses(load.cluster), "the sink does not see who sends"
    return senders


def check_handovers(lease: LeaseLog) -> str:
    """Each holder released the lease, and the next one took it soon; a text for the report."""
    handovers = lease.handovers()
    assert handovers
    assert all(each.clean for each in handovers), handovers
    assert max(each.seconds for each in handovers) <= CLEAN_TAKEOVER_SECONDS + BUSY_SECONDS
    return "handed over after " + ", ".join(f"{each.seconds:.2f} s" for each in handovers)
