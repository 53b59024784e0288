"""Order per object, parallel across objects: one lane per object key, one event of a lane under way at a time.

A lane lives as long as something waits in it. Its head is either ready (in the ready queue), under way, or waits for
its time (in the heap): a pause between retries, or the quiet period.
"""

from __future__ import annotations

import heapq
from collections import deque
from itertools import count
from typing import Generic, Protocol, TypeVar


class Laned(Protocol):
    """What a lane holds."""

    key: str
    due: float
    """Monotonic seconds before which it may not be taken."""


T = TypeVar("T", bound=Laned)


class Lanes(Generic[T]):
    """All lanes of a source."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[T]] = {}
        self._busy: set[str] = set()
        self._ready: deque[str] = deque()
        self._waiting: list[tuple[float, int, str]] = []
        self._wakes: dict[str, float] = {}
        self._sequence = count()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def busy(self) -> int:
        """Events under way."""
        return len(self._busy)

    def push(self, item: T, now: float) -> None:
        """Appends to the lane of the item's object."""
        self._size += 1
        lane = self._lanes.get(item.key)
        if lane is None:
            self._lanes[item.key] = deque((item,))
            self._schedule(item, now)
        else:
            lane.append(item)

    def last(self, key: str) -> T | None:
        """The youngest item of a lane that is not under way: what a newer change may be merged into."""
        lane = self._lanes.get(key)
        if not lane or (len(lane) == 1 and key in self._busy):
            return None
        return lane[-1]

    def drop_last(self, key: str) -> None:
        """Takes back what `last` returned."""
        lane = self._lanes[key]
        lane.pop()
        self._size -= 1
        if not lane:
            del self._lanes[key]

    def take(self, now: float) -> T | None:
        """The next item that may be sent now, marked as under way."""
        self._wake(now)
        while self._ready:
            key = self._ready.popleft()
            lane = self._lanes.get(key)
            if lane is None or key in self._busy:
                continue
            if lane[0].due > now:
                self._wait(key, lane[0].due)
                continue
            self._busy.add(key)
            return lane[0]
        return None

    def done(self, item: T, now: float) -> None:
        """The item under way is settled; the next of its lane becomes ready."""
        self._busy.discard(item.key)
        lane = self._lanes[item.key]
        lane.popleft()
        self._size -= 1
        if lane:
            self._schedule(lane[0], now)
        else:
            del self._lanes[item.key]

    def put_back(self, item: T, now: float) -> None:
        """The item under way is not settled: it stays the head of its lane, behind the other ready lanes."""
        self._busy.discard(item.key)
        self._schedule(item, now)

    def next_due(self) -> float | None:
        """When to look again for a lane that waits (monotonic seconds), never too late; None when none waits."""
        return self._waiting[0][0] if self._waiting else None

    @property
    def has_ready(self) -> bool:
        """Whether something could be taken without waiting (as far as known without a clock)."""
        return bool(self._ready)

    def oldest(self) -> list[T]:
        """All items, lane by lane; for inspection."""
        return [item for lane in self._lanes.values() for item in lane]

    def _wake(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            due, _, key = heapq.heappop(self._waiting)
            if self._wakes.get(key) != due:
                continue
            del self._wakes[key]
            if key in self._lanes and key not in self._busy:
                self._ready.append(key)

    def _schedule(self, item: T, now: float) -> None:
        if item.due > now:
            self._wait(item.key, item.due)
        else:
            self._ready.append(item.key)

    def _wait(self, key: str, due: float) -> None:
        """One entry a lane in the heap: woken too early, it waits again, so that postponing costs no memory."""
        known = self._wakes.get(key)
        if known is None or due < known:
            self._wakes[key] = due
            heapq.heappush(self._waiting, (due, next(self._sequence), key))
