"""Two replicas under fire: the leader killed, frozen, replaced while changes come; nothing is lost."""

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.kit import processes, sink
from tests.e2e.kit.cluster import OPERATOR, Cluster
from tests.e2e.kit.installation import configure
from tests.e2e.kit.telling import Tell
from tests.support.controlplane import wait_for

TAKEOVER_SECONDS = 15
CLEAN_TAKEOVER_SECONDS = 2
POSITION_SECONDS = 2
"""How old a position may be: what was acknowledged since can be sent again."""
IN_FLIGHT = 64
Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def load(cluster: Cluster, operator: str) -> Iterator[str]:
    """A namespace with the recording sink, which the operator may send to."""
    with cluster.namespace("load") as namespace:
        url = sink.deploy(cluster, namespace)
        configure(cluster, operator, allowServers=url)
        yield namespace


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
        self.writers = sink.Writers(cluster, namespace, name, total=total, per_second=per_second)

    def received(self) -> Records:
        """The records of this load's objects, in the order of arrival."""
        return [
            record
            for record in sink.records(self.cluster, self.namespace)
            if str(record["name"]).startswith(f"{self.name}-")
        ]

    def written(self, part: float) -> None:
        """Waits until a part of the changes is done."""
        wait_for(lambda: self.writers.done >= self.total * part, 120, f"{part:.0%} of the changes")

    def verdict(self) -> tuple[sink.Comparison, Records]:
        """Waits until everything arrived, or nothing more does for 30 s, and compares."""
        changes = self.writers.finish()
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not sink.compare(changes, self.received()).lost, 60, "all changes")
        received = self.received()
        return sink.compare(changes, received), received


@pytest.fixture
def run(cluster: Cluster, load: str) -> Callable[..., Run]:
    """Makes loads in the module's namespace."""

    def make(name: str, *, total: int, per_second: float) -> Run:
        return Run(cluster, load, name, total, per_second)

    return make


def longest_gap(received: Records, after: float) -> float:
    """Seconds without an arrival, at most, from a moment on."""
    times = sorted(record["at"] for record in received if record["at"] >= after)
    moments = [after, *times]
    return max((later - earlier for earlier, later in zip(moments, times, strict=False)), default=0.0)


def check(comparison: sink.Comparison, duplicates_at_most: float) -> None:
    assert comparison.lost == []
    assert comparison.unexpected == []
    assert comparison.ambiguous == 0
    assert comparison.out_of_order == []
    assert comparison.duplicates <= duplicates_at_most


def test_a_quiet_run_sends_each_change_once(run: Callable[..., Run], tell: Tell) -> None:
    load = run("quiet", total=400, per_second=100)
    load.writers.start()
    comparison, received = load.verdict()
    check(comparison, duplicates_at_most=0)
    tell(f"{len(received)} events for {load.total} changes, no duplicate")


def test_kill_9_of_the_leader_during_a_thousand_changes(
    cluster: Cluster, run: Callable[..., Run], tell: Tell
) -> None:
    load = run("killed", total=1000, per_second=40)
    load.writers.start()
    load.written(0.3)
    pod = processes.leading_pod(cluster)
    holder, killed = cluster.leader(), time.time()
    processes.send(cluster, pod, signal.SIGKILL)
    wait_for(lambda: cluster.leader() not in {"", holder}, 60, "another holder of the lease")
    taken = time.time() - killed
    comparison, received = load.verdict()
    silence = longest_gap(received, killed)
    tell(
        f"lease taken over {taken:.1f} s and first event {silence:.1f} s after SIGKILL; "
        f"{load.total} changes, {len(comparison.lost)} lost, {comparison.duplicates} sent twice"
    )
    check(comparison, duplicates_at_most=IN_FLIGHT + load.per_second * (POSITION_SECONDS + 1))
    assert silence <= TAKEOVER_SECONDS + 1  # what comes first must be read, sent and recorded


def test_a_rolling_update_during_load(cluster: Cluster, run: Callable[..., Run], tell: Tell) -> None:
    load = run("rolled", total=1000, per_second=40)
    load.writers.start()
    load.written(0.2)
    started = time.time()
    cluster.kubectl("-n", OPERATOR, "rollout", "restart", f"deployment/{OPERATOR}")
    cluster.rolled_out(OPERATOR, OPERATOR)
    comparison, received = load.verdict()
    silence = longest_gap(received, started)
    tell(
        f"longest silence {silence:.1f} s; {load.total} changes, {len(comparison.lost)} lost, "
        f"{comparison.duplicates} sent twice"
    )
    check(comparison, duplicates_at_most=0)  # each leader left in order
    assert silence <= CLEAN_TAKEOVER_SECONDS + 1


def test_a_drain_takes_the_leader_and_leaves_the_other(
    cluster: Cluster, run: Callable[..., Run], tell: Tell
) -> None:
    load = run("drained", total=600, per_second=40)
    load.writers.start()
    load.written(0.2)
    pod = processes.leading_pod(cluster)
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": OPERATOR},
    }
    started = time.time()
    cluster.kubectl(
        "create",
        "--raw",
        f"/api/v1/namespaces/{OPERATOR}/pods/{pod}/eviction",
        "-f",
        "-",
        stdin=json.dumps(eviction),
    )
    comparison, received = load.verdict()
    silence = longest_gap(received, started)
    tell(f"longest silence {silence:.1f} s; {len(comparison.lost)} lost, {comparison.duplicates} sent twice")
    check(comparison, duplicates_at_most=0)
    assert silence <= CLEAN_TAKEOVER_SECONDS + 1
    cluster.rolled_out(OPERATOR, OPERATOR)


def test_a_leader_that_slept_through_its_lease_sends_nothing_more(
    cluster: Cluster, run: Callable[..., Run], tell: Tell
) -> None:
    if cluster.work is None:
        pytest.skip("SIGSTOP needs the node's processes: only in a cluster made here")
    load = run("slept", total=800, per_second=25)
    load.writers.start()
    load.written(0.2)
    pod = processes.leading_pod(cluster)
    address = cluster.get("-n", OPERATOR, "pod", pod)["status"]["podIP"]
    holder, frozen = cluster.leader(), time.time()
    processes.send(cluster, pod, signal.SIGSTOP)
    try:
        wait_for(lambda: cluster.leader() not in {"", holder}, 40, "another holder of the lease")
        taken = time.time()
    finally:
        processes.send(cluster, pod, signal.SIGCONT)
    woken = time.time()
    comparison, received = load.verdict()
    # What it had handed to the kernel before it froze may still arrive; after that, nothing may.
    late = [record for record in received if record["from"] == address and record["at"] > taken]
    tell(
        f"lease taken over after {taken - frozen:.1f} s, the sleeper woke at {woken - frozen:.1f} s and sent "
        f"{len(late)} events after that; {len(comparison.lost)} lost, {comparison.duplicates} sent twice"
    )
    assert late == []
    check(comparison, duplicates_at_most=IN_FLIGHT + load.per_second * (POSITION_SECONDS + 1))
