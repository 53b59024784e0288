"""The composition root: builds everything, keeps the sources, starts and ends the operator.

Kopf watches EventSources and the configuration and calls the handlers; they tell `App`. What `App` starts depends on
whether this replica leads. The module is long because it knows every part, so that no part has to know another.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eventsource_operator.api.eventsource import EventSource, EventSourceSpec, SpecError, parse_event_source
from eventsource_operator.api.status import Status
from eventsource_operator.core.budget import Budget
from eventsource_operator.kube.checkpoints import CheckpointStore
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.discovery import Discovery, KindNotFound
from eventsource_operator.kube.errors import ConfigurationError, KubeError
from eventsource_operator.kube.events import EventRecorder
from eventsource_operator.kube.secrets import OwnToken
from eventsource_operator.observability.health import HealthServer
from eventsource_operator.observability.logging import set_level, setup_logging
from eventsource_operator.observability.metrics import Metrics
from eventsource_operator.settings import Settings, SettingsError, apply_config, unknown_config_keys
from eventsource_operator.sources.bindings import BindingsBoard
from eventsource_operator.sources.loop import SourceLoop
from eventsource_operator.sources.namespaces import NamespaceWatch
from eventsource_operator.sources.servers import Servers
from eventsource_operator.sources.services import Services
from eventsource_operator.streams.hub import StreamHub
from eventsource_operator.streams.past import Past

_log = logging.getLogger(__name__)

_GC_THRESHOLDS = (10_000, 20, 50)
"""New objects before the young are looked through, and how many such passes before the older ones are."""

_TICK_SECONDS = 0.25
"""How exactly the sources' positions are written when they are due."""

_LOOP_SILENCE = 30.0
"""Seconds without a turn of the event loop's own clock after which the process counts as hung."""


class StartupError(Exception):
    """The operator cannot start; one line with cause and remedy."""


