"""What must hold between what was written and what arrived: per change, per object, intermediate states counted."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.support.recorder import Received
from tests.support.writer import Change

LATE_SECONDS = 0.5
"""What was under way at a kill may still lie in a socket: the recorder notes it a little later."""

Named = tuple[str, str, int]
"""Type, uid and version of a change."""
State = tuple[bool, str, int]
"""Whether it is a deletion, uid and version: what a change leaves, whatever an event calls it."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A span of the monotonic clock about which the API server could not tell the operator state by state.

    Attributes:
        began: at the latest when the last change was made that the operator read from the old history.
        ended: at the earliest when it had read the list.
        position: of the checkpoint, when the operator was killed in the gap, too. What was created above it and told
            of is unknown to the next process: its deletion is not missed, and it is told of as created (the double
            fault of docs/architecture.md). 0: it was not killed.
    """

    began: float
    ended: float
    position: int = 0

    def unknown(self, life: Sequence[Change]) -> bool:
        """Whether the object was created above the position of a process that was killed."""
        born = life[0]
        return (
            bool(self.position) and born.type == "Added" and born.version > self.position and self.holds(born)
        )

    def holds(self, change: Change) -> bool:
        """Whether the change was acknowledged within it."""
        return self.began <= change.at <= self.ended


@dataclass(frozen=True, slots=True)
class Kill:
    """What the checkpoint said when the operator was killed: the next process goes on from there."""

    at: float
    position: int
    done: frozenset[str]

    def may_repeat(self, event: Received) -> bool:
        """Whether the event was in flight or acknowledged since the position was written (guarantee G2)."""
        return (
            event.at <= self.at + LATE_SECONDS
            and (event.version > self.position or not event.version)
            and event.id not in self.done
        )


def sending(kills: Sequence[Kill], received: list[Received]) -> list[Kill]:
    """Those kills after which a process sent something before it was killed in turn: no other one repeats anything."""
    ends = [kill.at + LATE_SECONDS for kill in kills[1:]] + [float("inf")] * bool(kills)
    return [
        kill
        for kill, end in zip(kills, ends, strict=True)
        if any(kill.at + LATE_SECONDS < event.at <= end for event in received)
    ]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How what arrived compares with what was written.

    Attributes:
        written: changes.
        lost: changes that had to arrive and did not.
        skipped: states that did not arrive, and need not (G4).
        strange: events of changes that nobody made, or of another type than the change.
        clashes: ids of two different changes.
        split: changes that came under more than one id.
        disorder: changes that arrived before an earlier one of the same object.
        duplicates: events beyond the first of each change.
        bound: how many the kills explain: for each, the changes in flight or acknowledged since the position was
            written (G2).
        unexplained: events that came more often than the kills explain.
    """

    written: int
    lost: list[Change]
    skipped: int
    strange: list[Received]
    clashes: list[str]
    split: list[State]
    disorder: list[str]
    duplicates: int
    bound: int
    unexplained: list[str]

    def __str__(self) -> str:
        return (
            f"{self.written} changes, {len(self.lost)} lost, {self.skipped} states skipped, "
            f"{len(self.disorder)} out of order, {len(self.clashes)} ids of two changes, "
            f"{len(self.split)} changes with two ids, {len(self.strange)} strange, "
            f"{self.duplicates} duplicates (at most {self.bound})"
        )

    def check(self, evidence: str = "", *, repeats: int = 0) -> None:
        """Asserts what always holds.

        Args:
            evidence: shown beside a failure.
            repeats: so often was an answer lost on the way: each is sent again, beyond what the kills explain.
        """
        for name in ("lost", "strange", "clashes", "split", "disorder"):
            found = getattr(self, name)
            assert not found, f"{name}: {self}: {found[:10]}\n{evidence}"
        assert repeats or not self.unexplained, f"{self}: {self.unexplained[:10]}\n{evidence}"
        assert self.duplicates <= self.bound + repeats, str(self)


