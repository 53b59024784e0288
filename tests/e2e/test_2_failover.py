"""Two replicas under fire: the leader killed, frozen, replaced while changes come; nothing is lost."""

import contextlib
import itertools
import json
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.kit import processes, sink
from tests.e2e.kit.cluster import OPERATOR, Cluster
from tests.e2e.kit.installation import configure
from tests.e2e.kit.lease import LeaseLog, logged
from tests.e2e.kit.telling import Tell
from tests.support.controlplane import wait_for

TAKEOVER_SECONDS = 15
"""From the death of a leader to the next one."""
CLEAN_TAKEOVER_SECONDS = 2
"""From the release of the lease to the next leader."""
BUSY_SECONDS = 1
"""What a busy machine adds to a look each second."""
FIRST_EVENT_SECONDS = 5
"""What a new leader needs on a busy machine to read checkpoints, open watches and send."""
POSITION_SECONDS = 2
"""How often a position is written at the most: what was acknowledged since can be sent again."""
WRITING_SECONDS = 1
"""What the writing of a position itself takes on a busy machine."""
KERNEL_SECONDS = 0.5
"""What a process had handed to the kernel before a signal may arrive until then."""
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
        self.pods = addresses(cluster)
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


def check(comparison: sink.Comparison) -> None:
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


@pytest.fixture
def lease(cluster: Cluster, load: str) -> Iterator[LeaseLog]:  # noqa: ARG001 - the operator must be there
    """How the lease changes hands during the test."""
    with logged(cluster) as log:
        yield log


def test_a_quiet_run_sends_each_change_once(run: Callable[..., Run], tell: Tell) -> None:
    load = run("quiet", total=400, per_second=100)
    load.writers.start()
    comparison, received = load.verdict()
    tell(f"{len(received)} events for {load.total} changes, {comparison.duplicates} sent twice")
    check(comparison)
    assert comparison.duplicates == 0


def test_kill_9_of_the_leader_during_a_thousand_changes(
    cluster: Cluster, run: Callable[..., Run], tell: Tell
) -> None:
    load = run("killed", total=1000, per_second=40)
    load.writers.start()
    load.written(0.3)
    holder = cluster.leader()
    killed = processes.send(cluster, processes.leading_pod(cluster), signal.SIGKILL)
    allowed = load.may_repeat(killed + KERNEL_SECONDS)
    wait_for(lambda: cluster.leader() not in {"", holder}, 60, "another holder of the lease")
    taken = cluster.leading_since() - killed
    comparison, received = load.verdict()
    silence = longest_gap(received, killed)
    tell(
        f"lease taken over {taken:.1f} s and first event {silence:.1f} s after SIGKILL; "
        f"{load.total} changes, {len(comparison.lost)} lost, {comparison.duplicates} sent twice of "
        f"{len(allowed)} in flight or acknowledged since the last position write"
    )
    check(comparison)
    check_repeated(received, allowed, killed)
    assert len(check_turns(load, received)) == 2
    assert taken <= TAKEOVER_SECONDS
    assert silence <= TAKEOVER_SECONDS + FIRST_EVENT_SECONDS


def test_a_rolling_update_during_load(
    cluster: Cluster, run: Callable[..., Run], lease: LeaseLog, tell: Tell
) -> None:
    load = run("rolled", total=4000, per_second=40)
    load.writers.start()
    load.written(0.05)
    started = time.time()
    cluster.kubectl("-n", OPERATOR, "rollout", "restart", f"deployment/{OPERATOR}")
    cluster.rolled_out(OPERATOR, OPERATOR)
    load.sent_by_another(load.pods)
    comparison, received = load.verdict()
    silence = longest_gap(received, started)
    tell(
        f"{check_handovers(lease)}, longest silence {silence:.1f} s; {load.writers.done} changes, "
        f"{len(comparison.lost)} lost, {comparison.duplicates} sent twice"
    )
    check(comparison)
    assert comparison.duplicates == 0  # each leader left in order
    assert len(check_turns(load, received)) >= 2


