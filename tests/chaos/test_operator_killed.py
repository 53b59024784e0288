"""SIGKILL of the operator at random moments while a writer works.

`CHAOS_ROUNDS=20 ./dev test chaos -k kills` repeats it, each round with moments of its own.
"""

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.conftest import Tell
from tests.chaos.kit import NAMESPACE, PATIENCE_SECONDS, Operator, killed, new_source, settled, until_watching
from tests.chaos.verdict import Kill, compare, sending
from tests.support.controlplane import wait_for
from tests.support.recorder import Recorder
from tests.support.writer import Writer
from tools.controlplane.plane import ControlPlane

ROUNDS = int(os.environ.get("CHAOS_ROUNDS") or "1")
CHANGES = 2000
RATE = 80
"""Changes a second: the kills have time, and a busy machine can deliver as much."""
LEAST_KILLS = 4
"""However busy the machine is: then the last ones come while a process catches up with all that was written."""
SPAN_SECONDS = (0.0, 2.5)
"""Between its start, or its first sending, and the kill of a process."""


def _moment(
    number: int, chance: random.Random, writer: Writer, recorder: Recorder, operator: Operator
) -> None:
    """A random moment: of every second process anywhere from its start on, of the others once it sends."""
    if number % 2:
        count = len(recorder.received)

        def sends() -> bool:
            done = not writer.running and not compare(writer.changes, list(recorder.received)).lost
            return done or len(recorder.received) > count

        wait_for(sends, PATIENCE_SECONDS, "a first delivery", operator.tail)
    time.sleep(chance.uniform(*SPAN_SECONDS))


@pytest.mark.parametrize("number", range(ROUNDS))
def test_nothing_is_lost_by_kills(
    number: int, own_plane: ControlPlane, recorder: Recorder, tmp_path: Path, tell: Tell
) -> None:
    new_source(own_plane)
    chance = random.Random(number)
    kills: list[Kill] = []
    with Operator(own_plane, recorder.url, tmp_path) as operator:
        until_watching(own_plane, operator)
        with Writer(own_plane, NAMESPACE, CHANGES, rate=RATE) as writer:
            while writer.running or len(kills) < LEAST_KILLS:
                _moment(len(kills), chance, writer, recorder, operator)
                assert operator.running, operator.tail()
                kills.append(killed(own_plane, operator))
                operator.start()
            writer.join()
            changes = writer.changes
        verdict = settled(changes, recorder, operator, kills=kills)
    kinds = Counter(change.type for change in changes)
    at_work = len(sending(kills, recorder.received))
    tell(f"{len(kills)} kills, {at_work} followed by sending; {verdict}; {dict(kinds)}")
    assert len(changes) == CHANGES
    assert min(kinds.values()) > 50, "the writer must delete and create, too"
    assert len(kinds) == 3
    assert at_work >= 2, "hardly any process lived long enough to send"


def test_a_clean_run_repeats_nothing(
    own_plane: ControlPlane, recorder: Recorder, tmp_path: Path, tell: Tell
) -> None:
    new_source(own_plane)
    with Operator(own_plane, recorder.url, tmp_path) as operator:
        until_watching(own_plane, operator)
        with Writer(own_plane, NAMESPACE, CHANGES) as writer:
            wait_for(
                lambda: len(writer.changes) >= CHANGES // 2,
                PATIENCE_SECONDS,
                "half of the changes",
                operator.tail,
            )
            assert operator.stop() == 0, operator.tail()
            operator.start()
            writer.join()
            changes = writer.changes
        verdict = settled(changes, recorder, operator)
    tell(f"one clean restart under full speed: {verdict}")
