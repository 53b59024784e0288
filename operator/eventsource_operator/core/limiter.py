"""How fast a source may send: an adaptive number of requests in flight, and a rate."""

from __future__ import annotations

START = 64
"""Requests in flight at the beginning: enough for 640/s at a server that takes 100 ms, and quickly halved."""


class AdaptiveLimit:
    """Additive increase, multiplicative decrease, as TCP does it; times are monotonic seconds.

    Below the last level that was too much it grows by one for each success (doubling each round trip); above it by
    one each round trip. Several refusals of one round trip count once.
    """

    def __init__(self, ceiling: int) -> None:
        self._ceiling = max(1, ceiling)
        self._limit = float(min(self._ceiling, START))
        self._threshold = float(self._ceiling)
        self._decreased_at = float("-inf")

    @property
    def limit(self) -> int:
        """Requests that may be in flight now, at least 1."""
        return int(self._limit)

    def set_ceiling(self, ceiling: int) -> None:
        """A changed spec: takes effect at once when it is lower."""
        self._ceiling = max(1, ceiling)
        self._limit = min(self._limit, float(self._ceiling))
        self._threshold = float(self._ceiling)

    def success(self) -> None:
        """A request was answered well."""
        if self._limit < self._threshold:
            self._limit = min(self._limit + 1, self._ceiling)
        elif self._limit < self._ceiling:
            self._limit = min(self._limit + 1 / self._limit, self._ceiling)

    def overload(self, now: float, sent_at: float) -> None:
        """A request sent at ``sent_at`` was refused or timed out: halve, once for all that were sent before."""
        if sent_at <= self._decreased_at:
            return
        self._decreased_at = now
        self._limit = max(1.0, self._limit / 2)
        self._threshold = self._limit

    def restart(self) -> None:
        """After an outage: begin small and grow fast."""
        self._limit = float(min(self._ceiling, 8))


class TokenBucket:
    """At most ``rate`` events a second on average, with a burst of one second's worth; 0 is no limit."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._burst = max(1.0, rate)
        self._tokens = self._burst
        self._at = now

    def take(self, now: float) -> float:
        """0 when an event may go out now (and it is counted), else the seconds until one may."""
        if self._rate <= 0:
            return 0.0
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1 - 1e-9:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate
