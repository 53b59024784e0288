"""Tells a source's state: its status, at most once in a while and only when it differs, and Kubernetes Events."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from eventsource_operator.api.eventsource import EventSource
from eventsource_operator.api.status import Status
from eventsource_operator.core.conditions import event_of
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.errors import KubeError
from eventsource_operator.kube.status import apply_status
from eventsource_operator.sources.report import build_status
from eventsource_operator.sources.source import Source
from eventsource_operator.sources.state import State

_log = logging.getLogger(__name__)

RESOURCE: Final = Resource("eventsource-operator.dev", "v1alpha1", "EventSource", "eventsources")


_WAITING_SECONDS = 1.0
"""How long what waits may differ from what was told before that alone is told: most events are gone sooner."""


class Teller:
    """Writes one source's status."""

    def __init__(self, source: Source, state: State, before: Status) -> None:
        self.source = source
        self.services = source.services
        self._state = state
        self._written = before
        self._told_at = float("-inf")
        self._pending = 0
        self._differs_at = float("inf")
        self._said: dict[str, str] = {}

    @property
    def obj(self) -> EventSource:
        """The EventSource as last seen."""
        return self.source.obj

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.source.changed.wait()
            wait = self._told_at + self.services.settings.status_interval - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self.source.changed.clear()
            try:
                await self.tell()
            except KubeError as error:
                _log.warning("the status could not be written: %s", error, extra={"source": self.source.name})
                self.source.changed.set()

    def tick(self, now: float) -> None:
        """Notes what has begun to wait where nothing else happens: suspended, or a server that does not answer."""
        if self.source.pending == self._pending:
            self._differs_at = float("inf")
            self.source.stirred = False
        elif now - self._differs_at >= _WAITING_SECONDS:
            self.source.changed.set()
        else:
            self._differs_at = min(now, self._differs_at)

    async def tell(self) -> None:
        """Writes the status when it differs from what was written last."""
        source = self.source
        server = source.sender.endpoint.key.url if source.sender is not None else ""
        status = build_status(self.obj, source, self._state, before=self._written, server=server)
        self._pending = source.pending
        source.metrics.pending.set(self._pending)
        self._announce(status)
        if status == self._written or not self.services.may_send():
            return
        try:
            exists = await apply_status(
                self.services.client, RESOURCE, self.obj.namespace, self.obj.name, status.to_dict()
            )
        finally:  # from the end: the next one must not reach the server sooner than that
            self._told_at = time.monotonic()
        if exists:
            self._written = status

    def _announce(self, status: Status) -> None:
        """Kubernetes Events for what changed; the recorder bounds their rate."""
        source = self.source
        for condition in status.conditions:
            said = f"{condition.status}/{condition.reason}"
            if self._said.get(condition.type) == said:
                continue
            self._said[condition.type] = said
            kind = event_of(condition)
            if kind is not None:
                tell = source.note if kind == "Normal" else source.warn
                tell(condition.reason, condition.message or "every watch is open", action=condition.type)
        last = status.deliveries.last
        if last is not None and self._said.get("delivered") != last.id:
            self._said["delivered"] = last.id
            source.note("Delivered", "events are delivered to the Argo Server", action="Deliver")
