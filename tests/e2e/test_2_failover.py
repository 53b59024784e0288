"""Two replicas under fire: the leader killed, frozen, replaced while changes come; nothing is lost."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.kit import processes, sink
from tests.e2e.kit.cluster import OPERATOR, Cluster
from tests.e2e.kit.installation import configure
from tests.e2e.kit.lease import LeaseLog, logged
from tests.e2e.kit.load import (
    Run,
    check,
    check_handovers,
    check_repeated,
    check_turns,
    longest_gap,
)
from tests.e2e.kit.telling import Tell
from tests.support.controlplane import wait_for

TAKEOVER_SECONDS = 15
"""From the death of a leader to the next one."""
FIRST_EVENT_SECONDS = 5
"""What a new leader needs on a busy machine to read checkpoints, open watches and send."""
KERNEL_SECONDS = 0.5
"""What a process had handed to the kernel before a signal may arrive until then."""


@pytest.fixture(scope="module")
def load(cluster: Cluster, operator: str) -> Iterator[str]:
    """A namespace with the recording sink, which the operator may send to."""
    with cluster.namespace("load") as namespace:
        url = sink.deploy(cluster, namespace)
        configure(cluster, operator, allowServers=url)
        yield namespace


@pytest.fixture
def run(cluster: Cluster, load: str) -> Callable[..., Run]:
    """Makes loads in the module's namespace."""

    def make(name: str, *, total: int, per_second: float) -> Run:
        return Run(cluster, load, name, total, per_second)

    return make


@pytest.fixture
def lease(cluster: Cluster, load: str) -> Iterator[LeaseLog]:  # noqa: ARG001 - the operator must be there
    """How the lease changes hands during the test."""
    with logged(cluster) as log:
        yield log


def silenced(cluster: Cluster, load: Run, pod: str, number: signal.Signals) -> tuple[float, set[str]]:
    """Ends the leader without a farewell, and waits for the next one; returns when, and what may be sent again."""
    holder = cluster.leader()
    ended = processes.send(cluster, pod, number)
    allowed = load.may_repeat(ended + KERNEL_SECONDS)
    wait_for(lambda: cluster.leader() not in {"", holder}, 40, "another holder of the lease")
    return ended, allowed


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
    load.start(0.3)
    killed, allowed = silenced(cluster, load, processes.leading_pod(cluster), signal.SIGKILL)
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
    load.start(0.05)
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
    load.start(0.05)
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
    load.start(0.05)
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
    load.start(0.2)
    pod = processes.leading_pod(cluster)
    address = processes.address(cluster, pod)
    try:
        frozen, allowed = silenced(cluster, load, pod, signal.SIGSTOP)
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
