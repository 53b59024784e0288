"""One watch: list where needed, then watch from the stored position, for ever.

The first reader of a feed is its main one. A subscriber that comes later, or falls behind, gets a reader of its own
until it has caught up with the main one; then the two become one. So nobody waits for anybody.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import orjson

from eventsource_operator.core.observed import Seen, seen_as
from eventsource_operator.core.selectors import field_selector_is_immutable
from eventsource_operator.kube.client import parse
from eventsource_operator.kube.errors import (
    Forbidden,
    Gone,
    KubeError,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    from_status,
)
from eventsource_operator.streams.feed import Feed, Subscriber

if TYPE_CHECKING:
    from eventsource_operator.streams.hub import StreamHub

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_QUICK_PAUSE = 1.5
"""Most seconds between tries while the server is away: it must be noticed within 3 s that it is back."""

_SLOW_PAUSE = 10.0
"""Most seconds between tries when a right or the kind itself is missing: people mend that."""

_MAX_EXPIRED_TRIES = 8


class Reader:
    """Reads one feed for some subscribers."""

    def __init__(self, hub: StreamHub, feed: Feed, subscribers: Iterable[Subscriber]) -> None:
        self._hub = hub
        self.feed = feed
        self._moving = bool(feed.field_selector) and not field_selector_is_immutable(feed.field_selector)
        """Whether objects enter and leave what the server selects without being created or deleted."""
        self.subscribers: set[Subscriber] = set(subscribers)
        self.rv = 0
        self.event_rv = 0
        """The newest change that was read here: who has read as far has missed nothing."""
        self.watching = False
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until nobody subscribes any more, or the main reader took over."""
        pause = _FIRST_PAUSE
        while self.subscribers:
            try:
                await self._list()
                if self._hub.merged(self):
                    return
                await self._watch()
                if self._hub.merged(self):
                    return
                pause = _FIRST_PAUSE
            except Gone:
                self._hub.restarted(self.feed, "Expired")
                self._expire()
            except KubeError as error:
                self._hub.restarted(self.feed, error.reason or type(error).__name__)
                for subscriber in tuple(self.subscribers):
                    subscriber.broken(error)
                pause = _FIRST_PAUSE if self.watching else pause
                self.watching = False
                pause = await self._pause(error, pause)
            finally:
                self.watching = False

    async def _pause(self, error: KubeError, pause: float) -> float:
        most = _SLOW_PAUSE if isinstance(error, Forbidden | NotFound | Unauthorized) else _QUICK_PAUSE
        wait = min(pause, most)
        if isinstance(error, TooManyRequests) and error.retry_after:
            wait = max(wait, min(error.retry_after, 30.0))
        await asyncio.sleep(wait * (0.75 + random.random() / 2))
        return min(pause * 2, most)

    def _expire(self) -> None:
        """History is gone for the subscriber that is farthest behind, and perhaps for others."""
        waiting = sorted((s for s in self.subscribers if not s.needs_list), key=lambda s: s.seen or 0)
        if not waiting:
            return
        oldest = waiting[0].seen
        several = len({s.seen for s in waiting}) > _MAX_EXPIRED_TRIES
        for subscriber in waiting:
            if several or subscriber.seen == oldest:
                subscriber.expired()

    # ------------------------------------------------------------------ list
    async def _list(self) -> None:
        """Compares with a complete list for those who need it; Gone on a continue token begins again."""
        lacking = [s for s in self.subscribers if s.needs_list]
        if not lacking:
            return
        for subscriber in lacking:
            subscriber.begin_list()
        listed: set[str] = set()
        version = ""
        path, query = self.feed.path, self.feed.query
        async for page in self._hub.client.list_pages(path, query):
            version = page.resource_version
            for raw in page.items:
                seen = self._seen(raw)
                if seen is None:
                    continue
                listed.add(seen.key)
                known = False
                for subscriber in lacking:
                    known |= subscriber.listed(seen) and subscriber.keeps_past
                if known:
                    self._hub.past.remember(self.feed, seen)
            for subscriber in [s for s in lacking if not s.accepts()]:
                lacking.remove(subscriber)
                self._detach(subscriber)
            if not lacking:
                return
            await asyncio.sleep(0)
        for subscriber in lacking:
            await self._compare_missing(subscriber, listed)
            subscriber.end_list(int(version))
        self.rv = int(version)

    async def _compare_missing(self, subscriber: Subscriber, listed: set[str]) -> None:
        missing = subscriber.missing(listed)
        if not missing:
            return
        if not self._moving:
            subscriber.absent(missing)
            return
        for key in missing:
            if await self._exists(key):
                subscriber.left([key])
            else:
                subscriber.absent([key])

    async def _exists(self, key: str, uid: str = "") -> bool:
        """Whether an object that a server-side selector does not return is still there."""
        namespace, name = key.split("/", 1)
        try:
            found = await self._hub.client.request("GET", self.feed.resource.path(namespace or None, name))
        except NotFound:
            return False
        return not uid or found["metadata"].get("uid") == uid

    async def _entered(self, seen: Seen) -> bool:
        """Whether an object that a server-side selector begins to return was there before (guarantee G7).

        Asked of the moment before the change. Where the API server has forgotten it, or cannot tell of the past, the
        watch's own word counts: a creation.
        """
        if all(seen.rv <= (subscriber.seen or 0) for subscriber in self.subscribers):
            return False
        query = {
            "fieldSelector": f"metadata.name={seen.name}",
            "resourceVersion": str(seen.rv - 1),
            "resourceVersionMatch": "Exact",
        }
        path = self.feed.resource.path(seen.namespace or None)
        try:
            found = await self._hub.client.request("GET", path, query=query)
        except KubeError as error:
            if error.transient and not isinstance(error, Gone):
                raise
            return False
        return any(item["metadata"].get("uid") == seen.uid for item in found.get("items") or ())

    # ----------------------------------------------------------------- watch
    async def _watch(self) -> None:
        """Reads until the server ends the watch or nobody subscribes any more."""
        if not self.subscribers:
            return
        self.rv = min(s.seen or 0 for s in self.subscribers)
        self.event_rv = max(self.event_rv, self.rv)
        query = self.feed.query
        async with self._hub.client.watch(self.feed.path, query, resource_version=str(self.rv)) as batches:
            self.watching = True
            for subscriber in tuple(self.subscribers):
                subscriber.live()
            if self._hub.merged(self):
                return  # who joined while the main reader was still opening need not wait for a line
            async for lines in batches:
                for line in lines:
                    await self._line(line)
                if not self.subscribers or self._hub.merged(self):
                    break

    async def _line(self, line: bytes) -> None:
        try:
            event = parse(line)
            wire, raw = event["type"], event["object"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise Unavailable(0, "NotJSON", "the watch sent a line that is no event") from error
        if wire == "BOOKMARK":
            self._bookmark(int(raw["metadata"]["resourceVersion"]))
            return
        if wire == "ERROR":
            raise from_status(raw)
        seen = self._seen(raw)
        if seen is None:
            return
        if wire == "DELETED" and self._moving and await self._exists(seen.key, seen.uid):
            self._leave(seen)
        elif wire == "ADDED" and self._moving and await self._entered(seen):
            self._dispatch("MODIFIED", seen)
        else:
            self._dispatch(wire, seen)

    def _leave(self, seen: Seen) -> None:
        for subscriber in tuple(self.subscribers):
            if seen.rv > (subscriber.seen or 0):
                subscriber.left([seen.key])
                subscriber.advance(seen.rv)
        self.rv = self.event_rv = seen.rv

    def _dispatch(self, wire: str, seen: Seen) -> None:
        rv = seen.rv
        keep = False
        full: list[Subscriber] = []
        for subscriber in self.subscribers:
            if rv <= (subscriber.seen or 0):
                keep |= subscriber.keeps_past
                continue
            if not subscriber.accepts():
                full.append(subscriber)
                continue
            keep |= subscriber.event(wire, seen) and subscriber.keeps_past
        self.rv = self.event_rv = rv
        for subscriber in full:
            self._detach(subscriber)
        if wire == "DELETED":
            self._hub.past.forget(self.feed, seen.key)
        elif keep and self._hub.is_main(self):
            self._hub.past.remember(self.feed, seen)

    def _bookmark(self, rv: int) -> None:
        for subscriber in self.subscribers:
            if rv > (subscriber.seen or 0):
                subscriber.advance(rv)
        self.rv = max(self.rv, rv)

    def _detach(self, subscriber: Subscriber) -> None:
        self.subscribers.discard(subscriber)
        subscriber.detached()

    def _seen(self, raw: dict[str, Any]) -> Seen | None:
        """The object with its kind (lists leave it out); None for what is no object at all."""
        past: Callable[[Seen], dict[str, Any] | None] | None = None
        if self._hub.is_main(self):
            past = self._recall
        try:
            return seen_as(raw, self.feed.resource.api_version, self.feed.resource.kind, past)
        except (KeyError, ValueError, TypeError):
            _log.warning(
                "an object of %s without name or version is passed over", self.feed.resource.qualified
            )
            return None

    def _recall(self, seen: Seen) -> dict[str, Any] | None:
        return self._hub.past.recall(self.feed, seen)
