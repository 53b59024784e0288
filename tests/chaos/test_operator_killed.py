"""SIGKILL of the operator at random moments while a writer works."""

import random
import time
from pathlib import Path

from tests.chaos.conftest import Tell
from tests.chaos.kit import NAMESPACE, Operator, new_source, settled, until_watching
from tests.support.recorder import Recorder
from tests.support.writer import Writer
from tools.controlplane.plane import ControlPlane

KILLS = 22
CHANGES = 2000
SPAN_SECONDS = (1.2, 3.8)
"""Between start and kill: before it watches, while it catches up, while it sends."""
IN_FLIGHT = 64
"""`delivery.maxConcurrency`: what one process can have under way."""
POSITION_SECONDS = 2.0
"""The position is written at most this often (contract)."""


def test_nothing_is_lost_by_kills(
    own_plane: ControlPlane, recorder: Recorder, tmp_path: Path, tell: Tell
) -> None:
    new_source(own_plane)
    chance = random.Random(5)
    # the pace makes the writer work through all the kills
    rate = CHANGES / (KILLS * sum(SPAN_SECONDS) / 2)
    bound = 0
    with Operator(own_plane, recorder.url, tmp_path) as operator:
        until_watching(own_plane, operator)
        began = time.monotonic()
        kills = 0
        with Writer(own_plane, NAMESPACE, CHANGES, rate=rate) as writer:
            while kills < KILLS:
                time.sleep(chance.uniform(*SPAN_SECONDS))
                assert operator.running, operator.tail()
                operator.kill()
                kills += 1
                # what was acknowledged since the last position, which is at most 2 s old when something changes
                recent = [e for e in recorder.received if e.at > time.monotonic() - POSITION_SECONDS - 1]
                bound += len(recent) + IN_FLIGHT
                operator.start()
            writer.join()
            changes = writer.changes
        took = time.monotonic() - began
        verdict = settled(changes, recorder, operator, 60)
    kinds = {kind: sum(c.type == kind for c in changes) for kind in ("Added", "Modified", "Deleted")}
    tell(f"{kills} kills in {took:.0f} s: {verdict} (bound of duplicates {bound}); {kinds}")
    assert len(changes) == CHANGES
    assert min(kinds.values()) > 50, "the writer must delete and create, too"
    assert verdict.duplicates <= bound


def test_a_clean_run_repeats_nothing(
    own_plane: ControlPlane, recorder: Recorder, tmp_path: Path, tell: Tell
) -> None:
    new_source(own_plane)
    with Operator(own_plane, recorder.url, tmp_path) as operator:
        until_watching(own_plane, operator)
        with Writer(own_plane, NAMESPACE, CHANGES) as writer:
            while writer.running and len(writer.changes) < CHANGES // 2:
                time.sleep(0.05)
            assert operator.stop() == 0, operator.tail()
            operator.start()
            writer.join()
            changes = writer.changes
        verdict = settled(changes, recorder, operator, 40)
    tell(f"one clean restart under full speed: {verdict}")
    assert verdict.duplicates == 0
