"""Leader election on a Lease of the real API server: takeover after release, death and a frozen leader."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.errors import Unreachable
from eventsource_operator.kube.leader import Leadership
from eventsource_operator.kube.lease import REQUEST_SECONDS
from tests.support.controlplane import PlaneFactory, wait_for_async
from tools.controlplane.plane import ControlPlane

LEASE = "eventsource-operator"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
EARLIEST_SECONDS = 12
"""After the last renewal a standby waits at least so long; whoever renewed has stopped by then."""
RENEW_DEADLINE_SECONDS = 10
CANDIDATE = Path(__file__).parents[1] / "support" / "candidate.py"


class Candidate:
    """A candidate in this process; `told` are its callbacks."""

    def __init__(self, client: KubeClient, namespace: str, **options: Any) -> None:
        self.told: list[str] = []
        self.leadership = Leadership(
            client,
            namespace=namespace,
            name=LEASE,
            on_started=options.pop("on_started", self._started),
            on_stopped=self._stopped,
            **options,
        )
        self.running = asyncio.create_task(self.leadership.run())

    async def _started(self) -> None:
        self.told.append("started")

    async def _stopped(self) -> None:
        self.told.append("stopped")

    async def leads(self, within: float = 10) -> None:
        await wait_for_async(self.is_leader, within, "this candidate to lead")

    def is_leader(self) -> bool:
        return self.leadership.is_leader


class Process:
    """A candidate in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[list[str]] = []
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, plane: ControlPlane, namespace: str) -> "Process":
        command = (sys.executable, str(CANDIDATE), str(plane.kubeconfig), namespace, LEASE)
        return cls(await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE))

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.append(line.decode().split())

    def said(self, word: str) -> list[float]:
        return [float(line[1]) for line in self.lines if line[0] == word]

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        await self.process.wait()
        await self._reading


@pytest.fixture
async def candidate(client: KubeClient, namespace: str) -> AsyncIterator[Callable[..., Candidate]]:
    made: list[Candidate] = []

    def make(**options: Any) -> Candidate:
        made.append(Candidate(client, namespace, **options))
        return made[-1]

    yield make
    for one in made:
        one.running.cancel()
    await asyncio.wait({one.running for one in made})


async def holder(client: KubeClient, namespace: str) -> dict[str, Any]:
    return dict((await client.request("GET", LEASES.format(namespace) + "/" + LEASE))["spec"])


async def test_one_of_two_leads_and_a_release_hands_over_within_two_seconds(
    candidate: Callable[..., Candidate], client: KubeClient, namespace: str
) -> None:
    first = candidate()
    await first.leads()
    second = candidate()
    spec = await holder(client, namespace)
    assert spec["holderIdentity"] == first.leadership.identity
    assert spec["leaseDurationSeconds"] == 15
    assert abs(time.time() - _unix(spec["renewTime"])) < 10
    assert not second.is_leader()

    async def renewed() -> bool:
        now = await holder(client, namespace)
        assert now["acquireTime"] == spec["acquireTime"]
        return bool(now["renewTime"] > spec["renewTime"])

    predicate: Callable[[], bool | Awaitable[bool]] = renewed
    assert await wait_for_async(predicate, 10, "a renewal")
    assert not second.is_leader()

    begun = time.monotonic()
    await first.leadership.release()
    assert not first.is_leader()
    await first.running
    await second.leads(2)
    taken = time.monotonic() - begun
    assert taken < 2
    spec = await holder(client, namespace)
    assert spec["holderIdentity"] == second.leadership.identity
    assert spec["leaseDurationSeconds"] == 15
    assert spec["leaseTransitions"] == 1
    assert first.told == ["started"]
    assert second.told == ["started"]
    print(f"takeover after release: {taken:.2f} s")  # noqa: T201 - a figure of the report


def _unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


async def test_a_term_ends_at_once_when_somebody_else_holds_the_lease(
    candidate: Callable[..., Candidate], client: KubeClient, namespace: str
) -> None:
    first = candidate()
    await first.leads()
    path = LEASES.format(namespace) + "/" + LEASE
    patch = {"spec": {"holderIdentity": "usurper"}}
    await client.request("PATCH", path, body=patch, content_type="application/merge-patch+json")
    await wait_for_async(lambda: first.told == ["started", "stopped"], 5, "the term to end")
    assert not first.is_leader()
    await first.leads(20)  # nobody renews for the usurper
    await wait_for_async(lambda: first.told == ["started", "stopped", "started"], 5, "the second term")


async def test_what_on_started_raises_ends_the_election(candidate: Callable[..., Candidate]) -> None:
    async def fail() -> None:
        raise RuntimeError("cannot start")

    broken = candidate(on_started=fail)
    with pytest.raises(RuntimeError, match="cannot start"):
        await asyncio.wait_for(asyncio.shield(broken.running), 10)
    assert not broken.is_leader()


