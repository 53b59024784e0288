"""The operator is killed, and the API server forgets its history before the next start, while a writer works."""

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.conftest import Tell
from tests.chaos.kit import (
    NAMESPACE,
    Gap,
    Kill,
    Operator,
    killed,
    new_source,
    settled,
    until_more,
    until_watching,
)
from tests.support.controlplane import wait_for
from tests.support.recorder import Recorder
from tests.support.writer import Writer
from tools.controlplane.plane import ControlPlane

ROUNDS = 2
BEFORE_SECONDS = 5.0
"""The position is not older than this when something changes."""


# The writer's own client (urllib3) drops the socket of a handshake that the restart cuts off.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
def test_what_happened_before_a_lost_history_arrives_as_a_difference(
    own_plane: ControlPlane, recorder: Recorder, tmp_path: Path, tell: Tell
) -> None:
    """Newest states and deletions, what was told already not again; but for the double fault of the architecture."""
    new_source(own_plane)
    gaps: list[Gap] = []
    kills: list[Kill] = []
    with Operator(own_plane, recorder.url, tmp_path) as operator:
        until_watching(own_plane, operator)
        with Writer(own_plane, NAMESPACE, 100_000, rate=60) as writer:
            for _ in range(ROUNDS):
                until_more(recorder, 120, operator, 40)
                kills.append(killed(own_plane, operator))
                written = len(writer.changes)
                wait_for(lambda n=written: len(writer.changes) > n + 100, 40, "changes while it is down")  # type: ignore[misc]
                own_plane.forget_history()
                operator.start()
                until_more(recorder, 40, operator, 60)
                assert operator.expired >= 1, "the history was not lost"
                gap = Gap(kills[-1].at - BEFORE_SECONDS, time.monotonic(), kills[-1].position)
                gaps.append(gap)
            until_more(recorder, 120, operator, 40)
            writer.stop()
            writer.join()
            changes = writer.changes
        verdict = settled(changes, recorder, operator, 60, gaps=gaps, kills=kills)
    missed = Counter(
        c.type for c in changes if any(k.at < c.at < g.ended for k, g in zip(kills, gaps, strict=True))
    )
    tell(f"{ROUNDS} kills with the history lost; {verdict}; changed meanwhile: {dict(missed)}")
    assert verdict.skipped > 0, "nothing was hidden: the proof is none"
    assert missed["Deleted"] >= 5
