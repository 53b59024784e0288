"""The life of one EventSource: brings about what its spec asks for, keeps its checkpoint, tells its status.

Level-triggered: each pass looks at the present spec, rights, kinds and streams, and corrects what differs. A pass is
caused by a change of the spec, of a stream, by the resync, or by the time at which something failed is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time

from eventsource_operator.api.checkpoint import CheckpointError
from eventsource_operator.api.eventsource import EventSource, SpecError
from eventsource_operator.api.status import Status
from eventsource_operator.core.conditions import Fact
from eventsource_operator.core.cursor import Cursor
from eventsource_operator.core.event import EventBuilder
from eventsource_operator.core.ledger import LedgerError
from eventsource_operator.delivery.sender import CredentialsError, Sender
from eventsource_operator.argo.errors import ArgoError
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.errors import KubeError
from eventsource_operator.kube.status import apply_status
from eventsource_operator.sources.bindings import Listing
from eventsource_operator.sources.plan import Compiled, Plan, compile_spec, make_plan, policy_of
from eventsource_operator.sources.replay import replay
from eventsource_operator.sources.report import bound, build_status, delivering, watching
from eventsource_operator.sources.servers import ServerRefusedError
from eventsource_operator.sources.services import Services
from eventsource_operator.sources.source import Source
from eventsource_operator.sources.tracker import Tracker
from eventsource_operator.streams.checkpoint import Keeper, Loaded, Tracked

_log = logging.getLogger(__name__)

RESOURCE = Resource("eventsource-operator.dev", "v1alpha1", "EventSource", "eventsources")
_AGAIN = 2.0
"""Seconds after which something that failed is tried again: a kind that appears must be seen soon."""

_ROOM = 0.5
"""Seconds between looks whether a source that had to stop reading may begin again."""


class SourceLoop:
    """Runs one source; `start`, `update` with each new object, `stop`."""

    def __init__(self, services: Services, obj: EventSource, before: Status) -> None:
        self.services = services
        self.source = Source(services, obj, before)
        self.keeper = Keeper(services.store, obj.namespace, obj.name, obj.uid)
        self._written: Status | None = before
        self._spec_error: SpecError | None = None
        self._compiled: Compiled | None = None
        self._compiled_for: EventSource | None = None
        self._plan: Plan | None = None
        self._loaded: Loaded | None = None
        self._tracked: dict[str, Tracked] = {}
        self._trouble: tuple[str, str] | None = None
        self._refused: str = ""
        self._listing: Listing | None = None
        self._resync_at = 0.0
        self._again_at: float | None = None
        self._saved_at = float("-inf")
        self._told_at = float("-inf")
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._said: dict[str, str] = {}

    @property
    def obj(self) -> EventSource:
        """The EventSource as last seen."""
        return self.source.obj

    def start(self) -> None:
        """Begins."""
        for work in (self._reconcile_forever(), self._tell_forever(), self._save_forever()):
            self._tasks.append(asyncio.create_task(work, name=f"source {self.source.name}"))

    def update(self, obj: EventSource) -> None:
        """The object changed; a change of the status alone is none."""
        before = self.obj
        self.source.obj = obj
        if (obj.generation, obj.annotations) != (before.generation, before.annotations):
            self.poke()

    def invalid(self, obj: EventSource, error: SpecError) -> None:
        """The object cannot be parsed: what is known of it waits until it is mended."""
        self.source.obj = obj
        self._spec_error = error
        self.poke()

    def poke(self, *, resync: bool = False) -> None:
        """Look again now."""
        if resync:
            self._resync_at = 0.0
        self.source.wake.set()

    # -------------------------------------------------------------- reconcile
    async def _reconcile_forever(self) -> None:
        source = self.source
        while True:
            source.wake.clear()
            self._again_at = None
            try:
                await self._reconcile()
            except KubeError as error:
                self._trouble = ("APIServerError", f"the Kubernetes API did not answer: {error.message}")
                self._again_at = time.monotonic() + _AGAIN
            except Exception:
                _log.exception("a pass failed in an unforeseen way", extra={"source": source.name})
                self._trouble = (
                    "InternalError",
                    "a pass failed in an unforeseen way, see the operator's log",
                )
                self._again_at = time.monotonic() + 5 * _AGAIN
            source.changed.set()
            times = [self._resync_at] + ([self._again_at] if self._again_at is not None else [])
            wait = max(0.01, min(times) - time.monotonic())
            if source.waiting:
                wait = min(wait, _ROOM)
            try:
                async with asyncio.timeout(wait):
                    await source.wake.wait()
            except TimeoutError:
                source.drained()

    async def _reconcile(self) -> None:
        obj = self.obj
        if self._outdated(obj) and not self._compile(obj):
            self._pause()
            self._resync_at = time.monotonic() + obj.spec.bindings.resync_seconds
            return
        if self._compiled is None:
            return
        if self._loaded is None and not await self._load():
            return
        now = time.monotonic()
        due = now >= self._resync_at
        if due:
            self._resync_at = now + obj.spec.bindings.resync_seconds * (0.9 + random.random() * 0.2)
        if due or self._plan is None or self._plan.problems or self._replan:
            self._replan = False
            self._plan = await make_plan(
                obj, self._compiled, self.services.client, self.services.discovery, self.services.settings
            )
        if self._plan.problems:
            self._again_at = time.monotonic() + _AGAIN
        self._trouble = None
        await self._connect(obj)
        self._follow(self._plan)
        await self._settle_lists()
        if self.source.sender is not None:
            self.source.sender.paused = obj.spec.suspend or self._plan.send_denied or bool(self._refused)
            self.source.sender.pump()
            await replay(self, obj)
        if due:
            await self._list_bindings(obj)

    _replan = False

    def _outdated(self, obj: EventSource) -> bool:
        known = self._compiled_for
        return known is None or self._spec_error is not None or known.spec != obj.spec

    def _compile(self, obj: EventSource) -> bool:
        if self._spec_error is None:
            try:
                self._compiled = compile_spec(obj)
            except SpecError as error:
                self._spec_error = error
        if self._spec_error is not None:
            self._compiled_for = obj
            failed, self._spec_error = self._spec_error, None
            self._accepted = Fact("Accepted", False, "InvalidSpec", str(failed))
            return False
        self._accepted = Fact("Accepted", True, "Accepted", "")
        self._compiled_for = obj
        self._replan = True
        return True

    _accepted = Fact("Accepted", None, "Pending", "")

    def _pause(self) -> None:
        """Stop reading and sending; positions stay, so that nothing is lost once it is mended."""
        for tracker in self.source.trackers.values():
            self.services.hub.leave(tracker)
            tracker.attached = tracker.is_live = False
        if self.source.sender is not None:
            self.source.sender.paused = True
        self._compiled = None

    async def _load(self) -> bool:
        try:
            loaded = await self.keeper.load()
        except (CheckpointError, LedgerError) as error:
            self._trouble = (
                "CheckpointCorrupt",
                f"the stored progress cannot be used: {error}; delete the EventSourceCheckpoints labelled with this "
                "source's uid to begin again from the present state",
            )
            self.source.warn("CheckpointCorrupt", self._trouble[1])
            self._again_at = time.monotonic() + 10 * _AGAIN
            return False
        began = self.source.before.observed_generation > 0
        if not loaded.found and began and self.source.before.watches:
            note = "the stored progress is missing: changes since it was lost cannot be known; begins from the present"
            self.source.warn("CheckpointMissing", note)
            _log.warning(note, extra={"source": self.source.name})
        self._loaded = loaded
        self.source.book = type(self.source.book)(self.source.before.deliveries, loaded.failures)
        return True

    async def _connect(self, obj: EventSource) -> None:
        """The sender, with the endpoint that the spec asks for."""
        source, services = self.source, self.services
        self._refused = ""
        try:
            key = services.servers.key(obj, services.settings)
        except (ServerRefusedError, ValueError) as error:
            self._refused = str(error)
            if source.sender is None:
                return
            key = source.sender.endpoint.key
        compiled = self._compiled
        if compiled is not None:
            source.builder = EventBuilder(obj.namespace, obj.name, obj.uid, obj.spec.event, compiled.payload)
        policy = policy_of(obj, services.settings)
        sender = source.sender
        if sender is None:
            endpoint = services.servers.acquire(key, lambda: services.settings)
            source.sender = Sender(source.name, policy, endpoint, services.budget, source, services.may_send)
        elif sender.endpoint.key != key:
            old = sender.endpoint
            sender.reconfigure(policy, services.servers.acquire(key, lambda: services.settings))
            self._listing, self._resync_at = None, 0.0
            await services.servers.release(old)
        elif sender.policy != policy:
            sender.reconfigure(policy, sender.endpoint)

    def _follow(self, plan: Plan) -> None:
        """Trackers for the feeds of the plan: new ones join, changed ones compare with a list, others leave."""
        source, hub = self.source, self.services.hub
        if source.sender is None:
            return
        for key in [key for key in source.trackers if key not in plan.feeds]:
            gone = source.trackers[key]
            hub.leave(gone)
            gone.attached = gone.is_live = False
            source.waiting.discard(gone)
            if not any(index == gone.target.index for index in plan.problems):
                del source.trackers[
                    key
                ]  # no longer asked for; while a right or kind is missing it only waits
                self._tracked.pop(key, None)
        for key, (target, feed) in plan.feeds.items():
            tracker = source.trackers.get(key)
            if tracker is None:
                tracker = source.trackers[key] = self._tracker(key, target, feed)
            if tracker.target is not target:
                if tracker.target.shape != target.shape:
                    hub.leave(tracker)
                    tracker.attached = tracker.is_live = False
                    tracker.known_at = time.time()
                    tracker.expired()
                tracker.target = target
                self._tracked[key].shape = target.shape
            if not tracker.attached and tracker not in source.waiting:
                tracker.attached = True
                hub.join(tracker)

    def _tracker(self, key: str, target: object, feed: object) -> Tracker:
        from eventsource_operator.core.target import Target
        from eventsource_operator.streams.feed import Feed

        assert isinstance(target, Target) and isinstance(feed, Feed)
        restored = self._loaded.targets.pop(key, None) if self._loaded is not None else None
        if restored is None:
            tracker = Tracker(self.source, target, feed, Cursor())
            self._tracked[key] = Tracked(key, "", feed.namespace, target.shape, tracker.cursor)
        else:
            tracker = Tracker(self.source, target, feed, restored.cursor, restored.known_at)
            if restored.shape != target.shape:
                tracker.needs_list = True
            self._tracked[key] = Tracked(
                key, "", feed.namespace, target.shape, tracker.cursor, restored.ledger, time.monotonic()
            )
            if restored.cursor.position == 0:
                tracker.initial = tracker.needs_list = True
        self._tracked[key].resource = f"{feed.resource.api_version}/{feed.resource.plural}"
        return tracker

    async def _settle_lists(self) -> None:
        """A source counts as watching only once its first position is stored."""
        new = [one for key, one in self._tracked.items() if one.ledger is None]
        if new and all(not self.source.trackers[one.key].needs_list for one in new):
            await self._save()

    async def _list_bindings(self, obj: EventSource) -> None:
        sender = self.source.sender
        if sender is None:
            return
        spec = obj.spec.bindings
        try:
            await self.services.servers.refresh(sender.endpoint)
        except (ArgoError, CredentialsError) as error:
            _log.info("credentials could not be read again: %s", error, extra={"source": self.source.name})
        namespace = "" if obj.spec.event.broadcast else obj.spec.event.namespace or obj.namespace
        self._listing = await self.services.bindings.listing(
            sender.endpoint, namespace, spec.label_selector, spec.field_selector, spec.resync_seconds * 0.8
        )
        self.source.metrics.bindings.set(len(self._listing.names))

    # ------------------------------------------------------------- checkpoint
    async def _save_forever(self) -> None:
        while True:
            await asyncio.sleep(self.services.settings.position_interval)
            if any(one.cursor.unsaved for one in self._tracked.values()) and self._may_save:
                try:
                    await self._save()
                except KubeError as error:
                    _log.warning(
                        "the checkpoint could not be written: %s", error, extra={"source": self.source.name}
                    )

    @property
    def _may_save(self) -> bool:
        return self.services.may_send() and all(one.ledger is not None for one in self._tracked.values())

    async def _save(self) -> None:
        before = self.keeper.writes
        await self.keeper.save(
            [one for one in self._tracked.values() if not self._unlisted(one)],
            self.source.book.failures,
            now=time.monotonic(),
            wall=time.time(),
            interval=self.services.settings.ledger_interval,
        )
        self.services.metrics.checkpoint_writes.inc(self.keeper.writes - before)
        self.source.changed.set()

    def _unlisted(self, one: Tracked) -> bool:
        tracker = self.source.trackers.get(one.key)
        return tracker is not None and tracker.initial and one.ledger is None

    # ----------------------------------------------------------------- status
    async def _tell_forever(self) -> None:
        while True:
            await self.source.changed.wait()
            wait = self._told_at + self.services.settings.status_interval - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self.source.changed.clear()
            self._told_at = time.monotonic()
            try:
                await self.tell()
            except KubeError as error:
                _log.warning("the status could not be written: %s", error, extra={"source": self.source.name})
                self.source.changed.set()

    async def tell(self) -> None:
        """Writes the status when it differs from what was written last."""
        source = self.source
        facts = self._facts()
        status = build_status(
            self.obj,
            source,
            facts,
            compiled=self._compiled,
            plan=self._plan,
            listing=self._listing,
            before=self._written or Status(),
            server=source.sender.endpoint.key.url if source.sender is not None else "",
        )
        source.metrics.pending.set(source.pending)
        self._announce(status)
        if status == self._written or not self.services.may_send():
            return
        if await apply_status(
            self.services.client, RESOURCE, self.obj.namespace, self.obj.name, status.to_dict()
        ):
            self._written = status

    def _facts(self) -> list[Fact]:
        authorized = Fact("Authorized", None, "Pending", "")
        if self._refused:
            authorized = Fact("Authorized", False, "ServerNotAllowed", self._refused)
        elif self._plan is not None:
            denials = self._plan.denials
            authorized = Fact(
                "Authorized", not denials, "Denied" if denials else "Authorized", "; ".join(denials)
            )
        obj = self.obj
        namespace = "" if obj.spec.event.broadcast else obj.spec.event.namespace or obj.namespace
        watch = watching(self.source, self._compiled, self._plan, self._trouble)
        if watch.ok and any(one.ledger is None for one in self._tracked.values()):
            watch = Fact("Watching", None, "Starting", "the first position is not stored yet")
        return [self._accepted, authorized, watch, bound(self._listing, namespace), delivering(self.source)]

    _EVENTS = {
        ("Watching", "True"): ("Normal", "Watching"),
        ("Bound", "False"): ("Warning", "NoBindings"),
    }

    def _announce(self, status: Status) -> None:
        """Kubernetes Events for what changed; the recorder bounds their rate."""
        for condition in status.conditions:
            said = f"{condition.status}/{condition.reason}"
            if self._said.get(condition.type) == said:
                continue
            self._said[condition.type] = said
            known = self._EVENTS.get((condition.type, condition.status))
            if known is not None:
                record = self.source.note if known[0] == "Normal" else self.source.warn
                record(known[1], condition.message or "every watch is open", action=condition.type)
            elif condition.status == "False" and condition.type != "Ready":
                if condition.reason == "Suspended":
                    self.source.note(condition.reason, condition.message, action=condition.type)
                else:
                    self.source.warn(condition.reason, condition.message, action=condition.type)
        last = status.deliveries.last
        if last is not None and self._said.get("delivered") != last.id:
            self._said["delivered"] = last.id
            self.source.note("Delivered", "events are delivered to the Argo Server", action="Deliver")

    # ------------------------------------------------------------------- end
    async def stop(self, *, grace: float, deleted: bool) -> None:
        """Stop reading, drain, write, leave; a deleted source is not drained."""
        self._stopping = True
        source, hub = self.source, self.services.hub
        for tracker in source.trackers.values():
            hub.leave(tracker)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        sender = source.sender
        if sender is not None:
            began = time.monotonic()
            if not deleted:
                await sender.drain(grace)
            await sender.stop(max(0.0, grace - (time.monotonic() - began)) if not deleted else 0.0)
            await self.services.servers.release(sender.endpoint)
        if not deleted and self.services.may_send() and self._tracked and self._may_save:
            try:
                if any(one.cursor.unsaved for one in self._tracked.values()):
                    await self._save()
                await self.tell()
            except KubeError as error:
                _log.warning(
                    "the last checkpoint could not be written: %s", error, extra={"source": source.name}
                )
        if deleted:
            self.services.metrics.forget(source.name)
