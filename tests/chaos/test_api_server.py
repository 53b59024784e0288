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
    Return,
    lasting,
    new_source,
    settled,
    until_more,
    until_watching,
)
from tests.chaos.verdict import Gap
from tests.support.recorder import Recorder
from tests.support.writer import Writer
from tools.controlplane.plane import ControlPlane

LONG = bool(os.environ.get("CHAOS_LONG"))
ROUNDS = 2 if LONG else 3
OUTAGE_SECONDS = 60.0 if LONG else 5.0
RETURN_SECONDS = 3.0
RESIDENT_MIB = 200.0
BEFORE_SECONDS = 2.0
"""What was acknowledged so shortly before a kill may not have been told to any watch."""


class Outages:
    """Kills the API server again and again; notes when its history was lost to the operator.

    A restarted kube-apiserver begins its watch cache anew: it may answer 410 although nothing was compacted. What
    was written between is then seen as a difference only (guarantee G4), else state by state.
    """

    def __init__(self, plane: ControlPlane, operator: Operator, recorder: Recorder) -> None:
        self._plane = plane
        self._operator = operator
        self._recorder = recorder
        self.returns: list[float] = []
        self.gaps: list[Gap] = []
        self.resident = 0.0

    def one(self) -> None:
        """Down, up, and on until all goes its usual way again."""
        operator, recorder = self._operator, self._recorder
        expired, began = operator.expired, time.monotonic() - BEFORE_SECONDS
        self._plane.kill("kube-apiserver", signal.SIGKILL)
        lasting(OUTAGE_SECONDS, self._look)
        self._plane.start_component("kube-apiserver")
        back, count = Return(operator), len(recorder.received)
        until_more(recorder, 1, operator)
        self.returns.append(back.took(recorder.received[count].at))
        until_more(recorder, 40, operator)
        if operator.expired != expired:
            self.gaps.append(Gap(began, time.monotonic()))
        expired = operator.expired
        until_more(recorder, 100, operator)
        if operator.expired != expired:  # the list was older than the new cache: once more
            self.gaps.append(Gap(began, time.monotonic()))
        self._look()

    def _look(self) -> None:
        self.resident = max(self.resident, self._operator.resident)


# The writer's own client (urllib3) drops the socket of a handshake that the kill cuts off; it is not the operator's.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.timeout(900)
def test_a_killed_api_server_costs_no_event(
    own_plane: ControlPlane, recorder: Recorder, tmp_path: Path, tell: Tell
) -> None:
    new_source(own_plane, retry={"limit": 2, "backoffSeconds": 1, "maxBackoffSeconds": 1})
    with Operator(own_plane, recorder.url, tmp_path) as operator:
        until_watching(own_plane, operator)
        outages = Outages(own_plane, operator, recorder)
        with Writer(own_plane, NAMESPACE, 100_000, rate=60) as writer:
            until_more(recorder, 40, operator)
            for _ in range(ROUNDS):
                outages.one()
            writer.stop()
            writer.join()
            changes = writer.changes
        verdict = settled(changes, recorder, operator, gaps=outages.gaps)
        retried = operator.retried
    tell(
        f"{ROUNDS} times away {OUTAGE_SECONDS:.0f} s, {len(outages.gaps)} times with its history lost, "
        f"first delivery {max(outages.returns):.2f} s after the return at most, {retried:.0f} retries, "
        f"{outages.resident:.0f} MiB; {verdict}"
    )
    assert max(outages.returns) <= RETURN_SECONDS
    assert retried == 0
    assert outages.resident < RESIDENT_MIB
