"""How many changes may wait in memory, and who may hold them (guarantee G6).

The bound is the operator's. A source that holds many leaves room for the others: with ``n`` sources that have
something pending, each may hold one ``n + 1``-th of three quarters of it, so that one share always stays free for the
next. Those that came early may hold more than that until they have paid: a source therefore never holds more than is
still free either.

Sources that never pay, because their server is dead, could fill that up one after the other. So the last quarter is
kept for tenants (namespaces) that hold little: each may hold its part of it, whatever the others hold. The part is that
of one in sixteen tenants, or in twice as many as there are, so that those who come later find theirs, too. A tenant
with however many sources cannot take the place of another; its own sources share its part as they come.

So the bound holds for any number of sources. Bytes count in the same way; each source may exceed its share by what it
reads last.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

_KEPT: Final = 4
"""One part in so many is kept for tenants that hold little."""

_TENANTS: Final = 16
"""For how many tenants at least."""


class Budget:
    """Pending changes and their bytes, per owner: a source, ``namespace/name``."""

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._held: dict[str, tuple[int, int]] = {}
        self._by_tenant: dict[str, tuple[int, int]] = {}
        self._tenants: Counter[str] = Counter()
        self.total = 0
        self.total_bytes = 0

    def join(self, owner: str) -> None:
        """A source exists from now on: something is kept for its namespace until `leave`."""
        self._tenants[_tenant(owner)] += 1

    def leave(self, owner: str) -> None:
        """It is gone."""
        tenant = _tenant(owner)
        self._tenants[tenant] -= 1
        if not self._tenants[tenant]:
            del self._tenants[tenant]

    def accepts(self, owner: str) -> bool:
        """Whether one more change of ``owner`` may be read."""
        return self._within(owner, 1) or self._kept(owner, 1)

    def has_room(self, owner: str) -> bool:
        """Whether an owner that had to stop may read again: at half its share, so that it pays."""
        return self._within(owner, 2) or self._kept(owner, 2)

    def _within(self, owner: str, factor: int) -> bool:
        held, size = self._held.get(owner, (0, 0))
        limit, limit_bytes = self._limit, self._limit_bytes
        if self._tenants:
            limit, limit_bytes = limit - limit // _KEPT, limit_bytes - limit_bytes // _KEPT
        free, free_bytes = limit - self.total, limit_bytes - self.total_bytes
        if held == 0:
            return free > 0 and free_bytes > 0
        shares = len(self._held) + 1
        return held * factor < min(limit // shares, free) and size * factor < min(
            limit_bytes // shares, free_bytes
        )

    def _kept(self, owner: str, factor: int) -> bool:
        tenant = _tenant(owner)
        if tenant not in self._tenants or self.total >= self._limit:
            return False
        held, size = self._by_tenant.get(tenant, (0, 0))
        parts = _KEPT * max(_TENANTS, 2 * len(self._tenants))
        return held * factor < self._limit // parts and size * factor < self._limit_bytes // parts

    def add(self, owner: str, size: int) -> None:
        """A change waits from now on; ``size`` in bytes."""
        self._change(owner, 1, size)

    def remove(self, owner: str, size: int) -> None:
        """It does not wait any more."""
        self._change(owner, -1, -size)

    def _change(self, owner: str, count: int, size: int) -> None:
        for sums, key in ((self._held, owner), (self._by_tenant, _tenant(owner))):
            held, total = sums.get(key, (0, 0))
            if held + count > 0:
                sums[key] = (held + count, total + size)
            else:
                del sums[key]
        self.total += count
        self.total_bytes += size


def _tenant(owner: str) -> str:
    return owner.partition("/")[0]
