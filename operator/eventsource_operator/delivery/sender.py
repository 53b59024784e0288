"""Sends the events of one source: in order per object, as many at once as the server bears, each until it is settled.

This is the only place that sends. `pump` is called whenever something may have become possible and starts as many
requests as are allowed; everything it asks (gates, limits, lanes) is pure. The module is long because
everything that can happen to an event under way happens here, and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from eventsource_operator.api.eventsource import DispatchErrors
from eventsource_operator.argo.errors import ArgoError, Dispatch, Unauthorized, Unreachable
from eventsource_operator.argo.protocol import EventRequest, event_request
from eventsource_operator.core.budget import Budget
from eventsource_operator.core.gate import Gate
from eventsource_operator.core.lanes import Lanes
from eventsource_operator.core.limiter import AdaptiveLimit, TokenBucket
from eventsource_operator.core.outcome import Outcome, Verdict, backoff, decide
from eventsource_operator.delivery.endpoint import Endpoint
from eventsource_operator.delivery.item import Item

_log = logging.getLogger(__name__)

_SHEDDING = (429, 503)
"""HTTP statuses by which a living server asks for less: slowing down helps more than waiting for it."""


_UNFORESEEN_SECONDS = 5.0
"""Pause after an error that nobody foresaw: it must neither lose the event nor spin."""


class CredentialsError(Exception):
    """The source's credentials cannot be read: the source waits; the message names the object and the remedy."""


@dataclass(frozen=True, slots=True)
class Policy:
    """``spec.delivery`` and ``spec.event`` as the sender needs them, defaults filled in."""

    namespace: str
    discriminator: str
    broadcast: bool
    max_concurrency: int
    max_per_second: float
    retry_limit: int
    backoff_seconds: float
    max_backoff_seconds: float
    dispatch_errors: DispatchErrors


class Listener(Protocol):
    """Who is told what became of the events: the source."""

    def delivered(self, item: Item, *, absorbed: bool) -> None:
        """Acknowledged by the server."""

    def failed(self, item: Item, reason: str, message: str) -> None:
        """Given up; it must be recorded before the item is settled."""

    def retried(self, item: Item, reason: str, message: str) -> None:
        """The event failed and will be tried again."""

    def state_changed(self) -> None:
        """A gate opened or closed."""

    def drained(self) -> None:
        """Something was settled: there may be room again."""

    async def broadcast_namespaces(self) -> set[str]:
        """The namespaces that have a binding now."""


