"""A closed door that is tried from time to time: an outage of a server, a missing right of a source.

While it is closed nothing passes but one probe at a time; what waits behind it uses up no retries (guarantee G5).
"""

from __future__ import annotations


class Gate:
    """Open, or closed with a reason and the time of the next probe; times are monotonic seconds."""

    def __init__(self, first: float = 0.2, most: float = 2.0) -> None:
        self._first = first
        self._most = most
        self._pause = first
        self.reason = ""
        self.message = ""
        self.closed_at = 0.0
        self.next_probe = 0.0
        self.probing = False

    @property
    def closed(self) -> bool:
        """Whether only probes pass."""
        return bool(self.reason)

    def close(
        self, reason: str, message: str, now: float, retry_after: float | None = None, *, sent_at: float
    ) -> None:
        """A send failed for a reason that is not the event's: wait, longer after each failed probe.

        A failure of a request that was sent before the door closed changes nothing but the message: what is known
        of the probe under way it does not tell.

        Args:
            reason: CamelCase, for the status.
            message: what happened.
            now: the time of the failure.
            retry_after: seconds that the server asked for.
            sent_at: when `passing` let the request through.
        """
        if not self.closed:
            self.closed_at = now
            self._pause = self._first
            self.next_probe = now + max(self._pause, retry_after or 0.0)
        elif self._is_probe(sent_at):
            self._pause = min(self._pause * 2, self._most)
            self.next_probe = now + max(self._pause, retry_after or 0.0)
            self.probing = False
        self.reason = reason
        self.message = message

    def open(self) -> bool:
        """A send succeeded; true when the door was closed."""
        was = self.closed
        self.reason = self.message = ""
        self.probing = False
        return was

    def wake(self, now: float) -> None:
        """The cause may be mended (a Secret changed): probe at once."""
        if self.closed:
            self._pause = self._first
            self.next_probe = now

    def wait(self, now: float) -> float | None:
        """0 when something may pass now, the seconds until a probe is due, None while a probe is under way."""
        if not self.reason:
            return 0.0
        if self.probing:
            return None
        return max(0.0, self.next_probe - now)

    def passing(self) -> None:
        """Something passes: when the door is closed, it is the probe."""
        if self.reason:
            self.probing = True

    def abandon(self, sent_at: float) -> bool:
        """A request ended without telling anything about the door; true when it was the probe."""
        was = self._is_probe(sent_at)
        if was:
            self.probing = False
        return was

    def _is_probe(self, sent_at: float) -> bool:
        """While the door is closed nothing but the probe passes: what was sent since is it."""
        return self.probing and sent_at >= self.closed_at
