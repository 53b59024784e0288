"""Old states of objects: what `changed`, `Diff` and `oldObject` are made of.

Kept only in memory, compressed, within a bound for the whole operator; what falls out is simply not known, and the
event says so by leaving `changed` out. Everything here is sanitized: a Secret's values are digests already.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable
from typing import Any

import orjson

from eventsource_operator.core.observed import Seen

_SMALL = 2048
"""Bytes below which compression costs more time, with each change, than the memory is worth."""

_OVERHEAD = 200
"""Bytes that an entry costs beside its content, about."""


class Past:
    """A bounded memory of old states; the ones that were written least recently are forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._states: dict[tuple[Hashable, str], bytes] = {}
        self.size = 0

    def remember(self, feed: Hashable, seen: Seen) -> None:
        """Keeps this state as the newest of its object."""
        key = (feed, seen.key)
        self._drop(key)
        try:
            plain = orjson.dumps(seen.object)
        except TypeError:  # deeper than 254 levels: its old state is not known, as after a restart
            return
        packed = plain if len(plain) < _SMALL else zlib.compress(plain, 1)
        self._states[key] = packed
        self.size += len(packed) + _OVERHEAD
        while self.size > self._limit and self._states:
            self._drop(next(iter(self._states)))

    def recall(self, feed: Hashable, seen: Seen) -> dict[str, Any] | None:
        """The state before ``seen``; None when it is not known or belongs to another object of that name."""
        packed = self._states.get((feed, seen.key))
        if packed is None:
            return None
        state: dict[str, Any] = orjson.loads(packed if packed[:1] == b"{" else zlib.decompress(packed))
        return state if state["metadata"].get("uid") == seen.uid else None

    def forget(self, feed: Hashable, key: str) -> None:
        """The object is gone."""
        self._drop((feed, key))

    def forget_feed(self, feed: Hashable) -> None:
        """Nobody reads this feed any more."""
        for key in [key for key in self._states if key[0] == feed]:
            self._drop(key)

    def _drop(self, key: tuple[Hashable, str]) -> None:
        packed = self._states.pop(key, None)
        if packed is not None:
            self.size -= len(packed) + _OVERHEAD