def test_a_drain_takes_the_leader_and_leaves_the_other(
    cluster: Cluster, run: Callable[..., Run], lease: LeaseLog, tell: Tell
) -> None:
    load = run("drained", total=4000, per_second=40)
    load.writers.start()
    load.written(0.05)
    pod = processes.leading_pod(cluster)
    address = processes.address(cluster, pod)
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
    load.sent_by_another({address})
    comparison, received = load.verdict()
    silence = longest_gap(received, started)
    tell(
        f"{check_handovers(lease)}, {lease.handovers()[0].at - started:.1f} s after the eviction; "
        f"longest silence {silence:.1f} s; {len(comparison.lost)} lost, "
        f"{comparison.duplicates} sent twice"
    )
    check(comparison)
    assert comparison.duplicates == 0
    assert len(check_turns(load, received)) == 2
    cluster.rolled_out(OPERATOR, OPERATOR)


def test_sigterm_is_handled_by_process_1_and_the_container_starts_again(
    cluster: Cluster, run: Callable[..., Run], lease: LeaseLog, tell: Tell
) -> None:
    if cluster.work is None:
        pytest.skip("a signal needs the node's processes: only in a cluster made here")
    load = run("stopped", total=4000, per_second=40)
    load.writers.start()
    load.written(0.05)
    pod = processes.leading_pod(cluster)
    address = processes.address(cluster, pod)
    before = processes.container(cluster, pod)["restartCount"]
    assert processes.number_within(processes.process_of(cluster, pod)) == 1
    stopped = processes.send(cluster, pod, signal.SIGTERM)
    load.sent_by_another({address})

    def again() -> dict[str, Any]:
        state = processes.container(cluster, pod)
        assert state["ready"]
        assert state["restartCount"] == before + 1
        return dict(state["lastState"]["terminated"])

    ended = wait_for(again, 90, "the container to be ready again")
    comparison, received = load.verdict()
    silence = longest_gap(received, stopped)
    tell(
        f"exit code {ended['exitCode']} ({ended['reason']}), {check_handovers(lease)}, "
        f"{lease.handovers()[0].at - stopped:.1f} s after SIGTERM; "
        f"longest silence {silence:.1f} s; {len(comparison.lost)} lost, {comparison.duplicates} sent twice"
    )
    assert (ended["exitCode"], ended.get("signal", 0)) == (0, 0)
    check(comparison)
    assert comparison.duplicates == 0
    assert len(check_turns(load, received)) == 2


def test_a_leader_that_slept_through_its_lease_sends_nothing_more(
    cluster: Cluster, run: Callable[..., Run], tell: Tell
) -> None:
    if cluster.work is None:
        pytest.skip("SIGSTOP needs the node's processes: only in a cluster made here")
    load = run("slept", total=800, per_second=25)
    load.writers.start()
    load.written(0.2)
    pod = processes.leading_pod(cluster)
    address = processes.address(cluster, pod)
    holder = cluster.leader()
    frozen = processes.send(cluster, pod, signal.SIGSTOP)
    try:
        allowed = load.may_repeat(frozen + KERNEL_SECONDS)
        wait_for(lambda: cluster.leader() not in {"", holder}, 40, "another holder of the lease")
    finally:
        woken = processes.send(cluster, pod, signal.SIGCONT)
    taken = cluster.leading_since()
    comparison, received = load.verdict()
    late = [
        record for record in received if record["from"] == address and record["at"] > frozen + KERNEL_SECONDS
    ]
    silence = longest_gap(received, frozen + KERNEL_SECONDS) + KERNEL_SECONDS
    tell(
        f"lease taken over {taken - frozen:.1f} s and first event {silence:.1f} s after SIGSTOP, the sleeper woke at "
        f"{woken - frozen:.1f} s and sent {len(late)} events after that; {len(comparison.lost)} lost, "
        f"{comparison.duplicates} sent twice of {len(allowed)} that may be"
    )
    assert [record for record in received if record["from"] == address], "it never sent"
    assert late == []
    check(comparison)
    check_repeated(received, allowed, frozen)
    assert len(check_turns(load, received)) == 2
    assert taken - frozen <= TAKEOVER_SECONDS
    assert silence <= TAKEOVER_SECONDS + FIRST_EVENT_SECONDS