async def _renewals(client: KubeClient, namespace: str, count: int) -> list[float]:
    """Waits for renewals; when each was seen, monotonic seconds."""
    seen, last = list[float](), ""
    while len(seen) < count:
        spec = await holder(client, namespace)
        if spec["renewTime"] != last:
            last = spec["renewTime"]
            seen.append(time.monotonic())
        await asyncio.sleep(0.01)
    return seen


async def test_a_standby_takes_over_within_15_seconds_of_the_leaders_death(
    candidate: Callable[..., Candidate], client: KubeClient, plane: ControlPlane, namespace: str
) -> None:
    """At the worst moment: the standby looks just before a renewal, and the leader dies just after it."""
    leader = await Process.start(plane, namespace)
    try:
        await wait_for_async(lambda: leader.said("leader"), 15, "the process to lead")
        (_, before, last) = await _renewals(client, namespace, 3)
        await asyncio.sleep(max(0.0, 2 * last - before - 0.2 - time.monotonic()))  # 0.2 s before the next one
        standby = candidate()
        await _renewals(client, namespace, 4)
        assert not standby.is_leader()
        leader.process.kill()
        died = time.monotonic()
        await standby.leads(20)
        taken = time.monotonic() - died
        print(f"takeover after SIGKILL: {taken:.2f} s")  # noqa: T201 - a figure of the report
        # The head start leaves a second of the 15 s for reading checkpoints and the first event.
        assert EARLIEST_SECONDS < taken < 15
    finally:
        await leader.end()


async def test_a_leader_that_is_cut_off_stops_before_a_standby_begins(
    candidate: Callable[..., Candidate],
    client: KubeClient,
    plane: ControlPlane,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It can still reach everything but the API server: nothing but the clock keeps it from sending."""

    async def unreachable(*_args: object, **_options: object) -> None:
        raise Unreachable(0, "Unreachable", "cut off by the test")

    cut = await KubeClient.connect(str(plane.kubeconfig))
    leader = Candidate(cut, namespace)
    try:
        await leader.leads()
        await _renewals(client, namespace, 2)
        standby = candidate()
        await _renewals(client, namespace, 3)
        monkeypatch.setattr(cut, "request", unreachable)
        led = begun = 0.0
        deadline = time.monotonic() + 20
        while not begun and time.monotonic() < deadline:
            now = time.monotonic()
            led = now if leader.is_leader() else led
            begun = now if standby.is_leader() else begun
            await asyncio.sleep(0.01)
        print(f"nobody led for {begun - led:.2f} s")  # noqa: T201 - a figure of the report
        assert begun - led > EARLIEST_SECONDS - RENEW_DEADLINE_SECONDS - 0.1
    finally:
        leader.running.cancel()
        await asyncio.wait({leader.running})
        await cut.close()


async def test_a_frozen_leader_that_wakes_up_after_its_lease_sends_nothing(
    candidate: Callable[..., Candidate], plane: ControlPlane, namespace: str
) -> None:
    frozen = await Process.start(plane, namespace)
    try:
        await wait_for_async(lambda: frozen.said("leader"), 15, "the process to lead")
        standby = candidate()
        frozen.process.send_signal(signal.SIGSTOP)
        await standby.leads(25)
        taken = time.monotonic()
        frozen.process.send_signal(signal.SIGCONT)
        await wait_for_async(lambda: frozen.said("stopped"), 10, "the woken process to stop")
        assert [at for at in frozen.said("leader") if at >= taken] == []
        assert standby.is_leader()
        await standby.leadership.release()
        await wait_for_async(lambda: [a for a in frozen.said("leader") if a > taken], 5, "it to lead again")
        assert len(frozen.said("started")) == 2
        frozen.process.send_signal(signal.SIGTERM)
        await wait_for_async(lambda: frozen.said("released"), 10, "the release")
        assert await frozen.process.wait() == 0
    finally:
        await frozen.end()


async def test_without_the_api_server_a_leader_stops_after_ten_seconds(
    fresh_plane: PlaneFactory, caplog: pytest.LogCaptureFixture
) -> None:
    plane = fresh_plane(controller_manager=False, argo=False)
    client = await KubeClient.connect(str(plane.kubeconfig))
    alone = Candidate(client, "default")
    try:
        await alone.leads()
        caplog.clear()
        spec = await holder(client, "default")
        plane.pause("kube-apiserver")
        begun, renewed = time.monotonic(), time.time() - _unix(spec["renewTime"])
        await wait_for_async(lambda: not alone.is_leader(), 12, "the leader to give up")
        lasted = time.monotonic() - begun
        # 10 s from the beginning of the last renewal, whose look at the Lease took 4 s at the most.
        assert RENEW_DEADLINE_SECONDS - REQUEST_SECONDS - renewed < lasted < RENEW_DEADLINE_SECONDS + 0.5
        await wait_for_async(lambda: alone.told == ["started", "stopped"], 8, "the term to end")
        ours = [r.getMessage() for r in caplog.records if r.name.startswith("eventsource_operator.kube.")]
        assert len(ours) == 2, ours  # the lease cannot be used; leadership lost
        plane.resume("kube-apiserver")
        await alone.leads(20)
    finally:
        alone.running.cancel()
        await asyncio.wait({alone.running})
        await client.close()
