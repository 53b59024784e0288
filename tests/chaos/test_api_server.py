"""The API server is killed while a writer works."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.conftest import Tell
from tests.chaos.kit import (
    NAMESPACE,
    Operator,
    new_source,
    settled,
    until_watching,
)
from tests.support.controlplane import wait_for
from tests.support.recorder import Recorder
from tests.support.writer import Writer
from tools.controlplane.plane import ControlPlane

ROUNDS = 3
OUTAGE_SECONDS = 60.0 if os.environ.get("CHAOS_LONG") else 5.0


# The writer's own client (urllib3) drops the socket of a handshake that the kill cuts off; it is not the operator's.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
def test_a_killed_api_server_costs_no_event(
    own_plane: ControlPlane, recorder: Recorder, tmp_path: Path, tell: Tell
) -> None:
    new_source(own_plane)
    returns = []
    with Operator(own_plane, recorder.url, tmp_path) as operator:
        until_watching(own_plane, operator)
        with Writer(own_plane, NAMESPACE, 100_000, rate=60) as writer:
            for _ in range(ROUNDS):
                count = len(recorder.received)
                wait_for(lambda n=count: len(recorder.received) > n + 40, 20, "deliveries", operator.tail)  # type: ignore[misc]
                own_plane.kill("kube-apiserver", signal.SIGKILL)
                time.sleep(OUTAGE_SECONDS)
                own_plane.start_component("kube-apiserver")
                back, count = time.monotonic(), len(recorder.received)
                wait_for(lambda n=count: len(recorder.received) > n, 20, "a delivery again", operator.tail)  # type: ignore[misc]
                returns.append(recorder.received[count].at - back)
            writer.stop()
            writer.join()
            changes = writer.changes
        verdict = settled(changes, recorder, operator, 40)
    tell(f"{ROUNDS} kills, first delivery {max(returns):.2f} s after the return at most; {verdict}")
    assert max(returns) <= 3.0
    assert verdict.duplicates == 0
