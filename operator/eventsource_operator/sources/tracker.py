"""One target of one source on one feed: reads changes, decides what they mean, hands them to the sender."""

from __future__ import annotations

import time
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from eventsource_operator.api.eventsource import ChangeType, Initial
from eventsource_operator.core.cel import CelRuntimeError
from eventsource_operator.core.cursor import Cursor
from eventsource_operator.core.event import Change, event_id
from eventsource_operator.core.judge import (
    Candidate,
    Judgement,
    judge_event,
    judge_initial,
    judge_listed,
    judge_missing,
)
from eventsource_operator.core.observed import Seen
from eventsource_operator.core.paths import changed_digests
from eventsource_operator.core.target import Target
from eventsource_operator.core.times import rfc3339
from eventsource_operator.kube.errors import KubeError
from eventsource_operator.streams.feed import Feed

if TYPE_CHECKING:
    from eventsource_operator.sources.source import Source

_SKEW_SECONDS = 2.0
"""How much older than the position an object's creation may look and still count as later (clocks differ)."""


class Tracker:
    """A `streams.feed.Subscriber`.

    Args:
        source: whose target it is.
        target: compiled; replaced when the spec changes.
        feed: what is read.
        cursor: progress, fresh or restored.
        restored_at: wall clock of the restored position; None for a source that begins here.
    """

    def __init__(
        self, source: Source, target: Target, feed: Feed, cursor: Cursor, restored_at: float | None = None
    ) -> None:
        self._source = source
        self.target = target
        self.feed = feed
        self.cursor = cursor
        self.known_at = restored_at
        self.initial = cursor.seen is None
        self.needs_list = self.initial
        self.is_live = False
        self.attached = False
        self.error: KubeError | None = None
        self._partial: dict[str, int] | None = None

    @property
    def keeps_past(self) -> bool:
        """Whether old states are of use to it."""
        return self.target.wants_old

    @property
    def seen(self) -> int | None:
        """The version up to which it has read."""
        return self.cursor.seen

    def accepts(self) -> bool:
        """Whether one more change may be read."""
        full = self.cursor.full and self._partial is None
        return not full and self._source.accepts()

    # ------------------------------------------------------------------ watch
    def event(self, wire: str, seen: Seen) -> bool:
        """A watch event."""
        entry = self.cursor.ledger.get(seen.key)
        judgement = judge_event(wire, entry, seen, self.target)
        if not judgement.changes and judgement.entry is entry:
            self.cursor.advance(seen.rv)
            return entry is not None
        self._take(seen.key, seen, judgement, seen.rv)
        return judgement.entry is not None

    def advance(self, rv: int) -> None:
        """A bookmark."""
        self.cursor.advance(rv)

    # ------------------------------------------------------------------- list
    def begin_list(self) -> None:
        """A list begins; what an interrupted one handled is not handled again."""
        if self._partial is None:
            self._partial = {}

    def listed(self, seen: Seen) -> bool:
        """An object of the list."""
        if self._partial is None or self._partial.get(seen.key) == seen.rv:
            return True
        entry = self.cursor.ledger.get(seen.key)
        since = self._partial.get(seen.key, self.cursor.seen or 0)
        if self.initial and entry is None and seen.key not in self._partial:
            judgement = judge_initial(seen, self.target, send=self.target.spec.initial is Initial.SEND)
        else:
            created = entry is None and not self.target.fixed and self._created_later(seen)
            judgement = judge_listed(entry, seen, self.target, since=since, created=created)
        self._partial[seen.key] = seen.rv
        if judgement.changes and judgement.entry is not None:
            # A restart before the end of the list must not repeat it.
            judgement = judgement._replace(entry=judgement.entry._replace(told=seen.rv))
        self._take(seen.key, seen, judgement, 0)
        return judgement.entry is not None

    def _created_later(self, seen: Seen) -> bool:
        """Whether the object was created after the position (its version only tells of the last change)."""
        created = seen.raw["metadata"].get("creationTimestamp")
        if self.known_at is None or not isinstance(created, str):
            return False
        try:
            return datetime.fromisoformat(created).timestamp() >= self.known_at - _SKEW_SECONDS
        except ValueError:
            return False

    def missing(self, listed: set[str]) -> list[str]:
        """Known keys that the list does not have."""
        return [key for key in self.cursor.ledger if key not in listed]

    def absent(self, keys: list[str]) -> None:
        """Really deleted."""
        for key in keys:
            entry = self.cursor.ledger.get(key)
            if entry is not None:
                self._take(key, None, judge_missing(entry), 0)

    def left(self, keys: list[str]) -> None:
        """They left a server-side selector."""
        for key in keys:
            entry = self.cursor.ledger.get(key)
            if entry is not None and not entry.out:
                self.cursor.apply(key, entry._replace(out=True), (), rv=0, now=time.time())

    def end_list(self, rv: int) -> None:
        """The list was complete."""
        self._partial = None
        self.initial = self.needs_list = False
        self.cursor.skip.clear()  # what the list did not tell again never comes again
        self.cursor.advance(rv)
        self._source.listed(self)

    def expired(self) -> None:
        """History is gone."""
        self.needs_list = True
        self.is_live = False

    # ------------------------------------------------------------------ state
    def live(self) -> None:
        """The watch is open."""
        self.is_live = True
        self.error = None
        self._source.stream_changed(self)

    def broken(self, error: KubeError) -> None:
        """It is tried again."""
        self.is_live = False
        self.error = error
        self._source.stream_changed(self)

    def detached(self) -> None:
        """Full: read for again when there is room."""
        self.attached = False
        self._source.detached(self)

    # ---------------------------------------------------------------- changes
    def _take(self, key: str, seen: Seen | None, judgement: Judgement, rv: int) -> None:
        now = time.time()
        items: list[tuple[Change, str]] = []
        for candidate in judgement.changes:
            if self.target.wants(candidate):
                change = self._change(key, seen, candidate, now)
                if self._passes(candidate, change):
                    ident = event_id(self._source.uid, change.uid, change.resource_version, change.type)
                    if ident in self.cursor.skip or self._source.is_new(ident):
                        items.append((change, ident))
        slots = self.cursor.apply(key, judgement.entry, tuple(i for _, i in items), rv=rv, now=now)
        for (change, _), slot in zip(items, slots, strict=True):
            if not slot.settled:
                self._source.submit(change, key, partial(self.cursor.settle, slot))

    def _change(self, key: str, seen: Seen | None, candidate: Candidate, now: float) -> Change:
        resource = self.feed.resource
        namespace, name = key.split("/", 1)
        obj: dict[str, Any] | None = None
        old: dict[str, Any] | None = None
        changed: tuple[str, ...] | None = None
        version = ""
        if candidate.seen and seen is not None:
            obj, version = seen.object, str(seen.rv)
            if candidate.type is ChangeType.MODIFIED:
                old, changed = seen.old, seen.changed
                if changed is None and candidate.before is not None and candidate.after is not None:
                    changed = changed_digests(candidate.before, candidate.after)
        return Change(
            candidate.type, resource.api_version, resource.kind, resource.plural, namespace, name,
            candidate.uid, version, rfc3339(now, "milliseconds"), obj, old, changed,
        )  # fmt: skip

    def _passes(self, candidate: Candidate, change: Change) -> bool:
        try:
            return self.target.passes(candidate, change.obj, change.old, change.changed)
        except CelRuntimeError as error:
            self._source.evaluation_failed(change, f"spec.watch[{self.target.index}].condition", str(error))
            return False
