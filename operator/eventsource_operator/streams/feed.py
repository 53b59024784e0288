"""What can be watched, and who reads it."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from eventsource_operator.core.observed import Seen
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.errors import KubeError


class Feed(NamedTuple):
    """One collection of objects as the API server serves it.

    Label selectors are not part of it: they are decided here, because the server reports an object that leaves a
    selector as deleted, and so that sources with different selectors share one watch (decision 0001).
    """

    resource: Resource
    namespace: str
    field_selector: str

    @property
    def path(self) -> str:
        """The collection's path."""
        return self.resource.path(self.namespace or None)

    @property
    def query(self) -> dict[str, str]:
        """Its query parameters."""
        return {"fieldSelector": self.field_selector} if self.field_selector else {}


class Subscriber(Protocol):
    """One reader of a feed: a source's target. All calls come from the event loop and must not block."""

    feed: Feed

    @property
    def keeps_past(self) -> bool:
        """Whether it asks for old states."""

    @property
    def seen(self) -> int | None:
        """The version up to which it has read; None before the first list."""

    @property
    def needs_list(self) -> bool:
        """Whether it has to compare its ledger with a list before it can watch."""

    def accepts(self) -> bool:
        """Whether it can take one more change."""

    def event(self, wire: str, seen: Seen) -> bool:
        """A watch event that it has not seen; returns whether it knows the object."""

    def advance(self, rv: int) -> None:
        """Nothing up to ``rv`` is missing (a bookmark)."""

    def begin_list(self) -> None:
        """A list begins."""

    def listed(self, seen: Seen) -> bool:
        """An object of the list; returns whether it knows the object."""

    def missing(self, listed: set[str]) -> list[str]:
        """Keys that it knows and the list does not have."""

    def absent(self, keys: list[str]) -> None:
        """These objects were really deleted."""

    def left(self, keys: list[str]) -> None:
        """These objects exist, but the server-side selector does not select them any more."""

    def end_list(self, rv: int) -> None:
        """The list was complete at ``rv``."""

    def expired(self) -> None:
        """The history after `seen` is gone: it needs a list."""

    def live(self) -> None:
        """The watch is open."""

    def broken(self, error: KubeError) -> None:
        """The watch or list failed; it is tried again."""

    def detached(self) -> None:
        """It could not take more and is not read for until it joins again."""
