"""The operator is killed, and the API server forgets its history before the next start, while a writer works."""

import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.conftest import Tell
from tests.chaos.kit import (
    NAMESPACE,
    PATIENCE_SECONDS,
    Operator,
    killed,
    new_source,
    progress,
    settled,
    until_more,
    until_watching,
)
from tests.chaos.verdict import Gap, Kill
from tests.support.controlplane import wait_for
from tests.support.recorder import Recorder
from tests.support.writer import Change, Writer
from tools.controlplane.plane import ControlPlane

ROUNDS = 2
KNOWN = 20
"""Objects of a round that the ledger knows; half of them change once meanwhile, the others are deleted."""
BEFORE_SECONDS = 5.0
"""The position is not older than this when something changes."""


class Known:
    """Objects that nobody touches but for one change, which only the list can tell of."""

    def __init__(self, plane: ControlPlane, number: int) -> None:
        self._plane = plane
        self._names = [f"cm-known-{number}-{each}" for each in range(KNOWN)]
        self.changes = [self._do("Added", name) for name in self._names]

    def disturb(self) -> None:
        """One change each."""
        half = KNOWN // 2
        self.changes += [self._do("Modified", name) for name in self._names[:half]]
        self.changes += [self._do("Deleted", name) for name in self._names[half:]]

    def stored(self) -> bool:
        """Whether the checkpoint knows all of them."""
        return int(progress(self._plane).position) >= max(change.version for change in self.changes)

    def _do(self, kind: str, name: str) -> Change:
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
        method = {"Added": "POST", "Modified": "PATCH", "Deleted": "DELETE"}[kind]
        body = {"metadata": {"name": name}, "data": {"kind": kind}} if kind != "Deleted" else None
        content = "application/merge-patch+json" if kind == "Modified" else "application/json"
        url = path if kind == "Added" else f"{path}/{name}"
        found = self._plane.api.request(method, url, body, content_type=content)
        if kind == "Deleted":
            return Change(kind, name, found["details"]["uid"], 0, time.monotonic())
        meta = found["metadata"]
        return Change(kind, name, meta["uid"], int(meta["resourceVersion"]), time.monotonic())


def _wrote(writer: Writer, count: int) -> bool:
    return len(writer.changes) >= count


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
    by_hand: list[Known] = []
    with Operator(own_plane, recorder.url, tmp_path) as operator:
        until_watching(own_plane, operator)
        with Writer(own_plane, NAMESPACE, 100_000, rate=60) as writer:
            for number in range(ROUNDS):
                known = Known(own_plane, number)
                by_hand.append(known)
                wait_for(known.stored, PATIENCE_SECONDS, "a position behind the known objects", operator.tail)
                until_more(recorder, 20, operator)
                kills.append(killed(own_plane, operator))
                known.disturb()
                enough = len(writer.changes) + 100
                wait_for(partial(_wrote, writer, enough), PATIENCE_SECONDS, "changes while it is down")
                own_plane.forget_history()
                operator.start()
                until_more(recorder, 40, operator)
                assert operator.expired >= 1, "the history was not lost"
                gaps.append(Gap(kills[-1].at - BEFORE_SECONDS, time.monotonic(), kills[-1].position))
            writer.stop()
            writer.join()
            changes = writer.changes + [change for known in by_hand for change in known.changes]
        verdict = settled(changes, recorder, operator, gaps=gaps, kills=kills)
    down = list(zip(kills, gaps, strict=True))
    missed = Counter(change.type for change in changes if any(k.at < change.at < g.ended for k, g in down))
    tell(f"{ROUNDS} kills with the history lost; {verdict}; changed meanwhile: {dict(missed)}")
    assert verdict.skipped > 0, "nothing was hidden: the proof is none"
    assert missed["Deleted"] >= ROUNDS * KNOWN // 2
