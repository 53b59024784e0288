"""Laws of the lanes: one event of an object under way, in order, none lost, none before its time."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventsource_operator.core.lanes import Lanes

KEYS = st.sampled_from(["a", "b", "c"])
DELAYS = st.sampled_from([0.0, 0.0, 1.0, 3.0])


@dataclass
class Thing:
    key: str
    number: int
    due: float = 0.0


class Traffic(RuleBasedStateMachine):
    """Everything that a sender does with its lanes, beside the plainest model of them: a list for each object."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes: Lanes[Thing] = Lanes()
        self.model: dict[str, list[Thing]] = {}
        self.under_way: dict[str, Thing] = {}
        self.now = 0.0
        self.number = 0

    def new(self, key: str, delay: float) -> None:
        self.number += 1
        thing = Thing(key, self.number, self.now + delay if delay else 0.0)
        self.lanes.push(thing, self.now)
        self.model.setdefault(key, []).append(thing)

    @rule(key=KEYS, delay=DELAYS)
    def push(self, key: str, delay: float) -> None:
        self.new(key, delay)

    @rule(key=KEYS, delay=DELAYS)
    def merge(self, key: str, delay: float) -> None:
        last = self.lanes.last(key)
        waiting = [t for t in self.model.get(key, []) if t is not self.under_way.get(key)]
        assert last is (waiting[-1] if waiting else None)
        if last is not None:
            self.lanes.drop_last(key)
            self.model[key].pop()
            self.new(key, delay)

    @rule(key=KEYS)
    def withdraw(self, key: str) -> None:
        if self.lanes.last(key) is not None:
            self.lanes.drop_last(key)
            self.model[key].pop()

    @rule(by=st.sampled_from([0.5, 1.0, 2.0]))
    def time_passes(self, by: float) -> None:
        self.now += by

    @rule()
    def take(self) -> None:
        possible = {
            k
            for k, lane in self.model.items()
            if lane and k not in self.under_way and lane[0].due <= self.now
        }
        thing = self.lanes.take(self.now)
        if thing is None:
            assert not possible, "what may be taken is taken"
            return
        assert thing.key in possible
        assert thing is self.model[thing.key][0]
        self.under_way[thing.key] = thing

    @precondition(lambda self: self.under_way)
    @rule(key=KEYS)
    def done(self, key: str) -> None:
        thing = self.under_way.pop(key, None)
        if thing is not None:
            self.lanes.done(thing, self.now)
            self.model[key].pop(0)

    @precondition(lambda self: self.under_way)
    @rule(key=KEYS, delay=DELAYS)
    def put_back(self, key: str, delay: float) -> None:
        thing = self.under_way.pop(key, None)
        if thing is not None:
            thing.due = self.now + delay
            self.lanes.put_back(thing, self.now)

    @invariant()
    def nothing_is_lost(self) -> None:
        everything = [thing for lane in self.model.values() for thing in lane]
        assert sorted(t.number for t in self.lanes.oldest()) == sorted(t.number for t in everything)
        assert len(self.lanes) == len(everything)
        assert self.lanes.busy == len(self.under_way)

    @invariant()
    def who_waits_is_woken_in_time(self) -> None:
        heads = [lane[0].due for k, lane in self.model.items() if lane and k not in self.under_way]
        due = self.lanes.next_due()
        if heads and not self.lanes.has_ready:
            assert due is not None
            assert due <= min(heads)
        assert len(self.lanes._waiting) <= 2 * self.number

    def teardown(self) -> None:
        """In the end all comes out, each object's in order."""
        for thing in self.under_way.values():
            self.lanes.put_back(thing, self.now)
        out: dict[str, list[Thing]] = {}
        while (thing_ := self.lanes.take(self.now + 10)) is not None:
            out.setdefault(thing_.key, []).append(thing_)
            self.lanes.done(thing_, self.now + 10)
        assert out == {key: lane for key, lane in self.model.items() if lane}
        assert len(self.lanes) == self.lanes.busy == 0
        assert self.lanes.take(self.now + 10) is None
        assert self.lanes.next_due() is None
        assert not self.lanes.has_ready


TestTraffic = Traffic.TestCase


