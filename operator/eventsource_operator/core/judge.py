"""What an observation means to a source: which changes happened, and what the ledger says afterwards.

Three observations exist: a watch event, an object in a list, and an object missing from a list. For each there is
one pure function that returns a `Judgement`. The ledger, not the wire's word, decides: Kubernetes calls it ADDED when
an object enters a field selector, and a list calls nothing deleted (guarantees G4 and G7 of the design).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from eventsource_operator.api.eventsource import ChangeType
from eventsource_operator.core.ledger import Digests, Entry
from eventsource_operator.core.observed import Seen


class Selection(Protocol):
    """What a compiled target tells of an object; see `core.target`."""

    @property
    def fixed(self) -> bool:
        """Whether an object can neither enter nor leave: only names and immutable fields select."""

    def selects(self, seen: Seen) -> bool:
        """Whether name and labels are selected."""

    def digests(self, seen: Seen) -> Digests | None:
        """Digests of the watched fields; None when every change counts."""


class Candidate(NamedTuple):
    """A change that happened, before event types and the condition are asked.

    ``digests`` are (before, after) of the watched fields when both are known; ``uid`` is the object's own, also
    for a deletion that was found by its absence (then ``seen`` is false: its last state is not known).
    """

    type: ChangeType
    uid: str
    before: Digests | None
    after: Digests | None
    seen: bool


class Judgement(NamedTuple):
    """The entry that the ledger holds from now on (None: not known), and the changes in order."""

    entry: Entry | None
    changes: tuple[Candidate, ...]


_NOTHING: tuple[Candidate, ...] = ()


def judge_event(wire: str, entry: Entry | None, seen: Seen, target: Selection) -> Judgement:
    """A watch event of type ``wire`` (ADDED, MODIFIED, DELETED), newer than all that the source saw before.

    What a list told of already, and a restart reads again because the list did not end, is nothing new.
    """
    if entry is not None and seen.rv <= entry.told:
        return Judgement(entry, _NOTHING)
    if wire == "DELETED":
        return _deleted(entry, seen, target)
    if entry is not None and entry.uid != seen.uid:
        return _recreated(entry, seen, target)
    if not target.selects(seen):
        return Judgement(None if entry is None else entry._replace(out=True), _NOTHING)
    digests = target.digests(seen)
    after = Entry(seen.uid, digests)
    if entry is None:
        added = wire == "ADDED"
        kind = ChangeType.ADDED if added else ChangeType.MODIFIED
        return Judgement(after, (Candidate(kind, seen.uid, None, digests, seen=True),))
    if digests is not None and digests == entry.digests:
        return Judgement(after, _NOTHING)
    return Judgement(after, (Candidate(ChangeType.MODIFIED, seen.uid, entry.digests, digests, seen=True),))


def _deleted(entry: Entry | None, seen: Seen, target: Selection) -> Judgement:
    if entry is None:
        if not target.selects(seen):
            return Judgement(None, _NOTHING)
    elif entry.out:
        return Judgement(None, _NOTHING)
    return Judgement(None, (Candidate(ChangeType.DELETED, seen.uid, None, None, seen=True),))


def _recreated(entry: Entry, seen: Seen, target: Selection) -> Judgement:
    """Another object under the same name: the old one was deleted while nobody looked."""
    gone = () if entry.out else (Candidate(ChangeType.DELETED, entry.uid, None, None, seen=False),)
    if not target.selects(seen):
        return Judgement(None, gone)
    digests = target.digests(seen)
    new = Candidate(ChangeType.ADDED, seen.uid, None, digests, seen=True)
    return Judgement(Entry(seen.uid, digests), (*gone, new))


def judge_listed(
    entry: Entry | None, seen: Seen, target: Selection, *, since: int, created: bool
) -> Judgement:
    """An object of a list that is compared with the ledger, after a gap.

    Args:
        entry: what the ledger knew at version ``since``.
        seen: the object in the list.
        target: the source's selection.
        since: the resourceVersion up to which the source had seen everything.
        created: whether the object's creation is later than ``since`` (asked only where an object that is not
            known may also have entered the selection).
    """
    if entry is not None and entry.uid != seen.uid:
        return _recreated(entry, seen, target)
    if not target.selects(seen):
        return Judgement(None if entry is None else entry._replace(out=True), _NOTHING)
    digests = target.digests(seen)
    after = Entry(seen.uid, digests)
    if entry is None:
        if seen.rv <= since:  # seen before, and not selected then: the selection changed, not the object
            return Judgement(after, _NOTHING)
        if created or target.fixed:
            return Judgement(after, (Candidate(ChangeType.ADDED, seen.uid, None, digests, seen=True),))
        return Judgement(after, (Candidate(ChangeType.MODIFIED, seen.uid, None, digests, seen=True),))
    if seen.rv <= max(since, entry.told) or (digests is not None and digests == entry.digests):
        told = entry.told if entry.told > since else 0  # below the position it says nothing more
        return Judgement(after._replace(told=told), _NOTHING)
    return Judgement(after, (Candidate(ChangeType.MODIFIED, seen.uid, entry.digests, digests, seen=True),))


def judge_missing(entry: Entry) -> Judgement:
    """A known object that a complete list does not have: it was deleted."""
    if entry.out:
        return Judgement(None, _NOTHING)
    return Judgement(None, (Candidate(ChangeType.DELETED, entry.uid, None, None, seen=False),))


def judge_initial(seen: Seen, target: Selection, *, send: bool) -> Judgement:
    """An object that exists when a source begins: remembered, and sent only when ``initial: Send`` asks for it."""
    if not target.selects(seen):
        return Judgement(None, _NOTHING)
    digests = target.digests(seen)
    added = (Candidate(ChangeType.ADDED, seen.uid, None, digests, seen=True),) if send else _NOTHING
    return Judgement(Entry(seen.uid, digests), added)
