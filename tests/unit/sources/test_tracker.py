"""A list that a kill cuts off: what was acknowledged before is not sent again, and nothing is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.api.eventsource import WatchTarget, parse_event_source
from eventsource_operator.core.cursor import Cursor
from eventsource_operator.core.event import Change, event_id
from eventsource_operator.core.ledger import Entry, Ledger, pack, restore, snapshot
from eventsource_operator.core.observed import Seen
from eventsource_operator.core.target import Target
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.sources.source import Source
from eventsource_operator.sources.tracker import Tracker
from eventsource_operator.streams.feed import Feed

FEED = Feed(Resource("", "v1", "ConfigMap", "configmaps"), "team", "")
POSITION = 100
KEYS = tuple("abcdef")
Sent = tuple[str, str, str]
"""Type, name and version of an event."""


def _target(**watch: Any) -> Target:
    kind = {"apiVersion": "eventsource-operator.dev/v1alpha1", "kind": "EventSource"}
    meta = {"name": "app", "namespace": "team", "uid": "source"}
    spec: WatchTarget = parse_event_source({**kind, "metadata": meta, "spec": {"watch": [watch]}}).spec.watch[
        0
    ]
    return Target(0, spec)


def _object(name: str, uid: str, version: int, value: str = "") -> Seen:
    meta = {"namespace": "team", "name": name, "uid": f"{name}-{uid}", "resourceVersion": str(version)}
    return Seen({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"value": value}})


class Sends:
    """What a tracker needs of its source; keeps what it is given until it is acknowledged."""

    uid = "source"

    def __init__(self) -> None:
        self.open: list[tuple[Sent, str, Callable[[], None]]] = []
        self.acknowledged: list[tuple[Sent, str]] = []

    def accepts(self) -> bool:
        return True

    def is_new(self, _ident: str) -> bool:
        return True

    def listed(self, _tracker: Tracker) -> None:
        """Nothing to be stored here."""

    def submit(self, change: Change, _key: str, settle: Callable[[], None]) -> None:
        ident = event_id(self.uid, change.uid, change.resource_version, change.type)
        self.open.append(((change.type, change.name, change.resource_version), ident, settle))

    def acknowledge(self, which: int) -> None:
        sent, ident, settle = self.open.pop(which % len(self.open))
        self.acknowledged.append((sent, ident))
        settle()


class Life:
    """A source that is killed and started again; it keeps only what a checkpoint holds."""

    def __init__(self, ledger: Ledger, **watch: Any) -> None:
        self.target = _target(**watch)
        self.source = Sends()
        begins = watch.get("initial") == "Send"
        self.tracker = self._track(Cursor() if begins else Cursor(dict(ledger), POSITION))
        self._stored = snapshot(ledger)

    def _track(self, cursor: Cursor) -> Tracker:
        tracker = Tracker(cast("Source", self.source), self.target, FEED, cursor)
        if cursor.position == 0:
            tracker.initial = tracker.needs_list = True
        return tracker

    def kill(self) -> None:
        progress = self.tracker.cursor.progress(0.0)
        ledger = restore(self._stored.chunks, self._stored.digest, pack(progress.delta))
        cursor = Cursor(ledger, progress.position, progress.done)
        cursor.touched = set(self.tracker.cursor.touched)
        self.source.open.clear()
        self.tracker = self._track(cursor)

    def list(self, objects: list[Seen], *, end: bool = True) -> None:
        self.tracker.begin_list()
        for seen in objects:
            self.tracker.listed(seen)
        if end:
            self.tracker.absent(self.tracker.missing({seen.key for seen in objects}))
            self.tracker.end_list(1000)

    def drain(self) -> None:
        while self.source.open:
            self.source.acknowledge(0)


@given(
    known=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["one", "two"])),
    found=st.dictionaries(
        st.sampled_from(KEYS), st.tuples(st.sampled_from(["one", "two"]), st.integers(90, 120))
    ),
    kills=st.lists(st.tuples(st.integers(0, 6), st.lists(st.integers(0, 5), max_size=4)), max_size=3),
    initial=st.booleans(),
    fields=st.booleans(),
)
def test_a_list_that_is_killed_again_and_again_tells_everything_once(
    known: dict[str, str],
    found: dict[str, tuple[str, int]],
    kills: list[tuple[int, list[int]]],
    *,
    initial: bool,
    fields: bool,
) -> None:
    """The same events, with the same ids, as a list that nothing disturbs."""
    watch: dict[str, Any] = {"initial": "Send"} if initial else {}
    watch |= {"fields": ["data"]} if fields else {}
    ledger: Ledger = {}
    if not initial:
        for name, uid in known.items():
            seen = _object(name, uid, 1)
            ledger[seen.key] = Entry(seen.uid, _target(**watch).digests(seen))
    objects = [_object(name, uid, rv, str(rv)) for name, (uid, rv) in found.items()]
    calm = Life(ledger, **watch)
    calm.list(objects)
    calm.drain()

    life = Life(ledger, **watch)
    for count, answers in kills:
        life.list(objects[:count], end=False)
        for which in answers:
            if life.source.open:
                life.source.acknowledge(which)
        life.kill()
    life.list(objects)
    life.drain()

    assert Counter(life.source.acknowledged) == Counter(calm.source.acknowledged)
    assert all(count == 1 for count in Counter(calm.source.acknowledged).values())
    assert {k: (e.uid, e.digests) for k, e in life.tracker.cursor.ledger.items()} == {
        k: (e.uid, e.digests) for k, e in calm.tracker.cursor.ledger.items()
    }


@pytest.mark.parametrize("type_", ["Added", "Modified"])
def test_what_a_list_told_is_not_told_again_by_a_watch_from_the_old_position(type_: str) -> None:
    """Another API server may still have the history that the first one had forgotten."""
    life = Life({} if type_ == "Added" else {"team/a": Entry("a-one")})
    life.list([_object("a", "one", 110)], end=False)
    life.drain()
    life.kill()
    for version in (105, 110, 115):
        life.tracker.event(
            "ADDED" if type_ == "Added" and version == 105 else "MODIFIED", _object("a", "one", version)
        )
    life.drain()

    assert [sent for sent, _ in life.source.acknowledged] == [
        (type_, "a", "110"),
        ("Modified", "a", "115"),
    ]
