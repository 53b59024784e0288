"""The namespaces and their labels, watched once for all sources that select namespaces by label."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from eventsource_operator.core.observed import Seen
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.errors import KubeError, Unavailable
from eventsource_operator.streams.feed import Feed
from eventsource_operator.streams.hub import StreamHub

_WAIT_SECONDS = 10.0


class NamespaceWatch:
    """A `streams.feed.Subscriber` without a ledger: it begins with a list each time. Opened when first needed."""

    feed = Feed(Resource("", "v1", "Namespace", "namespaces", namespaced=False), "", "")
    keeps_past = False

    def __init__(self, hub: StreamHub) -> None:
        self._hub = hub
        self._labels: dict[str, Mapping[str, str]] = {}
        self._listening: dict[str, Callable[[], None]] = {}
        self._listed = asyncio.Event()
        self._error: KubeError | None = None
        self._joined = False
        self.seen: int | None = None
        self.needs_list = True

    async def labels(self, owner: str, on_change: Callable[[], None]) -> Mapping[str, Mapping[str, str]]:
        """Labels by namespace; ``on_change`` is called when they are no longer true, until `forget`.

        Raises:
            KubeError: namespaces cannot be listed (the operator needs that right), or not now.
        """
        self._listening[owner] = on_change
        if not self._joined:
            self._joined = True
            self._hub.join(self)
        if not self._listed.is_set():
            try:
                async with asyncio.timeout(_WAIT_SECONDS):
                    await self._listed.wait()
            except TimeoutError:
                raise self._error or Unavailable(0, "Timeout", "the namespaces could not be listed") from None
        if self._error is not None and not self._error.transient:
            raise self._error
        return self._labels

    def forget(self, owner: str) -> None:
        """The owner does not listen any more."""
        self._listening.pop(owner, None)

    def accepts(self) -> bool:
        """Always: nothing waits here."""
        return True

    def event(self, wire: str, seen: Seen) -> bool:
        """A namespace came, changed or went."""
        self.seen = seen.rv
        if wire == "DELETED":  # while it only terminates, its objects are still being deleted
            changed = self._labels.pop(seen.name, None) is not None
        else:
            changed = self._labels.get(seen.name) != seen.labels
            self._labels[seen.name] = seen.labels
        if changed:
            self._tell()
        return False

    def advance(self, rv: int) -> None:
        """A bookmark."""
        self.seen = rv

    def begin_list(self) -> None:
        """All is learned anew."""
        self._labels = {}

    def listed(self, seen: Seen) -> bool:
        """A namespace that exists."""
        self._labels[seen.name] = seen.labels
        return False

    def missing(self, listed: set[str]) -> list[str]:  # noqa: ARG002 - nothing is kept across lists
        """None: nothing is kept across lists."""
        return []

    def absent(self, keys: list[str]) -> None:
        """Never told."""

    def left(self, keys: list[str]) -> None:
        """Never told."""

    def end_list(self, rv: int) -> None:
        """Known from now on."""
        self.seen = rv
        self.needs_list = False
        self._error = None
        self._listed.set()
        self._tell()

    def expired(self) -> None:
        """The history is gone: list again."""
        self.needs_list = True

    def live(self) -> None:
        """The watch is open."""
        self._error = None

    def broken(self, error: KubeError) -> None:
        """Tried again by the reader."""
        self._error = error
        if not error.transient:
            self._listed.set()

    def detached(self) -> None:
        """Cannot happen: it accepts always."""

    def _tell(self) -> None:
        for callback in tuple(self._listening.values()):
            callback()