class App:
    """Everything that lives as long as the process. Create it with `create`."""

    def __init__(self, settings: Settings, client: KubeClient) -> None:
        self.base = settings
        self.metrics = Metrics()
        past = Past(settings.old_state_bytes)
        hub = StreamHub(client, past, self.metrics.watch_restarted)
        self.services = Services(
            settings=settings,
            client=client,
            hub=hub,
            budget=Budget(settings.pending_limit, settings.pending_bytes),
            discovery=Discovery(client),
            servers=Servers(client, OwnToken(Path(settings.token_file), client)),
            namespaces=NamespaceWatch(hub),
            store=CheckpointStore(client),
            bindings=BindingsBoard(),
            recorder=EventRecorder(client, instance=settings.pod_name),
            metrics=self.metrics,
            may_send=self._may_send,
        )
        self._past = past
        self._objects: dict[str, tuple[EventSource, SpecError | None, Status]] = {}
        self._loops: dict[str, SourceLoop] = {}
        self._leading = False
        self._leadership: Any = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._beat = time.monotonic()
        self.lost = asyncio.Event()
        """Set when leadership was lost: the process ends and starts again as a standby."""
        self._health: HealthServer | None = None

    @classmethod
    async def create(cls, settings: Settings) -> App:
        """Connects and checks that the cluster has what is needed.

        Raises:
            StartupError: no kubeconfig, no API server, no CRD.
        """
        try:
            client = await KubeClient.connect(settings.kubeconfig, settings.context)
        except ConfigurationError as error:
            raise StartupError(f"no way to a Kubernetes API server: {error.message}") from error
        try:
            await Discovery(client).resolve("eventsource-operator.dev/v1alpha1", "EventSource")
        except KindNotFound as error:
            await client.close()
            raise StartupError(
                "the CustomResourceDefinition of EventSource is not installed: kubectl apply --server-side -f crds/"
            ) from error
        except KubeError as error:
            server = client.server
            await client.close()
            raise StartupError(
                f"the Kubernetes API server {server} cannot be used: {error.message}"
            ) from error
        return cls(settings, client)

    # ------------------------------------------------------------------- life
    async def start(self) -> None:
        """Starts health, events and the election."""
        from eventsource_operator.kube.leader import Leadership, SoleLeader  # noqa: PLC0415 - costs memory

        settings = self.base
        self._health = HealthServer(
            settings.metrics_host,
            settings.metrics_port,
            healthy=self._healthy,
            ready=self._ready,
            metrics=self.metrics,
        )
        port = await self._health.start()
        _log.info("health and metrics on port %d", port)
        if settings.leader_elect:
            self._leadership = Leadership(
                self.services.client,
                namespace=settings.lease_namespace,
                name=settings.lease_name,
                on_started=self._lead,
                on_stopped=self._deposed,
            )
        else:
            self._leadership = SoleLeader(on_started=self._lead)
        self._tasks = [
            asyncio.create_task(self.services.recorder.run(), name="events"),
            asyncio.create_task(self._heartbeat(), name="heartbeat"),
            asyncio.create_task(self._clock(), name="clock"),
            asyncio.create_task(self._leadership.run(), name="leadership"),
        ]

    async def stop(self) -> None:
        """Stop reading, drain, write positions, give the lease back."""
        grace = 0.0 if self.lost.is_set() else self.base.grace_seconds
        self._leading = False
        loops = list(self._loops.values())
        self._loops.clear()
        await asyncio.gather(
            *(loop.stop(grace=grace, deleted=False) for loop in loops), return_exceptions=True
        )
        await self.services.hub.stop()
        if self._leadership is not None:
            await self._leadership.release()
        await self.services.recorder.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.services.servers.close()
        if self._health is not None:
            await self._health.close()
        await self.services.client.close()

    async def _lead(self) -> None:
        _log.info("leading")
        self._leading = True
        self.metrics.leader.set(1)
        for uid in tuple(self._objects):
            self._run(uid)

    async def _deposed(self) -> None:
        self._leading = False
        self.metrics.leader.set(0)
        self.lost.set()

    def _may_send(self) -> bool:
        return self._leadership is not None and bool(self._leadership.is_leader)

    async def _heartbeat(self) -> None:
        while True:
            self._beat = time.monotonic()
            self.metrics.old_state_bytes.set(self._past.size)
            await asyncio.sleep(1)

    async def _clock(self) -> None:
        """Tells all sources the time: a timer in each would wake the process all the time."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            for loop in tuple(self._loops.values()):
                loop.tick(now)

    def _healthy(self) -> tuple[bool, str]:
        silent = time.monotonic() - self._beat
        if silent > _LOOP_SILENCE:
            return False, f"the event loop stood still for {silent:.0f} s"
        return True, "ok"

    def _ready(self) -> tuple[bool, str]:
        return True, "leading" if self._leading else "standing by"

    # ------------------------------------------------------ told by the handlers
    def serves(self, namespace: str) -> bool:
        """Whether EventSources of this namespace are ours."""
        return self.base.all_namespaces or namespace in self.base.namespaces

    def source_seen(self, body: Mapping[str, Any]) -> None:
        """An EventSource exists, as given."""
        meta = body["metadata"]
        if not self.serves(meta["namespace"]):
            return
        uid = meta["uid"]
        error: SpecError | None = None
        try:
            obj = parse_event_source(body)
        except SpecError as failure:
            error = failure
            obj = EventSource(
                meta["namespace"], meta["name"], uid, meta.get("generation", 0), meta.get("resourceVersion", ""),
                (), deleting=bool(meta.get("deletionTimestamp")), spec=EventSourceSpec(watch=()),
            )  # fmt: skip
        if obj.deleting:
            self.source_gone(uid)
            return
        known = self._objects.get(uid)
        status = known[2] if known is not None else _status(body)
        self._objects[uid] = (obj, error, status)
        loop = self._loops.get(uid)
        if loop is None:
            self._run(uid)
        elif error is not None:
            loop.invalid(obj, error)
        else:
            loop.update(obj)

    def source_gone(self, uid: str) -> None:
        """An EventSource was deleted."""
        self._objects.pop(uid, None)
        loop = self._loops.pop(uid, None)
        self.services.namespaces.forget(uid)
        if loop is not None:
            task = asyncio.get_running_loop().create_task(loop.stop(grace=0.0, deleted=True))
            self._tasks.append(task)
            task.add_done_callback(self._tasks.remove)

    def configure(self, data: Mapping[str, str]) -> None:
        """The configuration ConfigMap says this now; empty when it is gone."""
        try:
            settings = apply_config(self.base, data)
        except SettingsError as error:
            _log.error("the configuration ConfigMap is not applied: %s", error)
            return
        for key in unknown_config_keys(data):
            _log.warning("the configuration ConfigMap has an unknown key: %s", key)
        if settings != self.services.settings:
            self.services.settings = settings
            set_level(settings.log_level)
            _log.info("configuration applied")
            for loop in self._loops.values():
                loop.poke(resync=True)

    def _run(self, uid: str) -> None:
        if not self._leading or uid in self._loops:
            return
        obj, error, status = self._objects[uid]
        loop = self._loops[uid] = SourceLoop(self.services, obj, status)
        if error is not None:
            loop.invalid(obj, error)
        loop.start()


def _status(body: Mapping[str, Any]) -> Status:
    try:
        return Status.from_dict(body.get("status"))
    except SpecError:
        return Status()


def run_operator(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT; the exit code.

    Raises:
        StartupError: it cannot start.
    """
    import uvloop  # noqa: PLC0415 - only the running operator needs it

    setup_logging(settings.log_format, settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings))


async def _run(settings: Settings) -> int:
    import kopf  # noqa: PLC0415 - costs memory and time

    from eventsource_operator import handlers  # noqa: PLC0415

    app = await App.create(settings)
    stop = asyncio.Event()
    await app.start()
    kopf_settings = kopf.OperatorSettings()
    handlers.configure(kopf_settings)
    kopf_stop, kopf_ready = asyncio.Event(), asyncio.Event()
    operator = asyncio.create_task(
        kopf.operator(
            registry=kopf.get_default_registry(),
            settings=kopf_settings,
            memo=kopf.Memo(app=app),
            standalone=True,
            stop_flag=kopf_stop,
            ready_flag=kopf_ready,
            **handlers.scope(settings),
        )
    )
    ready = asyncio.create_task(kopf_ready.wait())
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(app.lost.wait())]
    await asyncio.wait([operator, ready], return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    _calm_collector()
    for number in (signal.SIGTERM, signal.SIGINT):  # after Kopf, which would stop at once instead of draining
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await asyncio.wait([operator, *waits], return_when=asyncio.FIRST_COMPLETED)
    error = operator.exception() if operator.done() and not operator.cancelled() else None
    await app.stop()
    kopf_stop.set()
    await asyncio.wait([operator], timeout=5)
    for wait in waits:
        wait.cancel()
    if error is not None:
        _log.error("the watch of EventSources ended", exc_info=error)
        return 1
    if app.lost.is_set():
        _log.warning("leadership was lost: the process ends and is started again as a standby")
        return 1
    return 0


def _calm_collector() -> None:
    """Leaves what was imported out of each later garbage collection, and makes these rare.

    The event loop stands still while one runs: some 100 ms for the 90,000 objects of the imported packages, which
    never become garbage, and each change that came meanwhile waited as long.
    """
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
