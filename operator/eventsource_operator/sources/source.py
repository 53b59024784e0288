"""One EventSource at run time: what its spec asks for is brought about, again and again, from the present state.

`SourceLoop` (sources.loop) decides when; this class holds the parts and is told by streams and sender what happened.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from eventsource_operator.api.checkpoint import ObjectRef
from eventsource_operator.api.eventsource import EventSource
from eventsource_operator.api.status import EvaluationError, EvaluationErrors, Status
from eventsource_operator.core.cel import CelRuntimeError
from eventsource_operator.core.event import Change, EventBuilder
from eventsource_operator.core.text import clean
from eventsource_operator.delivery.item import Item
from eventsource_operator.delivery.sender import Sender
from eventsource_operator.sources.ledgerbook import LedgerBook, resource_of, stamp
from eventsource_operator.sources.merge import merged
from eventsource_operator.sources.services import Services
from eventsource_operator.sources.tracker import Tracker

_log = logging.getLogger(__name__)

_RECENT = 4096
"""Ids that are remembered where several targets may select the same object: a change is sent once."""


class Source:
    """The parts of one EventSource.

    Attributes:
        obj: the EventSource as last seen.
        trackers: what is read, by the key under which the checkpoint knows it.
        sender: the delivery side, once the spec was accepted.
        book: what became of the events.
    """

    def __init__(self, services: Services, obj: EventSource, before: Status) -> None:
        self.services = services
        self.obj = obj
        self.uid = obj.uid
        self.name = f"{obj.namespace}/{obj.name}"
        self.metrics = services.metrics.source(self.name)
        self.trackers: dict[str, Tracker] = {}
        self.sender: Sender | None = None
        self.builder: EventBuilder | None = None
        self.book = LedgerBook(before.deliveries)
        self.errors: EvaluationErrors | None = before.evaluation_errors
        self.changed = asyncio.Event()
        """Something that the status tells has changed."""
        self.wake = asyncio.Event()
        """Something that the loop decides about has changed."""
        self.stirred = False
        """Something was submitted since what waits was last compared with what was told."""
        self.waiting: set[Tracker] = set()
        self._recent: OrderedDict[str, None] | None = None

    @property
    def ref(self) -> ObjectRef:
        """For Kubernetes Events."""
        obj = self.obj
        return ObjectRef("eventsource-operator.dev/v1alpha1", "EventSource", obj.namespace, obj.name, obj.uid)

    @property
    def pending(self) -> int:
        """Changes that are not settled."""
        return self.sender.pending if self.sender is not None else 0

    def warn(self, reason: str, note: str, *, action: str = "Reconcile") -> None:
        """A Warning Event."""
        self.services.recorder.record(self.ref, "Warning", reason, note, action)

    def note(self, reason: str, note: str, *, action: str = "Reconcile") -> None:
        """A Normal Event."""
        self.services.recorder.record(self.ref, "Normal", reason, note, action)

    # ----------------------------------------------------- told by the trackers
    def accepts(self) -> bool:
        """Whether one more change may be read."""
        return self.services.budget.accepts(self.name)

    def is_new(self, ident: str) -> bool:
        """False when another target of this source took the same change."""
        if len(self.trackers) < 2:  # noqa: PLR2004 - only several can overlap
            return True
        if self._recent is None:
            self._recent = OrderedDict()
        if ident in self._recent:
            return False
        self._recent[ident] = None
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return True

    def submit(self, change: Change, key: str, settle: Callable[[], None]) -> None:
        """A change to be sent; ``settle`` when that is done or given up."""
        sender, builder = self.sender, self.builder
        if sender is None or builder is None:
            raise RuntimeError("a change came before the source was ready")
        self.metrics.change()
        now = time.monotonic()
        quiet = self.obj.spec.delivery.quiet_period_seconds
        lane = f"{change.plural}.{key}"
        if quiet:
            last = sender.lanes.last(lane)
            joined = merged(last.change, change) if last is not None else None
            if last is not None and joined is not None:
                sender.drop_last(last)
                settle = _both(last.settle, settle)
                if joined == "nothing":
                    settle()
                    return
                change = joined
        try:
            event = builder.build(change)
        except CelRuntimeError as error:
            self.evaluation_failed(change, "spec.event.payload", str(error))
            settle()
            return
        item = Item(lane, event, change, settle, now, now + quiet if quiet else 0.0)
        if not quiet:
            item.slim()
        self.stirred = True
        sender.push(item)

    def evaluation_failed(self, change: Change, field: str, message: str) -> None:
        """A condition or payload failed on an object: it counts as not matching, and is shown."""
        count = self.errors.count + 1 if self.errors is not None else 1
        last = EvaluationError(stamp(time.time()), resource_of(change), field, clean(message, 500))
        self.errors = EvaluationErrors(count, last)
        self.changed.set()

    def listed(self, _tracker: Tracker) -> None:
        """A list was taken in: its result must be stored before the source counts as watching."""
        self.wake.set()

    def stream_changed(self, _tracker: Tracker) -> None:
        """A stream came alive or broke."""
        self.wake.set()

    def detached(self, tracker: Tracker) -> None:
        """A tracker could not take more: it joins again when there is room."""
        self.waiting.add(tracker)

    # -------------------------------------------------------- told by the sender
    def delivered(self, item: Item, *, absorbed: bool) -> None:
        """Acknowledged."""
        now = time.time()
        seconds = time.monotonic() - item.born
        self.book.delivered_one(item, now, seconds)
        self.metrics.delivered(seconds, now, "absorbed" if absorbed else "delivered")
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("delivered %s", resource_of(item.change), extra=self._extra(item))
        self.changed.set()

    def failed(self, item: Item, reason: str, message: str) -> None:
        """Given up."""
        self.book.failed_one(item, reason, message, time.time())
        self.metrics.result("failed")
        what = resource_of(item.change)
        _log.warning("failed: %s: %s: %s", what, reason, clean(message, 300), extra=self._extra(item))
        note = f"{item.change.type} of {what} could not be delivered: {reason}: {clean(message, 500)}"
        self.warn("DeliveryFailed", f"{note} (event {item.event.id})", action="Deliver")
        self.changed.set()

    def retried(self, item: Item, reason: str, message: str) -> None:
        """To be tried again."""
        self.metrics.result("retried")
        _log.info(
            "retry %d of %s: %s: %s", item.retries, resource_of(item.change), reason, clean(message, 200),
            extra=self._extra(item),
        )  # fmt: skip

    def state_changed(self) -> None:
        """A gate opened or closed."""
        self.changed.set()

    def drained(self) -> None:
        """Something was settled: who had to stop reading may begin again."""
        if self.waiting and self.services.budget.has_room(self.name):
            for tracker in tuple(self.waiting):
                if not tracker.cursor.full:
                    self.waiting.discard(tracker)
                    if tracker.attached is False and tracker in self.trackers.values():
                        tracker.attached = True
                        self.services.hub.join(tracker)

    async def broadcast_namespaces(self) -> set[str]:
        """The namespaces that have a binding now."""
        if self.sender is None:
            return set()
        spec = self.obj.spec.bindings
        found = await self.services.bindings.listing(
            self.sender.endpoint, "", spec.label_selector, spec.field_selector, spec.resync_seconds
        )
        return set(found.namespaces)

    def _extra(self, item: Item) -> dict[str, object]:
        return {
            "source": self.name,
            "event_id": item.event.id,
            "object": resource_of(item.change),
            "attempt": item.retries + 1,
        }


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def settle() -> None:
        first()
        second()

    return settle