class Sender:
    """The delivery side of one source."""

    def __init__(
        self,
        owner: str,
        policy: Policy,
        endpoint: Endpoint,
        budget: Budget,
        listener: Listener,
        may_send: Callable[[], bool],
    ) -> None:
        self._owner = owner
        self.policy = policy
        self.endpoint = endpoint
        self._budget = budget
        budget.join(owner)
        self._listener = listener
        self._may_send = may_send
        self.lanes: Lanes[Item] = Lanes()
        self.hold = Gate(first=1.0, most=15.0)
        """Closed while the source's credentials or rights are missing."""
        self.paused = False
        """Suspended, not accepted, or stopped: nothing new is sent."""
        self._limit = AdaptiveLimit(policy.max_concurrency)
        self._bucket = TokenBucket(policy.max_per_second, time.monotonic())
        self._requests: dict[str, EventRequest] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._pumping = False

    @property
    def pending(self) -> int:
        """Events that are not settled."""
        return len(self.lanes)

    def reconfigure(self, policy: Policy, endpoint: Endpoint) -> None:
        """A changed spec: what waits goes the new way, what is under way ends the old one."""
        if policy != self.policy:
            self._limit.set_ceiling(policy.max_concurrency)
            self._bucket = TokenBucket(policy.max_per_second, time.monotonic())
            self.policy = policy
            self._requests = {}
        if endpoint is not self.endpoint:
            self.endpoint.forget(self)
            self.endpoint = endpoint
        self.hold.wake(time.monotonic())
        self.pump()

    def push(self, item: Item) -> None:
        """Takes an event; it is sent at once when nothing stands against it."""
        self._budget.add(self._owner, item.size)
        self.lanes.push(item, time.monotonic())
        self.pump()

    def drop_last(self, item: Item) -> None:
        """Takes an event back that was merged into a newer one."""
        self.lanes.drop_last(item.key)
        self._budget.remove(self._owner, item.size)

    def resume(self) -> None:
        """An outage is over: begin small again."""
        self._limit.restart()
        self._listener.state_changed()
        self.pump()

    def pump(self) -> None:
        """Starts all requests that are allowed now."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._start_one():
                pass
        finally:
            self._pumping = False

    def _start_one(self) -> bool:
        if (
            self.paused
            or not len(self.lanes)
            or len(self._tasks) >= self._limit.limit
            or not self._may_send()
        ):
            return False
        now = time.monotonic()
        held = self.hold.wait(now)
        if held is None:
            return False
        if held > 0:
            self._wake_in(held)
            return False
        if not self.endpoint.admit(self):
            return False
        item = self.lanes.take(now)
        if item is None:
            due = self.lanes.next_due()
            if due is not None:
                self._wake_in(due - now)
            return False
        wait = self._bucket.take(now)
        if wait > 0:
            self.lanes.put_back(item, now)
            self._wake_in(wait)
            return False
        self.hold.passing()
        self.endpoint.started()
        task = asyncio.create_task(self._deliver(item, self.endpoint, now))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error(
                "sending failed in an unforeseen way",
                exc_info=task.exception(),
                extra={"source": self._owner},
            )
            self._wake_in(_UNFORESEEN_SECONDS)

    async def _deliver(self, item: Item, endpoint: Endpoint, sent_at: float) -> None:
        settled = False
        try:
            await self._send(item, endpoint)
        except ArgoError as error:
            settled = self._refused(item, endpoint, error, sent_at)
        except CredentialsError as error:
            self._held("CredentialsUnavailable", str(error), None, sent_at)
            endpoint.abandoned(sent_at)
        except BaseException:
            # Cancelled, or unforeseen: a probe that tells nothing must not block the next one.
            self.hold.abandon(sent_at)
            endpoint.abandoned(sent_at)
            raise
        else:
            self._limit.success()
            self._accepted(item, endpoint, absorbed=False)
            settled = True
        finally:
            now = time.monotonic()
            if settled:
                self.lanes.done(item, now)
                self._budget.remove(self._owner, item.size)
            else:
                self.lanes.put_back(item, now)
            task = asyncio.current_task()
            if task is not None:
                self._tasks.discard(task)
            endpoint.finished()
        if settled:
            item.settle()
            self._listener.drained()
        self.pump()

    async def _send(self, item: Item, endpoint: Endpoint) -> None:
        client = await endpoint.client()
        if not self.policy.broadcast:
            request = self._requests.get(self.policy.namespace) or self._prepare(self.policy.namespace)
            await client.post_event(request, item.event.body, item.headers)
            return
        if item.remaining is None:
            item.remaining = await self._listener.broadcast_namespaces()
        for namespace in sorted(item.remaining):
            request = self._requests.get(namespace) or self._prepare(namespace)
            await client.post_event(request, item.event.body, item.headers)
            item.remaining.discard(namespace)

    def _prepare(self, namespace: str) -> EventRequest:
        request = self._requests[namespace] = event_request(namespace, self.policy.discriminator)
        return request

    # ---------------------------------------------------------------- outcomes
    def _accepted(self, item: Item, endpoint: Endpoint, *, absorbed: bool) -> None:
        was_held = self.hold.open()
        endpoint.succeeded()
        self._listener.delivered(item, absorbed=absorbed)
        if was_held:
            self._listener.state_changed()

    def _refused(self, item: Item, endpoint: Endpoint, error: ArgoError, sent_at: float) -> bool:
        """Decides what follows from an error; true when the event is settled by it."""
        policy = self.policy
        others = item.mark >= 0 and endpoint.successes > item.mark
        outcome = decide(
            error,
            policy.dispatch_errors,
            retries=item.retries,
            limit=policy.retry_limit,
            others_succeed=others,
            taken=item.taken,
        )
        if isinstance(error, Dispatch):
            item.taken = error.made_up
        item.mark = endpoint.successes
        if outcome.slow_down:
            self._limit.overload(time.monotonic(), sent_at)
        return self._apply(outcome, item, endpoint, error, sent_at)

    def _apply(
        self, outcome: Outcome, item: Item, endpoint: Endpoint, error: ArgoError, sent_at: float
    ) -> bool:
        policy = self.policy
        match outcome.verdict:
            case Verdict.ABSORBED:
                self._accepted(item, endpoint, absorbed=True)
                return True
            case Verdict.WAIT:
                self.hold.abandon(sent_at)
                if error.status in _SHEDDING and self._limit.limit > 1 and not endpoint.outage.closed:
                    pause = error.retry_after or 0.1 + random.random() * 0.2
                    item.due = time.monotonic() + pause
                    return False
                endpoint.failed(outcome.reason, str(error), error.retry_after, sent_at)
                if isinstance(error, Unreachable) and error.tls:
                    asyncio.get_running_loop().create_task(_quietly(endpoint.refresh()))
                self._listener.state_changed()
                return False
            case Verdict.HOLD:
                endpoint.answered()
                self._held(outcome.reason, str(error), error.retry_after, sent_at)
                if isinstance(error, Unauthorized):
                    asyncio.get_running_loop().create_task(_quietly(endpoint.refresh()))
                return False
            case Verdict.RETRY:
                self._answered(endpoint)
                item.retries += 1
                pause = backoff(
                    item.retries, policy.backoff_seconds, policy.max_backoff_seconds, random.random()
                )
                item.due = time.monotonic() + max(pause, error.retry_after or 0.0)
                self._listener.retried(item, outcome.reason, str(error))
                return False
            case Verdict.FAIL:
                self._answered(endpoint)
                self._listener.failed(item, outcome.reason, str(error))
                return True

    def _answered(self, endpoint: Endpoint) -> None:
        """The server spoke about the event itself: neither an outage nor a missing right."""
        self.hold.open()
        endpoint.succeeded()
        self._listener.state_changed()

    def _held(self, reason: str, message: str, retry_after: float | None, sent_at: float) -> None:
        self.hold.close(reason, message, time.monotonic(), retry_after, sent_at=sent_at)
        self._listener.state_changed()
        self._wake_in(max(0.0, self.hold.next_probe - time.monotonic()))

    # ------------------------------------------------------------------- life
    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(max(seconds, 0.001), self.pump)

    async def drain(self, seconds: float) -> None:
        """Waits until nothing is pending, at most this long; what cannot be sent now is not waited for."""
        deadline = time.monotonic() + seconds
        while (
            len(self.lanes) and not self.endpoint.outage.closed and not self.hold.closed and not self.paused
        ):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            if not self._tasks and not self.lanes.has_ready:
                break  # what is left waits for its time: it stays above the position and is read again
            if self._tasks:
                await asyncio.wait(tuple(self._tasks), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(min(0.02, left))

    async def stop(self, seconds: float) -> None:
        """Starts nothing any more and gives what is under way this long to end."""
        self.paused = True
        if self._timer is not None:
            self._timer.cancel()
        self.endpoint.forget(self)
        tasks = tuple(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=max(seconds, 0.01))
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for item in self.lanes.oldest():  # nobody will send it: others may have its place
            self._budget.remove(self._owner, item.size)
        self._budget.leave(self._owner)


async def _quietly(work: Awaitable[None]) -> None:
    """A refresh in the background; its failure shows at the next sending."""
    try:
        await work
    except (ArgoError, CredentialsError):
        return