def named(event: Received) -> Named:
    """What tells an event's change from every other; a deletion's version is not known to the writer."""
    return event.type, event.uid, 0 if event.type == "Deleted" else event.version


def state(of: Change | Received) -> State:
    """What it left."""
    deleted = of.type == "Deleted"
    return deleted, of.uid, 0 if deleted else of.version


def compare(
    changes: Iterable[Change], received: list[Received], gaps: Sequence[Gap] = (), kills: Sequence[Kill] = ()
) -> Verdict:
    """Per change and per object, every intermediate state counted but those that a gap may hide.

    Args:
        changes: what was written, in order per object.
        received: what arrived, in order.
        gaps: when the API server's history was lost: there the newest state of each object and each deletion of
            an object that was ever told of must arrive, states between need not (G4).
        kills: of the operator; each lets those events come once more that were above its position.
    """
    written = list(changes)
    lives: dict[str, list[Change]] = defaultdict(list)
    for change in written:
        lives[change.uid].append(change)
    unknown = {uid for uid, life in lives.items() if any(gap.unknown(life) for gap in gaps)}
    first: dict[State, Received] = {}
    by_id: dict[str, set[Named]] = defaultdict(set)
    ids: dict[State, set[str]] = defaultdict(set)
    for event in received:
        first.setdefault(state(event), event)
        by_id[event.id].add(named(event))
        ids[state(event)].add(event.id)
    skipped = _excused(lives, first, gaps)
    copies = Counter(event.id for event in received)
    allowed = Counter(
        event.id for kill in sending(kills, received) for event in first.values() if kill.may_repeat(event)
    )
    return Verdict(
        written=len(written),
        lost=[change for change in written if state(change) not in first and state(change) not in skipped],
        skipped=len(skipped),
        strange=_strange(written, first, skipped, unknown),
        clashes=[id_ for id_, of in by_id.items() if len(of) > 1],
        split=[of for of, names in ids.items() if len(names) > 1 and of[1] not in unknown],
        disorder=_disorder(written, first),
        duplicates=len(received) - len(first),
        bound=allowed.total(),
        unexplained=[id_ for id_, count in copies.items() if count - 1 > allowed[id_]],
    )


def _excused(lives: dict[str, list[Change]], first: dict[State, Received], gaps: Sequence[Gap]) -> set[State]:
    """Missing states that a newer one within the same gap stands for, and objects whose whole life lies in one."""
    excused: set[State] = set()
    for life in lives.values():
        unseen = not any(state(change) in first for change in life)
        for gap in gaps:
            within = life[-1].type == "Deleted" and all(map(gap.holds, life))
            if within and (unseen or gap.unknown(life)):
                excused.update(state(change) for change in life if state(change) not in first)
            excused.update(
                state(change)
                for change, newer in pairwise(life)
                if state(change) not in first and gap.holds(change) and gap.holds(newer)
            )
    return excused


def _strange(
    written: list[Change], first: dict[State, Received], skipped: set[State], unknown: set[str]
) -> list[Received]:
    """Of no change; or not of its type, but for an object whose creation was skipped: its first state is Added."""
    types = {state(change): change.type for change in written}
    unborn = {
        change.uid for change in written if change.type == "Added" and state(change) in skipped
    } | unknown
    wrong = []
    for of, event in first.items():
        begins = event.type == "Added" and event.uid in unborn and types.get(of) == "Modified"
        if event.type != types.get(of) and not begins:
            wrong.append(event)
        if begins:
            unborn.discard(event.uid)
    return wrong


def _disorder(written: list[Change], first: dict[State, Received]) -> list[str]:
    """Changes that arrived before an earlier one of the same object."""
    latest: dict[str, int] = {}
    wrong = []
    for change in written:
        event = first.get(state(change))
        if event is None:
            continue
        if event.number < latest.get(change.key, -1):
            wrong.append(f"{change.type} {change.key} {change.version}")
        latest[change.key] = max(event.number, latest.get(change.key, -1))
    return wrong
