"""What became of a source's events: counters, the last ones, and the failures that can be replayed."""

from __future__ import annotations

from collections import OrderedDict

from eventsource_operator.api.checkpoint import MAX_FAILURES, FailedEvent, ObjectRef
from eventsource_operator.api.status import DeliveriesStatus, Delivery, Failure
from eventsource_operator.core.event import Change
from eventsource_operator.core.text import clean
from eventsource_operator.core.times import rfc3339
from eventsource_operator.delivery.item import Item

_SHOWN = 20
_MESSAGE = 1000
_NAME = 253
"""Characters of an object's name that a checkpoint takes; only few built-in kinds, such as Role, have longer ones."""


def stamp(seconds: float) -> str:
    """RFC 3339 of a wall clock time, whole seconds."""
    return rfc3339(seconds, "seconds")


def resource_of(what: Change | ObjectRef) -> str:
    """`ConfigMap team-a/app`, printable: names of some kinds may hold anything."""
    where = f"{what.namespace}/" if what.namespace else ""
    return clean(f"{what.kind} {where}{what.name}", 512)


class LedgerBook:
    """Counts since the source began (carried over from its status), and what failed."""

    def __init__(self, before: DeliveriesStatus, failures: tuple[FailedEvent, ...] = ()) -> None:
        self.delivered = before.delivered
        self.failed = before.failed
        self._last = before.last
        self._newest: tuple[Item, float, float] | None = None
        self.last_failure = before.last_failure
        self._failures: OrderedDict[str, FailedEvent] = OrderedDict((f.id, f) for f in failures)
        self._items: dict[str, Item] = {}
        self.unsaved = False
        """Whether the failures differ from those that the checkpoint holds."""

    @property
    def last(self) -> Delivery | None:
        """The last acknowledged event; put into words only when asked, not for each one."""
        if self._newest is not None:
            item, now, seconds = self._newest
            change, self._newest = item.change, None
            self._last = Delivery(
                item.event.id, change.type, resource_of(change), stamp(now), round(seconds, 3)
            )
        return self._last

    @property
    def failures(self) -> tuple[FailedEvent, ...]:
        """What failed and was not replayed, oldest first."""
        return tuple(self._failures.values())

    def item(self, ident: str) -> Item | None:
        """The failed event itself, while this process remembers it."""
        return self._items.get(ident)

    def delivered_one(self, item: Item, now: float, seconds: float) -> None:
        """Acknowledged."""
        self.delivered += 1
        self._newest = item, now, seconds
        if self._failures.pop(item.event.id, None) is not None:
            self.unsaved = True
            self._items.pop(item.event.id, None)

    def failed_one(self, item: Item, reason: str, message: str, now: float) -> None:
        """Given up."""
        change, ident = item.change, item.event.id
        text = clean(message, _MESSAGE)
        self.failed += 1
        self.last_failure = Failure(ident, change.type, resource_of(change), stamp(now), reason, text)
        ref = ObjectRef(change.api_version, change.kind, change.namespace, change.name, change.uid)
        self._failures.pop(ident, None)
        if len(change.name) > _NAME:  # told, but a checkpoint holds no such name: it cannot be replayed
            return
        self._failures[ident] = FailedEvent(
            ident, change.type, ref, change.resource_version or "0", stamp(now), reason, text
        )
        self._items[ident] = item
        self.unsaved = True
        while len(self._failures) > MAX_FAILURES:
            gone, _ = self._failures.popitem(last=False)
            self._items.pop(gone, None)

    def status(self, pending: int) -> DeliveriesStatus:
        """For the status."""
        shown = [
            Failure(f.id, f.type, resource_of(f.resource), f.time, f.reason, f.message)
            for f in self._failures.values()
        ]
        return DeliveriesStatus(
            self.delivered, self.failed, pending, self.last, self.last_failure, tuple(shown[-_SHOWN:])
        )
