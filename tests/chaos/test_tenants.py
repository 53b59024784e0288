"""A tenant whose server is dead, with far more changes than may wait, beside one whose server works."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.conftest import Tell
from tests.support.controlplane import wait_for
from tests.support.recorder import Recorder
from tests.support.running_operator import Operator
from tests.support.sink import Fault
from tests.support.writer import Writer
from tools.controlplane.plane import ControlPlane

BACKLOG = 20_000 if os.environ.get("CHAOS_LONG") else 1_500
"""Changes of the bad tenant, each of which all of its sources select."""
SOURCES = 16
"""Of the bad tenant: each alone may hold but a share, so that many come to more."""
MEASURED = 400
RATE = 50
ROUNDS = 3
DELAY_SECONDS = 0.1
LIMIT = 10_000
"""What may wait in all (contract, G6)."""


@pytest.fixture(params=["refused", "hung"])
def dead(request: pytest.FixtureRequest) -> Iterator[str]:
    """The url of a server that refuses connections, or takes requests and never answers."""
    with Recorder() as server:
        server.always(Fault.HANG)
        if request.param == "refused":
            server.refuse()
        yield server.url


def _source(plane: ControlPlane, namespace: str, name: str, **spec: Any) -> None:
    plane.apply(
        json.dumps(
            {
                "apiVersion": "eventsource-operator.dev/v1alpha1",
                "kind": "EventSource",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"watch": [{"names": ["cm-*"]}], **spec},
            }
        )
    )


def _until_watching(plane: ControlPlane, operator: Operator, count: int) -> None:
    def watching() -> bool:
        path = "jsonpath={.items[*].status.conditions[?(@.type=='Watching')].status}"
        return plane.kubectl("get", "eventsources", "-A", "-o", path).split() == ["True"] * count

    wait_for(watching, 60, f"{count} sources watch", operator.tail)


def _pending(operator: Operator, tenant: str) -> float:
    """Changes of a tenant's sources that wait, by the operator's metrics."""
    found = re.findall(
        rf'^eventsource_operator_pending{{source="{tenant}/.*"}} (.+)$', operator.metrics(), re.MULTILINE
    )
    return sum(map(float, found))


def _p99(found: tuple[float, float]) -> float:
    return found[1]


def _percentiles(plane: ControlPlane, recorder: Recorder, operator: Operator) -> tuple[float, float]:
    """The good tenant works for a while: p50 and p99 of acknowledged by the API server to arrived, seconds."""
    plane.kubectl("-n", "good", "delete", "configmaps", "--all")  # what a round before left
    with Writer(plane, "good", MEASURED, rate=RATE, threads=2, objects=20) as writer:
        writer.join()
        changes = writer.changes

    def arrived() -> dict[tuple[str, str, int], float]:
        return {
            (each.type, each.uid, 0 if each.type == "Deleted" else each.version): each.at
            for each in list(recorder.received)
        }

    wanted = {change.identity for change in changes}
    wait_for(lambda: wanted <= arrived().keys(), 30, "the good tenant's events", operator.tail)
    found = arrived()
    delays = sorted(max(0.0, found[change.identity] - change.at) for change in changes)
    return delays[len(delays) // 2], delays[int(len(delays) * 0.99)]


@pytest.mark.timeout(1800 if BACKLOG > 2_000 else 600)
def test_a_dead_server_of_one_tenant_does_not_delay_another(
    own_plane: ControlPlane, recorder: Recorder, dead: str, tmp_path: Path, tell: Tell
) -> None:
    """The bad tenant's changes fill all that it may hold; the good one's events come as they did without it.

    The machine's own noise only ever adds to a delay: of some rounds the best one tells what the operator does.
    """
    for namespace in ("good", "bad"):
        own_plane.kubectl("create", "namespace", namespace)
    _source(own_plane, "good", "source")
    with ExitStack() as stack:
        operator = stack.enter_context(
            Operator(own_plane, recorder.url, tmp_path, namespaces=("good", "bad"), allowed=(dead,))
        )
        _until_watching(own_plane, operator, 1)
        alone = min((_percentiles(own_plane, recorder, operator) for _ in range(ROUNDS)), key=_p99)
        for number in range(SOURCES):
            _source(own_plane, "bad", f"source-{number}", server={"url": dead})
        _until_watching(own_plane, operator, SOURCES + 1)
        with Writer(own_plane, "bad", BACKLOG, threads=4, objects=200) as writer:
            writer.join(900)
            assert len(writer.changes) == BACKLOG
        wait_for(lambda: _pending(operator, "bad") > LIMIT / 2, 60, "the backlog", operator.tail)
        beside = (float("inf"), float("inf"))
        for _ in range(ROUNDS):
            beside = min(beside, _percentiles(own_plane, recorder, operator), key=_p99)
            if beside[1] - alone[1] < DELAY_SECONDS:
                break
        pending = _pending(operator, "bad")
        tell(
            f"{BACKLOG} changes x {SOURCES} sources to a dead server, {pending:.0f} of them in memory; "
            f"the other tenant's events: alone p50 {alone[0] * 1000:.1f} ms, p99 {alone[1] * 1000:.1f} ms, "
            f"beside it p50 {beside[0] * 1000:.1f} ms, p99 {beside[1] * 1000:.1f} ms"
        )
        assert LIMIT / 2 < pending < LIMIT
        assert beside[1] - alone[1] < DELAY_SECONDS
