"""The life of one EventSource: brings about what its spec asks for, keeps its checkpoint, tells its status.

Level-triggered: each pass looks at the present spec, rights, kinds and streams, and corrects what differs. A pass is
caused by a change of the spec, of a stream, by the resync, or by the time at which something failed is tried again. The
module is long because a pass is one order of steps, which reads best in one place.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time

from eventsource_operator.api.checkpoint import CheckpointError
from eventsource_operator.api.eventsource import EventSource, SpecError
from eventsource_operator.api.status import Status
from eventsource_operator.argo.errors import ArgoError
from eventsource_operator.core.conditions import Fact, Reason
from eventsource_operator.core.event import EventBuilder
from eventsource_operator.core.ledger import LedgerError
from eventsource_operator.delivery.endpoint import Endpoint
from eventsource_operator.delivery.sender import CredentialsError, Sender
from eventsource_operator.kube.checkpoints import SOURCE_UID_LABEL
from eventsource_operator.kube.errors import KubeError, NamespaceEnding
from eventsource_operator.sources.following import follow, leave
from eventsource_operator.sources.ledgerbook import LedgerBook
from eventsource_operator.sources.plan import Compiled, Plan, compile_spec, make_plan, policy_of
from eventsource_operator.sources.replay import replay
from eventsource_operator.sources.report import trouble_of
from eventsource_operator.sources.servers import ServerRefusedError
from eventsource_operator.sources.services import Services
from eventsource_operator.sources.source import Source
from eventsource_operator.sources.state import State
from eventsource_operator.sources.teller import Teller
from eventsource_operator.streams.checkpoint import Keeper, Loaded, Tracked

_log = logging.getLogger(__name__)

_AGAIN = 2.0
"""Seconds after which something that failed is tried again: a kind that appears must be seen soon."""

_RELIST = 10.0
"""Seconds after which bindings that could not be listed are asked for again, if the resync is not sooner."""

_ROOM = 0.5
"""Seconds between looks whether a source that had to stop reading may begin again."""

_FIRST_SAVE_SECONDS = 0.5
"""Pause before a write after a time in which there was nothing to write; between two writes it is longer."""


class SourceLoop:
    """Runs one source; `start`, `update` with each new object, `stop`."""

    def __init__(self, services: Services, obj: EventSource, before: Status) -> None:
        self.services = services
        self.source = Source(services, obj, before)
        self._before = before
        self.keeper = Keeper(services.store, obj.namespace, obj.name, obj.uid)
        self.state = State()
        self.teller = Teller(self.source, self.state, before)
        self._spec_error: SpecError | None = None
        self._compiled_for: EventSource | None = None
        self._loaded: Loaded | None = None
        self._replan = False
        self._resync_at = 0.0
        self._again_at: float | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._save_at = float("inf")
        self._saving: asyncio.Task[None] | None = None
        self._reload = False
        """Credentials and bindings are asked for again, however young they are: the configuration changed."""

    @property
    def obj(self) -> EventSource:
        """The EventSource as last seen."""
        return self.source.obj

    def start(self) -> None:
        """Begins."""
        self._save_at = time.monotonic() + min(_FIRST_SAVE_SECONDS, self.services.settings.position_interval)
        for work in (self._reconcile_forever(), self.teller.run()):
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
            self._resync_at, self._reload = 0.0, True
        self.source.wake.set()

    # -------------------------------------------------------------- reconcile
    async def _reconcile_forever(self) -> None:
        source = self.source
        while True:
            source.wake.clear()
            self._again_at = None
            try:
                async with self.services.passes:
                    due = await self._reconcile()
                if due:
                    await self._list_bindings(self.obj)
            except KubeError as error:
                self.state.trouble = trouble_of(error)
                self._again_at = time.monotonic() + _AGAIN
            except Exception:  # noqa: BLE001 - a bug in one source must not end the others; it is logged and shown
                _log.exception("a pass failed in an unforeseen way", extra={"source": source.name})
                self.state.trouble = (
                    Reason.INTERNAL_ERROR,
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

    async def _reconcile(self) -> bool:
        """One pass; asks the API server only, never an Argo Server. Returns whether the resync was due."""
        obj = self.obj
        if self._outdated(obj) and not self._compile(obj):
            self._pause()
            self._resync_at = time.monotonic() + obj.spec.bindings.resync_seconds
            return False
        if self.state.compiled is None:
            return False
        if self._loaded is None and not await self._load():
            return False
        now = time.monotonic()
        due = now >= self._resync_at
        if due:
            self._resync_at = now + obj.spec.bindings.resync_seconds * (0.9 + random.random() * 0.2)
            self.state.reviews.renew()
        plan = self.state.plan
        if due or plan is None or plan.problems or self._replan:
            plan = await self._plan(obj, self.state.compiled)
        if plan.problems:
            self._again_at = time.monotonic() + _AGAIN
        self.state.trouble = None
        await self._connect(obj)
        follow(self.source, self.state, self._loaded)
        await self._settle_lists()
        if self.source.sender is not None:
            self.source.sender.paused = obj.spec.suspend or plan.send_denied or bool(self.state.refused)
            self.source.sender.pump()
            await replay(self, obj)
        return due

    async def _plan(self, obj: EventSource, compiled: Compiled) -> Plan:
        state, self._replan = self.state, False
        try:
            plan = await make_plan(obj, compiled, self.services, state.reviews, self._replan_soon)
        except KubeError:
            self._replan = True  # a right that was revoked must not stay in force until the next resync
            raise
        state.plan = plan
        return plan

    def _replan_soon(self) -> None:
        """The namespaces that a selector matches may have changed."""
        self._replan = True
        self.poke()

    def _outdated(self, obj: EventSource) -> bool:
        known = self._compiled_for
        return known is None or self._spec_error is not None or known.spec != obj.spec

    def _compile(self, obj: EventSource) -> bool:
        if self._spec_error is None:
            try:
                self.state.compiled = compile_spec(obj)
            except SpecError as error:
                self._spec_error = error
        if self._spec_error is not None:
            self._compiled_for = obj
            failed, self._spec_error = self._spec_error, None
            self.state.accepted = Fact("Accepted", False, Reason.INVALID_SPEC, str(failed))
            return False
        self.state.accepted = Fact("Accepted", True, Reason.ACCEPTED)
        self._compiled_for = obj
        self._replan = True
        return True

    def _pause(self) -> None:
        """Stop reading and sending; positions stay, so that nothing is lost once it is mended."""
        for tracker in self.source.trackers.values():
            leave(self.source, tracker)
        if self.source.sender is not None:
            self.source.sender.paused = True
        self.state.compiled = None

    async def _load(self) -> bool:
        try:
            loaded = await self.keeper.load()
        except (CheckpointError, LedgerError) as error:
            message = (
                f"the stored progress cannot be used: {error}; to begin again from the present state, delete the "
                f"EventSourceCheckpoints: kubectl -n {self.obj.namespace} delete evsc -l "
                f"{SOURCE_UID_LABEL}={self.obj.uid}"
            )
            self.state.trouble = (Reason.CHECKPOINT_CORRUPT, message)
            self._again_at = time.monotonic() + 10 * _AGAIN
            return False
        began = self._before.observed_generation > 0
        if not loaded.found and began and self._before.watches:
            note = "the stored progress is missing: changes since it was lost cannot be known; begins from the present"
            self.source.warn("CheckpointMissing", note)
            _log.warning(note, extra={"source": self.source.name})
        self._loaded = loaded
        self.source.book = LedgerBook(self._before.deliveries, loaded.failures)
        return True

    async def _connect(self, obj: EventSource) -> None:
        """The sender, with the endpoint that the spec asks for."""
        source, services = self.source, self.services
        self.state.refused = ""
        try:
            key = services.servers.key(obj, services.settings)
        except (ServerRefusedError, ValueError) as error:
            self.state.refused = str(error)
            if source.sender is None:
                return
            key = source.sender.endpoint.key
        compiled = self.state.compiled
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
            self.state.listing, self._resync_at = None, 0.0
            await services.servers.release(old)
        elif sender.policy != policy:
            sender.reconfigure(policy, sender.endpoint)

    async def _settle_lists(self) -> None:
        """A source counts as watching only once its first position is stored."""
        new = [one for one in self.state.tracked.values() if one.ledger is None]
        if new and all(not self.source.trackers[one.key].needs_list for one in new):
            await self._save()

    async def _list_bindings(self, obj: EventSource) -> None:
        sender = self.source.sender
        if sender is None:
            return
        spec = obj.spec.bindings
        reload, self._reload = self._reload, False
        self.state.listing = await self.services.bindings.listing(
            sender.endpoint,
            obj.event_namespace,
            spec.label_selector,
            spec.field_selector,
            0.0 if reload else spec.resync_seconds * 0.8,
            self._refresh,
        )
        if self.state.listing.error:  # seen to be mended before the next resync; how many listen is not known
            self._resync_at = min(self._resync_at, time.monotonic() + _RELIST)
        else:
            self.source.metrics.bindings.set(len(self.state.listing.names))

    async def _refresh(self, endpoint: Endpoint) -> None:
        try:
            await self.services.servers.refresh(endpoint)
        except (ArgoError, CredentialsError) as error:
            _log.info("credentials could not be read again: %s", error, extra={"source": self.source.name})

    # ------------------------------------------------------------- checkpoint
    def tick(self, now: float) -> None:
        """Begins to write what it is time to write; called often, for all sources by one clock.

        A timer of its own for each source would wake the process hundreds of times a second for nothing. What is
        acknowledged first after a start, or after an idle time, is written soon: who is killed again and again must
        get ahead, not repeat all since the first kill.
        """
        if self.source.stirred:
            self.teller.tick(now)
        if now < self._save_at or (self._saving is not None and not self._saving.done()):
            return
        interval = self.services.settings.position_interval
        self._save_at = now + min(_FIRST_SAVE_SECONDS, interval)
        if self._unsaved and self._may_save:
            self._save_at = now + interval
            self._saving = asyncio.create_task(self._save_now(), name=f"save {self.source.name}")

    async def _save_now(self) -> None:
        try:
            await self._save()
        except NamespaceEnding:
            _log.debug("the namespace is being deleted: no checkpoint", extra={"source": self.source.name})
        except KubeError as error:
            _log.warning("the checkpoint could not be written: %s", error, extra={"source": self.source.name})
        self._save_at = time.monotonic() + self.services.settings.position_interval

    @property
    def _unsaved(self) -> bool:
        if self.source.book.unsaved:
            return True
        for one in self.state.tracked.values():  # noqa: SIM110 - asked often of each source, `any` takes twice as long
            if one.cursor.unsaved:
                return True
        return False

    @property
    def _may_save(self) -> bool:
        return self.services.may_send() and self.state.stored

    async def _save(self) -> None:
        before = self.keeper.writes
        self.source.book.unsaved = False
        await self.keeper.save(
            [one for one in self.state.tracked.values() if not self._unlisted(one)] + self._kept(),
            self.source.book.failures,
            now=time.monotonic(),
            wall=time.time(),
            interval=self.services.settings.ledger_interval,
        )
        self.services.metrics.checkpoint_writes.inc(self.keeper.writes - before)
        self.source.changed.set()

    def _kept(self) -> list[Tracked]:
        """Stored progress of what cannot be read now, because a right or a kind is missing: it is written on."""
        loaded, plan = self._loaded, self.state.plan
        if loaded is None or (plan is not None and not plan.problems):
            return []
        return [
            Tracked(key, old.resource, old.namespace, old.shape, old.cursor, old.ledger, time.monotonic())
            for key, old in loaded.targets.items()
        ]

    def _unlisted(self, one: Tracked) -> bool:
        tracker = self.source.trackers.get(one.key)
        return tracker is not None and tracker.initial and one.ledger is None

    # ------------------------------------------------------------------- end
    async def stop(self, *, grace: float, deleted: bool) -> None:
        """Stop reading, drain, write, leave; a deleted source is not drained."""
        source, hub = self.source, self.services.hub
        for tracker in source.trackers.values():
            hub.leave(tracker)
        self._save_at = float("inf")
        tasks = self._tasks + ([self._saving] if self._saving is not None else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        sender = source.sender
        if sender is not None:
            began = time.monotonic()
            if not deleted:
                await sender.drain(grace)
            await sender.stop(max(0.0, grace - (time.monotonic() - began)) if not deleted else 0.0)
            await self.services.servers.release(sender.endpoint)
        if not deleted and self.services.may_send() and self.state.tracked and self._may_save:
            try:
                if self._unsaved:
                    await self._save()
                await self.teller.tell()
            except KubeError as error:
                _log.warning(
                    "the last checkpoint could not be written: %s", error, extra={"source": source.name}
                )
        if deleted:
            self.services.metrics.forget(source.name)
