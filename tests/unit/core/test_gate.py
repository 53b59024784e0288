"""The gate: one probe at a time while it is closed, at intervals that grow to a bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventsource_operator.core.gate import Gate

FIRST, MOST = 1.0, 4.0


class Probing(RuleBasedStateMachine):
    """A sender that asks before it sends, against a server that fails and comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate(FIRST, MOST)
        self.now = 0.0
        self.probes = 0
        self.under_way: list[float] = []
        """When what passed the open door was sent: it may fail at any time."""
        self.probe_sent = 0.0

    @rule(by=st.sampled_from([0.0, 0.1, 1.0, 5.0]))
    def time_passes(self, by: float) -> None:
        self.now += by

    @rule()
    def send(self) -> None:
        if self.gate.wait(self.now) == 0.0:
            if self.gate.closed:
                self.probes += 1
                self.probe_sent = self.now
            else:
                self.under_way.append(self.now)
            self.gate.passing()

    @precondition(lambda self: not self.gate.closed)
    @rule(after=st.none() | st.floats(0, 9))
    def the_door_closes(self, after: float | None) -> None:
        self.now += 0.01  # no request fails in the moment in which another one is sent
        self.gate.close("Away", "gone", self.now, after, sent_at=self.now - 0.01)
        assert self.gate.closed_at == self.now
        assert self.gate.wait(self.now) == pytest.approx(max(FIRST, after or 0.0))

    @precondition(lambda self: self.probes)
    @rule(after=st.none() | st.floats(0, 9))
    def the_probe_fails(self, after: float | None) -> None:
        closed_at = self.gate.closed_at
        self.gate.close("Away", "still gone", self.now, after, sent_at=self.probe_sent)
        self.probes -= 1
        pause = self.gate.wait(self.now)
        assert pause is not None
        assert max(FIRST, after or 0.0) <= pause + 1e-9 <= max(MOST, after or 0.0) + 1e-6
        assert self.gate.closed_at == closed_at, "the outage began when the door closed"

    @precondition(lambda self: self.probes)
    @rule()
    def the_probe_tells_nothing(self) -> None:
        assert self.gate.abandon(self.probe_sent)
        self.probes -= 1
        assert self.gate.closed

    @precondition(lambda self: self.probes)
    @rule()
    def the_probe_succeeds(self) -> None:
        assert self.gate.open()
        self.probes -= 1

    @precondition(lambda self: self.gate.closed and self.under_way)
    @rule(after=st.none() | st.floats(0, 9), silent=st.booleans())
    def what_was_sent_before_fails_late(self, after: float | None, *, silent: bool) -> None:
        sent_at, due = self.under_way.pop(0), self.gate.next_probe
        if silent:
            assert not self.gate.abandon(sent_at)
        else:
            self.gate.close("Away", "reset by peer", self.now, after, sent_at=sent_at)
        assert self.gate.next_probe == due

    @rule()
    def the_cause_may_be_mended(self) -> None:
        self.gate.wake(self.now)

    @invariant()
    def one_probe_at_a_time(self) -> None:
        assert self.probes <= 1
        assert self.gate.probing is bool(self.probes)
        wait = self.gate.wait(self.now)
        if not self.gate.closed:
            assert wait == 0.0
        elif self.probes:
            assert wait is None
        else:
            assert wait == max(0.0, self.gate.next_probe - self.now)


TestProbing = Probing.TestCase


def test_an_open_gate_lets_everything_pass() -> None:
    gate = Gate()
    gate.passing()
    gate.passing()

    assert not gate.closed
    assert not gate.probing
    assert gate.wait(0.0) == 0.0
    assert not gate.open(), "it was not closed"


def test_the_pause_doubles_up_to_its_bound_and_begins_anew_after_an_opening() -> None:
    gate = Gate(FIRST, MOST)
    pauses = []
    gate.close("Away", "gone", 0.0, sent_at=-1.0)
    now = 0.0
    for _ in range(5):
        pause = gate.wait(now)
        assert pause is not None
        pauses.append(pause)
        now += pause
        gate.passing()
        gate.close("Away", "gone", now, sent_at=now)
    assert pauses == [1.0, 2.0, 4.0, 4.0, 4.0]

    gate.passing()
    assert gate.open()
    gate.close("Away", "gone", now, sent_at=now)
    assert gate.wait(now) == 1.0


