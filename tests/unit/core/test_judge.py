"""What an observation means: entering and leaving a selection is neither a creation nor a deletion (G7)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.api.eventsource import ChangeType
from eventsource_operator.core.judge import (
    Candidate,
    Judgement,
    judge_event,
    judge_initial,
    judge_listed,
    judge_missing,
)
from eventsource_operator.core.ledger import Digests, Entry
from eventsource_operator.core.observed import Seen

ADDED, MODIFIED, DELETED = ChangeType.ADDED, ChangeType.MODIFIED, ChangeType.DELETED


class Shop:
    """Selects ``app: shop``; watches the label ``v`` unless every change counts."""

    def __init__(self, *, watched: bool = True, fixed: bool = False) -> None:
        self._watched = watched
        self.fixed = fixed

    def selects(self, seen: Seen) -> bool:
        return seen.labels.get("app") == "shop"

    def digests(self, seen: Seen) -> Digests | None:
        return d(seen.labels["v"]) if self._watched else None


def d(value: str) -> Digests:
    return (("v", value),)


def obj(v: str = "1", *, uid: str = "u", app: str = "shop", rv: int = 20) -> Seen:
    meta = {"name": "a", "uid": uid, "resourceVersion": str(rv), "labels": {"app": app, "v": v}}
    return Seen({"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta})


def change(
    kind: ChangeType,
    uid: str = "u",
    before: Digests | None = None,
    after: Digests | None = None,
    *,
    seen: bool = True,
) -> Candidate:
    return Candidate(kind, uid, before, after, seen)


KNOWN = Entry("u", d("1"))
LEFT = Entry("u", d("1"), out=True)
GONE = change(DELETED, seen=False)
NEW = change(ADDED, "new", None, d("1"))


@pytest.mark.parametrize(
    ("wire", "entry", "seen", "after", "changes"),
    [
        pytest.param("ADDED", None, obj(), KNOWN, [change(ADDED, after=d("1"))], id="created"),
        pytest.param("ADDED", None, obj(app="bar"), None, [], id="created unselected"),
        pytest.param("MODIFIED", None, obj(), KNOWN, [change(MODIFIED, after=d("1"))], id="enters"),
        pytest.param("MODIFIED", None, obj(app="bar"), None, [], id="never selected"),
        pytest.param(
            "MODIFIED",
            KNOWN,
            obj("2"),
            Entry("u", d("2")),
            [change(MODIFIED, "u", d("1"), d("2"))],
            id="changed",
        ),
        pytest.param("MODIFIED", KNOWN, obj(), KNOWN, [], id="changed elsewhere"),
        pytest.param("MODIFIED", KNOWN, obj("2", app="bar"), LEFT, [], id="leaves"),
        pytest.param("MODIFIED", LEFT, obj("2", app="bar"), LEFT, [], id="stays out"),
        pytest.param("MODIFIED", LEFT, obj(), KNOWN, [], id="re-enters unchanged"),
        pytest.param("ADDED", LEFT, obj(), KNOWN, [], id="re-enters a field selector"),
        pytest.param(
            "ADDED",
            LEFT,
            obj("2"),
            Entry("u", d("2")),
            [change(MODIFIED, "u", d("1"), d("2"))],
            id="re-enters changed",
        ),
        pytest.param("DELETED", KNOWN, obj(), None, [change(DELETED)], id="deleted"),
        pytest.param("DELETED", KNOWN, obj(app="bar"), None, [change(DELETED)], id="deleted as it leaves"),
        pytest.param("DELETED", None, obj(), None, [change(DELETED)], id="deleted unknown"),
        pytest.param("DELETED", None, obj(app="bar"), None, [], id="deleted unselected"),
        pytest.param("DELETED", LEFT, obj(app="bar"), None, [], id="deleted outside"),
        pytest.param("ADDED", KNOWN, obj(uid="new"), Entry("new", d("1")), [GONE, NEW], id="re-created"),
        pytest.param(
            "MODIFIED", KNOWN, obj(uid="new"), Entry("new", d("1")), [GONE, NEW], id="re-created, changed"
        ),
        pytest.param("ADDED", KNOWN, obj(uid="new", app="bar"), None, [GONE], id="re-created unselected"),
        pytest.param(
            "ADDED", LEFT, obj(uid="new"), Entry("new", d("1")), [NEW], id="re-created after leaving"
        ),
        pytest.param("ADDED", LEFT, obj(uid="new", app="bar"), None, [], id="re-created outside"),
    ],
)
def test_a_watch_event(
    wire: str, entry: Entry | None, seen: Seen, after: Entry | None, changes: list[Candidate]
) -> None:
    assert judge_event(wire, entry, seen, Shop()) == Judgement(after, tuple(changes))


@pytest.mark.parametrize("entry", [Entry("u"), Entry("u", None, out=True)])
def test_without_watched_fields_every_change_counts(entry: Entry) -> None:
    every = Shop(watched=False)
    changes = (change(MODIFIED),)

    assert judge_event("MODIFIED", entry, obj(), every) == (Entry("u"), changes)
    assert judge_listed(entry, obj(rv=20), every, since=10, created=False) == (Entry("u"), changes)
    assert judge_listed(entry, obj(rv=10), every, since=10, created=False) == (Entry("u"), ())


@pytest.mark.parametrize(
    ("entry", "seen", "flags", "after", "changes"),
    [
        pytest.param(None, obj(), "created", KNOWN, [change(ADDED, after=d("1"))], id="created"),
        pytest.param(
            None, obj(), "fixed", KNOWN, [change(ADDED, after=d("1"))], id="new, cannot have entered"
        ),
        pytest.param(None, obj(), "", KNOWN, [change(MODIFIED, after=d("1"))], id="enters"),
        pytest.param(None, obj(rv=10), "created", KNOWN, [], id="the selection changed"),
        pytest.param(None, obj(app="bar"), "created", None, [], id="not selected"),
        pytest.param(
            KNOWN, obj("2"), "", Entry("u", d("2")), [change(MODIFIED, "u", d("1"), d("2"))], id="changed"
        ),
        pytest.param(KNOWN, obj(), "", KNOWN, [], id="changed elsewhere"),
        pytest.param(
            KNOWN, obj("2", rv=10), "", Entry("u", d("2")), [], id="not newer: other fields are watched"
        ),
        pytest.param(KNOWN, obj(app="bar"), "", LEFT, [], id="left"),
        pytest.param(LEFT, obj(app="bar"), "", LEFT, [], id="stays out"),
        pytest.param(LEFT, obj(), "created", KNOWN, [], id="re-entered unchanged"),
        pytest.param(
            LEFT,
            obj("2"),
            "created",
            Entry("u", d("2")),
            [change(MODIFIED, "u", d("1"), d("2"))],
            id="re-entered",
        ),
        pytest.param(KNOWN, obj(uid="new"), "", Entry("new", d("1")), [GONE, NEW], id="re-created"),
        pytest.param(KNOWN, obj(uid="new", app="bar"), "", None, [GONE], id="re-created unselected"),
        pytest.param(LEFT, obj(uid="new"), "", Entry("new", d("1")), [NEW], id="re-created after leaving"),
    ],
)
def test_an_object_in_a_list(
    entry: Entry | None, seen: Seen, flags: str, after: Entry | None, changes: list[Candidate]
) -> None:
    target = Shop(fixed=flags == "fixed")

    judged = judge_listed(entry, seen, target, since=10, created=flags == "created")
    assert judged == Judgement(after, tuple(changes))


def test_a_known_object_that_a_list_does_not_have_was_deleted() -> None:
    assert judge_missing(KNOWN) == (None, (GONE,))
    assert judge_missing(LEFT) == (None, ()), "it had left the selection before"


@pytest.mark.parametrize("send", [False, True])
def test_what_exists_at_the_beginning_is_remembered_and_sent_only_when_asked(*, send: bool) -> None:
    sent = (change(ADDED, after=d("1")),) if send else ()

    assert judge_initial(obj(), Shop(), send=send) == (KNOWN, sent)
    assert judge_initial(obj(app="bar"), Shop(), send=send) == (None, ())


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["put", "delete", "replace"]), st.sampled_from("12"), st.sampled_from(["shop", "bar"])
    ),
    max_size=30,
)


@given(EVENTS, st.booleans(), st.sets(st.integers(0, 29)))
def test_creations_and_deletions_pair_whatever_enters_and_leaves(
    events: list[tuple[str, str, str]], watched: bool, gaps: set[int]
) -> None:
    target = Shop(watched=watched)
    entry: Entry | None = None
    uid = ""
    since = 0
    told: dict[str, list[ChangeType]] = {}

    def take(judged: Judgement) -> Entry | None:
        for candidate in judged.changes:
            told.setdefault(candidate.uid, []).append(candidate.type)
        return judged.entry

    last: Any = None
    for number, (action, v, app) in enumerate(events, start=1):
        if action == "delete" and not uid:
            continue
        wire = "DELETED" if action == "delete" else "MODIFIED" if uid and action == "put" else "ADDED"
        uid = uid if uid and action != "replace" else f"u{number}"
        last = obj(v, uid=uid, app=app, rv=number)
        if action == "delete":
            uid = ""
        if number not in gaps:
            entry = take(judge_event(wire, entry, last, target))
            since = number
        elif uid:
            entry = take(judge_listed(entry, last, target, since=since, created=wire == "ADDED"))
            since = number
        elif entry is not None:
            entry = take(judge_missing(entry))

    for types in told.values():
        assert types.count(ADDED) <= 1
        assert types.count(DELETED) <= 1
        assert ADDED not in types[1:], "created before all else"
        assert DELETED not in types[:-1], "nothing after a deletion"
    if entry is not None:
        assert entry.uid == uid
        assert entry.out is (last.labels["app"] != "shop")


@pytest.mark.parametrize("wire", ["ADDED", "MODIFIED", "DELETED"])
@pytest.mark.parametrize("entry", [KNOWN, LEFT, Entry("other", d("0"))])
@pytest.mark.parametrize("rv", [19, 20])
def test_what_a_list_told_of_already_is_nothing_new(wire: str, entry: Entry, rv: int) -> None:
    told = entry._replace(told=20)

    assert judge_event(wire, told, obj("2", rv=rv), Shop()) == Judgement(told, ())


def test_what_came_after_the_list_is_new() -> None:
    (change,) = judge_event("MODIFIED", KNOWN._replace(told=20), obj("2", rv=21), Shop()).changes

    assert (change.type, change.before, change.after) == (MODIFIED, d("1"), d("2"))
