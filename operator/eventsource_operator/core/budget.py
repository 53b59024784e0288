"""How many changes may wait in memory, and who may hold them (guarantee G6).

The bound is the operator's. A source that holds many leaves room for the others: with ``n`` sources that have
something pending, each may hold one ``n + 1``-th of the whole, so that one share always stays free for the next.
Those that came early may hold more than that until they have paid: a source therefore never holds more than is still
free either. So the bound holds for any number of sources, and only one that holds nothing takes the last place.
"""

from __future__ import annotations


class Budget:
    """Pending changes and their bytes, per owner (a source)."""

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._held: dict[str, tuple[int, int]] = {}
        self.total = 0
        self.total_bytes = 0

    def accepts(self, owner: str) -> bool:
        """Whether one more change of ``owner`` may be read."""
        return self._within(owner, 1)

    def has_room(self, owner: str) -> bool:
        """Whether an owner that had to stop may read again: at half its share, so that it pays."""
        return self._within(owner, 2)

    def _within(self, owner: str, factor: int) -> bool:
        held, size = self._held.get(owner, (0, 0))
        free, free_bytes = self._limit - self.total, self._limit_bytes - self.total_bytes
        if held == 0:
            return free > 0 and free_bytes > 0
        shares = len(self._held) + 1
        return held * factor < min(self._limit // shares, free) and size * factor < min(
            self._limit_bytes // shares, free_bytes
        )

    def add(self, owner: str, size: int) -> None:
        """A change waits from now on; ``size`` in bytes."""
        held, total = self._held.get(owner, (0, 0))
        self._held[owner] = (held + 1, total + size)
        self.total += 1
        self.total_bytes += size

    def remove(self, owner: str, size: int) -> None:
        """It does not wait any more."""
        held, total = self._held[owner]
        if held > 1:
            self._held[owner] = (held - 1, total - size)
        else:
            del self._held[owner]
        self.total -= 1
        self.total_bytes -= size
