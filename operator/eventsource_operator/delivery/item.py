"""One event that waits to be delivered."""

from __future__ import annotations

from collections.abc import Callable

from eventsource_operator.core.event import Change, Event


class Item:
    """An event and what it needs on its way; ``key`` and ``due`` are what `core.lanes` orders by.

    ``settle`` tells the cursor that the change is delivered or recorded as failed. ``born`` (monotonic seconds) is
    when the change was read.
    """

    __slots__ = (
        "born",
        "change",
        "due",
        "event",
        "headers",
        "key",
        "mark",
        "remaining",
        "retries",
        "settle",
        "size",
        "taken",
    )

    def __init__(
        self, key: str, event: Event, change: Change, settle: Callable[[], None], born: float, due: float
    ) -> None:
        self.key = key
        self.event = event
        self.change = change
        self.settle = settle
        self.born = born
        self.due = due
        self.size = len(event.body) + 500
        self.headers: dict[str, str] = dict(event.headers)
        self.retries = 0
        self.mark = -1
        """The endpoint's count of successes when this event last failed; -1: it did not yet."""
        self.taken: frozenset[str] = frozenset()
        """The made-up names that were taken when this event was last refused for that."""
        self.remaining: set[str] | None = None
        """Broadcast: namespaces that have not acknowledged it; None before the first try."""

    def slim(self) -> None:
        """Lets go of the objects that only a merge of changes would need."""
        one = self.change  # not `dataclasses.replace`, which costs twice as much, for each event
        self.change = Change(
            one.type, one.api_version, one.kind, one.plural, one.namespace, one.name, one.uid,
            one.resource_version, one.time,
        )  # fmt: skip