def test_other_objects_do_not_wait_for_one_that_is_under_way() -> None:
    lanes: Lanes[Thing] = Lanes()
    for number, key in enumerate("aab"):
        lanes.push(Thing(key, number), 0.0)
    first, second = lanes.take(0.0), lanes.take(0.0)
    assert (first, second) == (Thing("a", 0), Thing("b", 2))
    assert lanes.take(0.0) is None
    assert lanes.busy == 2

    lanes.done(Thing("a", 0), 0.0)
    assert lanes.take(0.0) == Thing("a", 1)


def test_what_is_put_back_goes_behind_the_other_ready_lanes() -> None:
    lanes: Lanes[Thing] = Lanes()
    lanes.push(Thing("a", 1), 0.0)
    lanes.push(Thing("b", 2), 0.0)
    first = lanes.take(0.0)
    assert first is not None
    lanes.put_back(first, 0.0)

    assert lanes.take(0.0) == Thing("b", 2)
    assert lanes.take(0.0) == Thing("a", 1)


def test_what_waits_for_its_time_is_not_taken_before() -> None:
    lanes: Lanes[Thing] = Lanes()
    lanes.push(Thing("a", 1, due=5.0), 0.0)
    lanes.push(Thing("b", 2, due=3.0), 0.0)

    assert lanes.next_due() == 3.0
    assert lanes.take(2.9) is None
    assert lanes.take(3.0) == Thing("b", 2, due=3.0)
    assert lanes.take(4.9) is None
    assert lanes.take(5.0) == Thing("a", 1, due=5.0)


def test_an_object_that_never_becomes_quiet_costs_no_memory() -> None:
    lanes: Lanes[Thing] = Lanes()
    now = 0.0
    for number in range(1000):
        now = number / 100
        if lanes.last("a") is not None:
            lanes.drop_last("a")
        lanes.push(Thing("a", number, due=now + 3.0), now)
        assert lanes.take(now) is None, "it was never quiet"
        assert len(lanes._waiting) <= 1

    due = lanes.next_due()
    assert due is not None
    while lanes.take(due) is None:
        later = lanes.next_due()
        assert later is not None
        assert later > due
        due = later
    assert due == pytest.approx(now + 3.0)


def test_a_shorter_wait_takes_the_place_of_a_longer_one() -> None:
    lanes: Lanes[Thing] = Lanes()
    lanes.push(Thing("a", 1, due=9.0), 0.0)
    lanes.drop_last("a")
    lanes.push(Thing("a", 2, due=4.0), 0.0)

    taken = lanes.take(4.0)
    assert taken == Thing("a", 2, due=4.0)
    lanes.done(taken, 4.0)
    assert lanes.take(9.0) is None
    assert lanes.next_due() is None


def test_the_youngest_is_offered_for_merging_unless_it_is_under_way() -> None:
    lanes: Lanes[Thing] = Lanes()
    assert lanes.last("a") is None
    lanes.push(Thing("a", 1), 0.0)
    assert lanes.last("a") == Thing("a", 1)
    lanes.take(0.0)
    assert lanes.last("a") is None
    lanes.push(Thing("a", 2), 0.0)
    assert lanes.last("a") == Thing("a", 2)
    lanes.drop_last("a")
    assert lanes.last("a") is None
    assert len(lanes) == 1


def test_what_is_due_now_needs_no_waiting() -> None:
    lanes: Lanes[Thing] = Lanes()
    lanes.push(Thing("a", 1, due=5.0), 5.0)

    assert lanes.has_ready
    assert lanes.next_due() is None


def test_a_wait_that_was_shortened_does_not_hide_the_next_lane() -> None:
    lanes: Lanes[Thing] = Lanes()
    lanes.push(Thing("a", 1, due=5.0), 0.0)
    lanes.drop_last("a")
    lanes.push(Thing("a", 2, due=3.0), 0.0)  # leaves an entry for 5.0 behind
    lanes.push(Thing("b", 3, due=6.0), 0.0)
    first = lanes.take(3.0)
    assert first == Thing("a", 2, due=3.0)

    assert lanes.take(6.0) == Thing("b", 3, due=6.0), "the stale entry is passed over, not stopped at"


def test_a_lane_that_went_while_it_waited_wakes_nobody() -> None:
    lanes: Lanes[Thing] = Lanes()
    lanes.push(Thing("a", 1, due=5.0), 0.0)
    lanes.drop_last("a")

    assert lanes.take(5.0) is None
    assert not lanes.has_ready
