"""Leader election on a Lease, with the kubernetes package's own elector.

What is added to `kubernetes.aio.leaderelection`:

- `is_leader` is a comparison of two numbers that turns false by itself, so that a process
  that was stopped (SIGSTOP, a frozen or suspended machine) and wakes up after its lease sends nothing;
- a term ends as soon as somebody else is seen to hold the lease, and is never resumed;
- a clean stop clears the holder, and standbys look each second, so one takes over at once;
- a standby counts the 15 s from the last moment at which the renewal it saw can not have
  happened yet, and acts a second before they are over, so that its first event, not only its
  name on the Lease, comes within 15 s of the leader's death. It begins 12 s after the last
  renewal at the earliest; whoever renewed stopped after 10 s, and 2 s are to spare;
- steps of the wall clock, which the package measures with, neither prolong nor shorten a lease;
- each request has a time limit, and errors are logged when they begin, not each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection

from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.errors import KubeError
from eventsource_operator.kube.lease import REQUEST_SECONDS, LeaseLock

_log = logging.getLogger(__name__)

_LEASE_SECONDS = 15
_RENEW_DEADLINE_SECONDS = 10.0
_RETRY_SECONDS = 2
_POLL_SECONDS = 1.0  # how often a standby looks
_HEAD_START_SECONDS = 1.0  # to take the lease, read the checkpoints and send
_RELEASE_SECONDS = 5.0
_NEVER = float("-inf")
_BOOT_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux alone has it

Callback = Callable[[], Awaitable[None]]


def elapsed() -> float:
    """Seconds that also pass while the machine is suspended, which `time.monotonic` leaves out on Linux."""
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)


class Leadership:
    """Takes part in the election; one object for the life of the process."""

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        name: str,
        on_started: Callback,
        on_stopped: Callback,
        identity: str | None = None,
        now: Callable[[], float] = elapsed,
    ) -> None:
        """Nothing is asked before `run`.

        Args:
            client: The API server.
            namespace: Where the Lease is.
            name: Its name.
            on_started: Called when a term begins, while the lease is kept; may run as long as
                the term, is cancelled at its end. What it raises ends `run`.
            on_stopped: Called after a term was lost; not after `release`.
            identity: Unique name of this candidate; None: `hostname_uuid`.
            now: Seconds that never go back, and count on while the process or the machine is stopped.
        """
        self.identity = identity or f"{socket.gethostname()}_{uuid.uuid4()}"
        self._lock = LeaseLock(client, name, namespace, self.identity)
        self._on_started = on_started
        self._on_stopped = on_stopped
        self._now = now
        self._released = False
        self._running: asyncio.Task[None] | None = None
        self._election = self._candidate()

    @property
    def is_leader(self) -> bool:
        """Whether the lease is certainly ours; ask before each sending."""
        return self._now() < self._election.deadline

    async def run(self) -> None:
        """Be a standby, lead, be a standby again, until `release` or cancellation.

        Raises:
            Exception: Whatever `on_started` or `on_stopped` raised.
        """
        self._running = asyncio.create_task(self._terms())
        try:
            await self._running
        except asyncio.CancelledError:
            if not self._released:
                raise

    async def release(self) -> None:
        """Stop being a candidate; if we lead, hand the lease over. Call it after the last sending."""
        self._released = True
        self._election.deadline = _NEVER
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self._lock.clear()
        except (KubeError, TimeoutError) as error:
            _log.warning("the lease could not be released, a standby waits until it expires: %s", error)

    def _candidate(self) -> _Election:
        unused: Callable[[], Any] = lambda: None  # noqa: E731 - `_term` calls back, not the package
        return _Election(
            Config(self._lock, _LEASE_SECONDS, _RENEW_DEADLINE_SECONDS, _RETRY_SECONDS, unused, unused),
            self._now,
        )

    async def _terms(self) -> None:
        while True:
            await self._term()
            _log.warning("leadership lost, waiting as a standby")
            await self._on_stopped()
            self._election = self._candidate()

    async def _term(self) -> None:
        await self._election.acquire()
        _log.info("leading as %s", self.identity)
        starting = asyncio.ensure_future(self._on_started())
        renewing = asyncio.create_task(self._election.renew_loop())
        try:
            await asyncio.wait({starting, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            await renewing
        finally:
            self._election.deadline = _NEVER
            starting.cancel()
            renewing.cancel()
            await asyncio.wait({starting, renewing})


class SoleLeader:
    """In place of `Leadership` when there is no election: leads from start to release."""

    def __init__(self, *, on_started: Callback) -> None:
        """Nothing happens before `run`; see `Leadership`."""
        self.identity = "no-election"
        self._on_started = on_started
        self._done = asyncio.Event()
        self._leads = False

    @property
    def is_leader(self) -> bool:
        """True while it runs."""
        return self._leads

    async def run(self) -> None:
        """Lead until `release` or cancellation."""
        self._leads = True
        try:
            await self._on_started()
            await self._done.wait()
        finally:
            self._leads = False

    async def release(self) -> None:
        """End `run`."""
        self._leads = False
        self._done.set()


class _LostError(Exception):
    """The term is over."""


class _Election(LeaderElection):  # type: ignore[misc]  # the package has no usable types
    """The package's elector for one term.

    Attributes:
        deadline: Time, by ``now``, up to which the lease is certainly ours.
    """

    def __init__(self, config: Any, now: Callable[[], float]) -> None:
        super().__init__(config)
        self.deadline = _NEVER
        self._now = now
        self._leading = False
        self._polled = now()
        self._wall_offset = time.time() - elapsed()

    async def acquire(self) -> bool:
        """As the package's, looking each second, and exactly when the lease expires."""
        while not await self.try_acquire_or_renew():
            expires = self.observed_time_milliseconds / 1000 + self.election_config.lease_duration
            await asyncio.sleep(min(_POLL_SECONDS, max(0.05, expires - time.time() + 0.005)))
        return True

    async def renew_loop(self) -> None:
        """As the package's, ending at once when the term is over."""
        with contextlib.suppress(_LostError):
            await super().renew_loop()
        self.deadline = _NEVER

    async def try_acquire_or_renew(self) -> bool:
        """One look at the lease and, if it may be ours, one write.

        Raises:
            _LostError: We led, and either our time is over or somebody else holds the lease.
        """
        started = self._now()
        if self._leading and started >= self.deadline:
            raise _LostError
        self._follow_clock()
        seen = self.observed_record
        succeeded = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REQUEST_SECONDS + 1):
                succeeded = await super().try_acquire_or_renew()
        if succeeded:
            self._leading = True
            self.deadline = started + self.election_config.renew_deadline
        elif self.observed_record is not seen:
            if self._leading:
                raise _LostError
            # Renewed between our last look and this one: count from the earlier of them, if there was one.
            since = min(started - self._polled, 2 * _POLL_SECONDS) if seen is not None else 0.0
            self.observed_time_milliseconds -= int((since + _HEAD_START_SECONDS) * 1000)
        self._polled = started
        return succeeded

    def _follow_clock(self) -> None:
        """Move the package's wall-clock observation along when the wall clock was set."""
        offset = time.time() - elapsed()
        self.observed_time_milliseconds += round((offset - self._wall_offset) * 1000)
        self._wall_offset = offset
