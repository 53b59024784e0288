"""Laws of the cursor: whatever is read, acknowledged and restarted in whatever order, nothing is lost or repeated."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core.cursor import Cursor, Slot
from eventsource_operator.core.judge import Judgement, judge_event, judge_listed
from eventsource_operator.core.ledger import Digests, Entry, Ledger, pack, restore, snapshot
from eventsource_operator.core.observed import Seen

KEYS = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "delete", "replace", "bookmark", "settle", "settle", "save"]),
        KEYS,
        st.integers(0, 4),
    ),
    max_size=40,
)


class Values:
    """Selects what has a value other than 0; ``watched``: the value's digest tells whether it changed."""

    fixed = False

    def __init__(self, *, watched: bool) -> None:
        self._watched = watched

    def selects(self, seen: Seen) -> bool:
        return seen.labels["value"] != "0"

    def digests(self, seen: Seen) -> Digests | None:
        return (("value", seen.labels["value"]),) if self._watched else None


class Life:
    """A source from its beginning, through restarts: reads a log of observations, sends and acknowledges."""

    def __init__(self, *, watched: bool = True) -> None:
        self.target = Values(watched=watched)
        self.cursor = Cursor(position=0)
        self.log: list[tuple[int, str, Seen]] = []
        self.entries: list[tuple[int, str, Entry | None]] = []
        self.open: list[Slot] = []
        self.sent: list[str] = []
        self.settled: list[str] = []
        self.alive: dict[str, str] = {}
        self.version = 0
        self.stored = snapshot({})

    def object(self, key: str, value: int) -> Seen:
        labels = {"value": str(value)}
        meta = {"name": key, "uid": self.alive[key], "resourceVersion": str(self.version), "labels": labels}
        return Seen({"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta})

    def change(self, action: str, key: str, value: int) -> None:
        """Something happens in the cluster and is read."""
        if action == "delete" and key not in self.alive:
            return
        wire = "DELETED" if action == "delete" else "MODIFIED" if key in self.alive else "ADDED"
        if action == "replace" or wire == "ADDED":  # replaced: the deletion itself was not seen
            self.alive[key] = f"uid{self.version}"
        self.log.append((self.version, wire, self.object(key, value)))
        if action == "delete":
            del self.alive[key]
        self.read(*self.log[-1])

    def read(self, rv: int, wire: str, seen: Seen) -> None:
        judged = judge_event(wire, self.cursor.ledger.get(seen.key), seen, self.target)
        self.entries.append((rv, seen.key, judged.entry))
        self.take(seen.key, judged, rv, rv)

    def take(self, key: str, judged: Judgement, version: int, rv: int) -> None:
        ids = tuple(f"{c.uid}@{version if c.seen else ''}{c.type}" for c in judged.changes)
        slots = self.cursor.apply(key, judged.entry, ids, rv=rv, now=float(version))
        assert [slot.id for slot in slots] == list(ids)
        fresh = [slot for slot in slots if not slot.settled]
        self.open += fresh
        self.sent += [slot.id for slot in fresh]

    def settle(self, pick: int) -> None:
        if self.open:
            slot = self.open.pop(pick % len(self.open))
            self.settled.append(slot.id)
            self.cursor.settle(slot)

    def save(self) -> None:
        self.stored = snapshot(self.cursor.ledger_at_position())
        self.cursor.snapshot_taken()

    def restored(self) -> Cursor:
        progress = self.cursor.progress(0.0)
        delta = pack(progress.delta) if progress.delta else ""
        ledger = restore(self.stored.chunks, self.stored.digest, delta)
        assert ledger == self.cursor.ledger_at_position(), "snapshot and delta say the same"
        cursor = Cursor(ledger, progress.position, progress.done)
        cursor.touched = {row[0] for row in progress.delta}  # the snapshot is still the old one
        return cursor

    def restart(self, *, replay: int | None = None) -> None:
        """What is written last is read back, and ``replay`` observations (default: all) are read again."""
        self.cursor = self.restored()
        self.open, self.sent = [], []
        again = [one for one in self.log if one[0] > self.cursor.position]
        self.entries = [one for one in self.entries if one[0] <= self.cursor.position]
        self.version = self.version if replay is None else min(self.version, self.cursor.position)
        for one in again[:replay]:
            self.read(*one)

    def play(self, action: str, key: str, pick: int) -> None:
        match action:
            case "settle":
                self.settle(pick)
            case "save":
                self.save()
            case "bookmark":
                self.version += 1
                self.cursor.advance(self.version)
            case _:
                self.version += 1
                self.change(action, key, pick)


def _ledger(entries: list[tuple[int, str, Entry | None]], position: int) -> Ledger:
    known: dict[str, Entry | None] = {key: entry for rv, key, entry in entries if rv <= position}
    return {key: entry for key, entry in known.items() if entry is not None}


@given(STEPS, st.booleans())
def test_the_position_grows_and_never_passes_what_is_not_settled(
    steps: list[tuple[str, str, int]], watched: bool
) -> None:
    life = Life(watched=watched)
    versions: dict[str, int] = {}
    for step in steps:
        before = life.cursor.position
        life.play(*step)
        for slot in life.open:
            versions.setdefault(slot.id, life.version)

        assert life.cursor.position >= before
        assert all(versions[slot.id] > life.cursor.position for slot in life.open)
        assert life.cursor.ledger_at_position() == _ledger(life.entries, life.cursor.position)
        if not life.open:
            assert not life.cursor.window
            assert life.cursor.position == life.cursor.seen
    while life.open:
        life.settle(0)
    assert life.cursor.position == life.cursor.seen
    assert life.cursor.ledger_at_position() == life.cursor.ledger
    assert life.cursor.selected == sum(not entry.out for entry in life.cursor.ledger.values())
    assert Cursor(life.cursor.ledger).selected == life.cursor.selected


@given(STEPS, st.booleans())
def test_a_restart_sends_exactly_what_is_not_settled(
    steps: list[tuple[str, str, int]], watched: bool
) -> None:
    life = Life(watched=watched)
    for step in steps:
        life.play(*step)
    waiting = [slot.id for slot in life.open]
    ledger, settled = life.cursor.ledger, set(life.settled)
    above = {slot.id for slot in life.cursor.window if slot.settled and slot.id}
    assert set(life.cursor.progress(0.0).done) == above <= settled

    life.restart()
    assert life.sent == sorted(waiting, key=life.sent.index)
    assert set(life.sent) == set(waiting)
    assert len(life.sent) == len(waiting)
    assert life.cursor.ledger == ledger
    assert not life.cursor.skip, "each of them was told again"


@given(STEPS, st.lists(st.tuples(st.integers(0, 5), STEPS), max_size=3), st.booleans())
def test_no_number_of_restarts_repeats_what_was_settled(
    steps: list[tuple[str, str, int]],
    lives: list[tuple[int, list[tuple[str, str, int]]]],
    watched: bool,
) -> None:
    life = Life(watched=watched)
    for step in steps:
        life.play(*step)
    waiting = {slot.id for slot in life.open}
    for replay, more in lives:
        life.restart(replay=replay)  # stopped again before all was read
        for action, key, pick in more:
            if action in {"settle", "save"}:
                life.play(action, key, pick)
    life.restart()

    assert set(life.sent) == waiting - set(life.settled)
    assert len(set(life.settled)) == len(life.settled)


def test_half_of_a_change_does_not_move_the_ledger_at_the_position() -> None:
    life = Life()
    life.play("put", "a", 1)
    life.settle(0)
    life.play("replace", "a", 1)
    gone, new = life.sent[1:]
    life.settle(0)

    assert life.cursor.position == 1
    assert life.cursor.progress(0.0).done == (gone,)
    life.restart()
    assert life.sent == [new], "the creation is not lost, the deletion not repeated"
    life.settle(0)
    assert life.cursor.position == 2


def test_a_list_cut_off_between_two_events_of_one_object_loses_neither() -> None:
    life = Life()
    life.play("put", "a", 1)
    life.settle(0)
    life.version, life.alive["a"] = 5, "another"
    listed = life.object("a", 1)
    entry = life.cursor.ledger["/a"]
    life.take("/a", judge_listed(entry, listed, life.target, since=1, created=False), 5, 0)
    gone, new = life.sent[1:]
    life.settle(0)

    again = life.restored()
    judged = judge_listed(again.ledger["/a"], listed, life.target, since=again.position, created=False)
    assert [c.type.value for c in judged.changes] == ["Deleted", "Added"]
    assert again.skip == {gone}
    assert new not in again.skip