def test_the_failure_of_a_request_that_was_under_way_moves_no_probe() -> None:
    gate = Gate(FIRST, MOST)
    gate.close("Away", "gone", 0.0, sent_at=-1.0)
    gate.close("Away", "reset by peer", 0.9, retry_after=60.0, sent_at=-0.5)

    assert gate.wait(0.9) == pytest.approx(0.1)
    assert gate.message == "reset by peer"
    assert gate.closed_at == 0.0


def test_while_a_probe_is_under_way_the_late_failure_of_an_earlier_request_lets_no_second_one_pass() -> None:
    gate = Gate(FIRST, MOST)
    gate.close("Away", "gone", 0.0, sent_at=-1.0)
    gate.passing()
    gate.close("Away", "timed out", 1.5, retry_after=60.0, sent_at=-1.0)
    assert not gate.abandon(-1.0)

    assert gate.wait(1.5) is None, "the probe is still under way"
    gate.close("Away", "gone", 2.0, sent_at=1.0)
    assert gate.wait(2.0) == 2.0, "its own failure counts, and the pause doubles once"


def test_a_probe_of_an_earlier_outage_is_not_that_of_the_present_one() -> None:
    gate = Gate(FIRST, MOST)
    gate.close("Away", "gone", 0.0, sent_at=-1.0)
    gate.passing()
    gate.open()
    gate.close("Away", "gone again", 5.0, sent_at=4.0)
    gate.passing()
    gate.close("Away", "timed out", 7.0, sent_at=1.0)

    assert gate.wait(7.0) is None


@pytest.mark.parametrize(("retry_after", "pause"), [(None, 1.0), (0.0, 1.0), (0.5, 1.0), (30.0, 30.0)])
def test_the_server_may_ask_for_a_longer_pause(retry_after: float | None, pause: float) -> None:
    gate = Gate(FIRST, MOST)
    gate.close("Away", "gone", 5.0, retry_after, sent_at=4.0)

    assert gate.wait(5.0) == pause


def test_a_mended_cause_is_probed_at_once_and_the_pauses_begin_anew() -> None:
    gate = Gate(FIRST, MOST)
    gate.close("Unauthorized", "no token", 0.0, 60.0, sent_at=-1.0)
    gate.wake(3.0)
    assert gate.wait(3.0) == 0.0
    gate.passing()
    gate.close("Unauthorized", "no token", 3.0, sent_at=3.0)
    assert gate.wait(3.0) == 2.0

    opened = Gate(FIRST, MOST)
    opened.wake(3.0)
    assert not opened.closed


def test_opening_forgets_why_it_was_closed() -> None:
    gate = Gate(FIRST, MOST)
    gate.close("Forbidden", "may not", 0.0, sent_at=-1.0)
    assert gate.reason == "Forbidden"
    assert gate.open()

    assert not gate.closed
    assert gate.message == ""
    assert gate.wait(0.0) == 0.0


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_an_abandoned_probe_leaves_the_way_to_the_next(closed: float, later: float) -> None:
    gate = Gate(FIRST, MOST)
    gate.close("Away", "gone", closed, sent_at=closed - 1)
    gate.passing()
    assert gate.abandon(closed + FIRST)

    assert gate.wait(closed + FIRST + later) == 0.0


def test_a_new_gate_stands_open_and_says_nothing() -> None:
    gate = Gate()

    assert (gate.closed, gate.reason, gate.message) == (False, "", "")


def test_out_of_the_box_the_first_probe_comes_after_a_fifth_of_a_second_and_then_every_two() -> None:
    gate = Gate()
    gate.close("Away", "gone", 0.0, sent_at=-1.0)
    pauses = [gate.wait(0.0)]
    for _ in range(5):
        gate.passing()
        gate.close("Away", "gone", 0.0, sent_at=0.0)
        pauses.append(gate.wait(0.0))

    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 2.0, 2.0])


def test_a_probe_that_fails_heeds_what_the_server_asks_for_as_well() -> None:
    gate = Gate(FIRST, MOST)
    gate.close("Away", "gone", 0.0, sent_at=-1.0)
    gate.passing()
    gate.close("Away", "gone", 1.0, 30.0, sent_at=1.0)

    assert gate.wait(1.0) == 30.0
