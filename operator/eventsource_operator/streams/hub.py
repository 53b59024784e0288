"""All streams of the operator: who reads what, on how few watches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from eventsource_operator.kube.client import KubeClient
from eventsource_operator.streams.feed import Feed, Subscriber
from eventsource_operator.streams.past import Past
from eventsource_operator.streams.reader import Reader

_log = logging.getLogger(__name__)

_GATHER = 0.02
"""Seconds in which subscribers of one feed are gathered into one reader."""

_GATHER_LATER = 0.2
"""The same where the feed is read already: a thousand sources that begin one after the other share few lists."""

_AGAIN = 5.0
"""Seconds after which a reader that failed for a reason nobody foresaw is replaced."""


class StreamHub:
    """Opens, shares, joins and closes readers.

    Args:
        client: the API server.
        past: memory of old states, shared.
        on_restart: called with resource and reason when a watch is opened again after a failure.
    """

    def __init__(self, client: KubeClient, past: Past, on_restart: Callable[[str, str], None]) -> None:
        self.client = client
        self.past = past
        self._on_restart = on_restart
        self._joining: dict[Feed, set[Subscriber]] = {}
        self._main: dict[Feed, Reader] = {}
        self._open: set[Reader] = set()
        self._failed: set[Subscriber] = set()
        self._stopped = False

    def join(self, subscriber: Subscriber) -> None:
        """From now on the subscriber is read for, beginning where it stands."""
        if self._stopped:
            return
        gathered = self._joining.get(subscriber.feed)
        if gathered is not None:
            gathered.add(subscriber)
            return
        self._joining[subscriber.feed] = {subscriber}
        pause = _GATHER_LATER if subscriber.feed in self._main else _GATHER
        asyncio.get_running_loop().call_later(pause, self._start, subscriber.feed)

    def leave(self, subscriber: Subscriber) -> None:
        """It is not read for any more; its reader ends when it was the last."""
        self._joining.get(subscriber.feed, set()).discard(subscriber)
        self._failed.discard(subscriber)
        for reader in tuple(self._open):
            if subscriber in reader.subscribers:
                reader.subscribers.discard(subscriber)
                if not reader.subscribers and reader.task is not None:
                    reader.task.cancel()

    def is_main(self, reader: Reader) -> bool:
        """Whether this reader is the one that others join, and that keeps old states up to date."""
        return self._main.get(reader.feed) is reader

    def merged(self, reader: Reader) -> bool:
        """Hands a reader's subscribers to the main one when nothing lies between them; true when it did."""
        main = self._main.get(reader.feed)
        if main is None:
            self._main[reader.feed] = reader
            return False
        if main is reader or not main.watching or reader.rv < main.event_rv:
            return False
        if any(s.needs_list for s in reader.subscribers):
            return False
        moved = tuple(reader.subscribers)
        reader.subscribers.clear()
        main.subscribers.update(moved)
        for subscriber in moved:
            subscriber.live()
        return True

    def restarted(self, feed: Feed, reason: str) -> None:
        """A watch failed and is opened again."""
        self._on_restart(feed.resource.qualified, reason)

    async def stop(self) -> None:
        """Stop reading everything."""
        self._stopped = True
        self._joining.clear()
        tasks = [reader.task for reader in self._open if reader.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, feed: Feed) -> None:
        subscribers = self._joining.pop(feed, set())
        if not subscribers or self._stopped:
            return
        reader = Reader(self, feed, subscribers)
        if feed not in self._main:
            self._main[feed] = reader
        self._open.add(reader)
        reader.task = asyncio.create_task(
            reader.run(), name=f"watch {feed.resource.qualified} {feed.namespace}"
        )
        reader.task.add_done_callback(lambda task: self._ended(reader, task))

    def _ended(self, reader: Reader, task: asyncio.Task[None]) -> None:
        self._open.discard(reader)
        if self.is_main(reader):
            del self._main[reader.feed]
            if not any(r.feed == reader.feed for r in self._open):
                self.past.forget_feed(reader.feed)
        if task.cancelled() or task.exception() is None:
            return
        _log.error("a stream of %s failed", reader.feed.resource.qualified, exc_info=task.exception())
        for subscriber in tuple(reader.subscribers):  # begin again where they stand
            self._failed.add(subscriber)
            asyncio.get_running_loop().call_later(_AGAIN, self._rejoin, subscriber)

    def _rejoin(self, subscriber: Subscriber) -> None:
        if subscriber in self._failed:
            self._failed.discard(subscriber)
            self.join(subscriber)
