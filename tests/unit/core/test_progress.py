"""Laws of the cursor, the lanes and the budget: whatever comes in whatever order, nothing is lost or out of turn."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core.budget import Budget
from eventsource_operator.core.cursor import Cursor, Slot
from eventsource_operator.core.gate import Gate
from eventsource_operator.core.lanes import Lanes
from eventsource_operator.core.ledger import Entry, Ledger, from_row, restore, snapshot, to_row
from eventsource_operator.core.limiter import AdaptiveLimit, TokenBucket

KEYS = st.sampled_from(["ns/a", "ns/b", "ns/c"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "drop", "quiet", "settle", "bookmark"]), KEYS, st.integers(0, 9))
)


def _play(
    steps: list[tuple[str, str, int]],
) -> tuple[Cursor, list[tuple[int, str, Entry | None]], dict[str, int]]:
    """Runs a cursor; returns it, what was observed as (version, key, entry), and the version of each unsettled id."""
    cursor = Cursor(position=0)
    observed: list[tuple[int, str, Entry | None]] = []
    waiting: list[tuple[Slot, int]] = []
    for version, (action, key, pick) in enumerate(steps, start=1):
        match action:
            case "settle":
                if waiting:
                    cursor.settle(waiting.pop(pick % len(waiting))[0])
            case "bookmark":
                cursor.advance(version)
            case _:
                entry = None if action == "drop" else Entry(f"u{pick}")
                if entry is None and key not in cursor.ledger:
                    continue
                ids = () if action == "quiet" else (f"id-{version}",)
                slots = cursor.apply(key, entry, ids, rv=version, now=float(version))
                waiting += [(slot, version) for slot in slots]
                observed.append((version, key, entry))
    return cursor, observed, {slot.id: version for slot, version in waiting}


@given(STEPS)
def test_the_position_never_passes_what_is_not_settled(steps: list[tuple[str, str, int]]) -> None:
    cursor, _, unsettled = _play(steps)

    assert all(version > cursor.position for version in unsettled.values())
    assert cursor.position <= (cursor.seen or 0)
    if not unsettled:
        assert cursor.position == (cursor.seen or 0)


@given(STEPS)
def test_a_restart_anywhere_repeats_what_is_not_settled_and_knows_what_is(
    steps: list[tuple[str, str, int]],
) -> None:
    cursor, observed, unsettled = _play(steps)
    progress = cursor.progress(0.0)

    expected: Ledger = {}
    for version, key, entry in observed:
        if version <= progress.position:
            if entry is None:
                expected.pop(key, None)
            else:
                expected[key] = entry
    assert cursor.ledger_at_position() == expected
    delta = dict(from_row(row) for row in progress.delta)
    assert {k: e for k, e in delta.items() if e is not None} == expected, (
        "everything was touched since the start"
    )

    again = {f"id-{v}" for v, _, _ in observed if v > progress.position} - set(progress.done)
    assert set(unsettled) <= again


@given(
    st.dictionaries(
        KEYS, st.builds(Entry, st.text(max_size=5), st.none(), st.booleans(), st.integers(0, 2**63 - 1))
    )
)
def test_a_ledger_survives_its_snapshot(ledger: Ledger) -> None:
    taken = snapshot(ledger)

    assert restore(taken.chunks, taken.digest) == ledger
    assert dict(from_row(to_row(k, e)) for k, e in ledger.items()) == ledger


@dataclass
class Thing:
    key: str
    number: int
    due: float = 0.0


@given(st.lists(st.tuples(st.sampled_from(["push", "take", "done", "back"]), KEYS)))
def test_lanes_keep_the_order_of_each_object_and_lose_nothing(steps: list[tuple[str, str]]) -> None:
    lanes: Lanes[Thing] = Lanes()
    pushed: dict[str, list[int]] = {}
    ended: dict[str, list[int]] = {}
    under_way: list[Thing] = []
    for number, (action, key) in enumerate(steps):
        if action == "push":
            lanes.push(Thing(key, number), 0.0)
            pushed.setdefault(key, []).append(number)
        elif action == "take":
            thing = lanes.take(0.0)
            if thing is not None:
                assert thing.key not in [t.key for t in under_way]
                under_way.append(thing)
        elif under_way and action == "done":
            thing = under_way.pop(0)
            lanes.done(thing, 0.0)
            ended.setdefault(thing.key, []).append(thing.number)
        elif under_way:
            lanes.put_back(under_way.pop(0), 0.0)
    for thing in under_way:
        lanes.put_back(thing, 0.0)
    while (thing := lanes.take(0.0)) is not None:
        lanes.done(thing, 0.0)
        ended.setdefault(thing.key, []).append(thing.number)

    assert ended == pushed
    assert len(lanes) == 0


def test_what_waits_for_its_time_is_not_taken_before() -> None:
    lanes: Lanes[Thing] = Lanes()
    lanes.push(Thing("a", 1, due=5.0), 0.0)

    assert lanes.take(4.9) is None
    assert lanes.next_due() == 5.0
    taken = lanes.take(5.0)
    assert taken is not None
    assert taken.number == 1


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.integers(1, 50))))
def test_a_newcomer_always_finds_a_place(steps: list[tuple[bool, str, int]]) -> None:
    budget = Budget(limit=20, limit_bytes=10_000)
    held: dict[str, list[int]] = {}
    for add, owner, size in steps:
        if add and budget.accepts(owner):
            budget.add(owner, size)
            held.setdefault(owner, []).append(size)
        elif not add and held.get(owner):
            budget.remove(owner, held[owner].pop())

    assert budget.total == sum(map(len, held.values())) <= 20
    assert budget.total_bytes == sum(map(sum, held.values()))
    assert budget.accepts("newcomer")


def test_a_gate_lets_one_probe_through_and_waits_longer_each_time() -> None:
    gate = Gate(first=1.0, most=4.0)
    gate.close("Away", "gone", now=0.0, sent_at=-1.0)

    assert gate.wait(0.5) == 0.5
    assert gate.wait(1.0) == 0.0
    gate.passing()
    assert gate.wait(1.0) is None
    gate.close("Away", "gone", now=1.0, sent_at=1.0)
    assert gate.wait(1.0) == 2.0
    assert gate.open()
    assert gate.wait(1.0) == 0.0


def test_the_limit_halves_once_for_one_round_and_grows_again() -> None:
    limit = AdaptiveLimit(64)
    limit.overload(now=1.0, sent_at=0.5)
    limit.overload(now=1.1, sent_at=0.6)

    assert limit.limit == 32
    for _ in range(200):
        limit.success()
    assert 32 < limit.limit <= 64


def test_a_rate_is_kept() -> None:
    bucket = TokenBucket(10.0, now=0.0)
    now, sent = 0.0, 0
    while now < 10.0:
        wait = bucket.take(now)
        sent += not wait
        now += wait

    assert sent <= 10.0 * 10 + 10
