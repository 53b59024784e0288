"""Kubernetes Events about an EventSource (`kubectl describe`, `kubectl events`).

Events are news, not records: they are sent by a background task, repeated ones are
counted in one object's series, their rate per source is bounded, and what cannot be
written is counted and forgotten. Nothing waits for them.
API: https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from eventsource_operator.api.checkpoint import ObjectRef
from eventsource_operator.core.text import clean
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.errors import KubeError, NamespaceEnding, NotFound

_log = logging.getLogger(__name__)

_RESOURCE = Resource("events.k8s.io", "v1", "Event", "events")
_CONTROLLER = "eventsource-operator.dev/operator"
_NOTE_BYTES = 1024  # the API's own limit
_WORD_LIMIT = 128  # the API's limit for reason, action and reportingInstance
_SERIES_SECONDS = 600.0  # a repetition within this time belongs to the same series
_UPDATE_SECONDS = 60.0  # a series is written at most this often
_BURST = 10
_REFILL_SECONDS = 10.0
_QUEUE_LIMIT = 1000
_REMEMBERED = 2048  # series and buckets kept; the least recently used go first

_Key: TypeAlias = tuple[str, str, str, str, str]


@dataclass(slots=True)
class _Series:
    """One Event object and how often it happened. Times are monotonic seconds, except `last_wall`."""

    body: dict[str, Any]
    last: float
    last_wall: datetime
    count: int = 1
    written: int = 0
    written_at: float = 0.0
    queued: bool = False
    dirty: bool = False


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class EventRecorder:
    """Takes Events at any rate and writes them at a bounded one.

    Attributes:
        dropped: Events that were not written because of the rate, a full queue, or a namespace that is gone.
        failed: Events that the API server did not take.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        instance: str,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Nothing is written before `run` does.

        Args:
            client: The API server.
            instance: Name of this pod.
            now: Monotonic seconds.
            wall: The time of day, UTC.
        """
        self.dropped = 0
        self.failed = 0
        self._client = client
        self._instance = clean(instance, _WORD_LIMIT) or "unknown"
        self._now = now
        self._wall = wall
        self._series: OrderedDict[_Key, _Series] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._queue: deque[_Series] = deque()
        self._dirty: list[_Series] = []  # counted further since they were written
        self._wake = asyncio.Event()
        self._failing = False

    def record(
        self, regarding: ObjectRef, type_: Literal["Normal", "Warning"], reason: str, note: str, action: str
    ) -> None:
        """Take an Event; never blocks and never raises.

        Args:
            regarding: The object it is about; the Event lives in its namespace.
            type_: `Normal` or `Warning`.
            reason: Stable CamelCase word.
            note: What happened, for people; cut at 1 kB.
            action: What the operator did, CamelCase.
        """
        now = self._now()
        note = _bounded(note)
        key = (regarding.uid, type_, reason, note, action)
        series = self._series.get(key)
        if series is not None and now - series.last < _SERIES_SECONDS:
            self._series.move_to_end(key)
            series.count += 1
            series.last = now
            series.last_wall = self._wall()
            if not series.dirty and not series.queued:
                series.dirty = True
                self._dirty.append(series)
                self._wake.set()
            return
        if len(self._queue) >= _QUEUE_LIMIT or not self._take(regarding.uid, now):
            self.dropped += 1
            return
        moment = self._wall()
        words = {"type": type_, "reason": reason[:_WORD_LIMIT], "action": action[:_WORD_LIMIT], "note": note}
        series = _Series({**self._about(regarding, moment), **words}, now, moment)
        self._series[key] = series
        self._series.move_to_end(key)
        if len(self._series) > _REMEMBERED:
            self._series.popitem(last=False)
        self._enqueue(series)

    async def run(self) -> None:
        """Write what is recorded, until cancelled."""
        while True:
            self._wake.clear()
            wait = self._collect_due()
            while self._queue:
                await self._write(self._queue.popleft())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def close(self, timeout: float = 3.0) -> None:  # noqa: ASYNC109 - a bound for the whole call
        """Write what is still queued, for at most `timeout` seconds; call it after `run` was cancelled."""
        for series in self._dirty:
            series.dirty = False
            self._enqueue(series)
        self._dirty = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._queue:
                    await self._write(self._queue.popleft())
        self.dropped += len(self._queue)
        self._queue.clear()

    def _enqueue(self, series: _Series) -> None:
        series.queued = True
        self._queue.append(series)
        self._wake.set()

    def _collect_due(self) -> float | None:
        """Queue the series that may be written again; seconds to the next one, None when all are written."""
        now = self._now()
        waiting: list[_Series] = []
        for series in self._dirty:
            if series.written_at + _UPDATE_SECONDS <= now:
                series.dirty = False
                self._enqueue(series)
            else:
                waiting.append(series)
        self._dirty = waiting
        return min((s.written_at + _UPDATE_SECONDS - now for s in waiting), default=None)

    def _take(self, source: str, now: float) -> bool:
        bucket = self._buckets.setdefault(source, _Bucket(_BURST, now))
        self._buckets.move_to_end(source)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        bucket.tokens = min(_BURST, bucket.tokens + (now - bucket.at) / _REFILL_SECONDS)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _about(self, regarding: ObjectRef, moment: datetime) -> dict[str, Any]:
        return {
            "apiVersion": _RESOURCE.api_version,
            "kind": _RESOURCE.kind,
            "metadata": {
                "name": f"{regarding.name[:200].rstrip('-.')}.{uuid.uuid4().hex[:16]}",
                "namespace": regarding.namespace,
            },
            "eventTime": _micro(moment),
            "reportingController": _CONTROLLER,
            "reportingInstance": self._instance,
            "regarding": {
                "apiVersion": regarding.api_version,
                "kind": regarding.kind,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
            },
        }

    async def _write(self, series: _Series) -> None:
        count = series.count
        try:
            await self._send(series, count)
        except (NamespaceEnding, NotFound):
            self.dropped += 1  # nobody will read it
        except KubeError as error:
            self.failed += 1
            if not self._failing:
                self._failing = True
                _log.warning("Kubernetes Events cannot be written for now: %s", error)
        else:
            self._failing = False
        series.written, series.written_at, series.queued = count, self._now(), False
        if series.count > count and not series.dirty:  # it went on while this was being written
            series.dirty = True
            self._dirty.append(series)

    async def _send(self, series: _Series, count: int) -> None:
        metadata = series.body["metadata"]
        if series.written:
            path = _RESOURCE.path(metadata["namespace"], metadata["name"])
            patch = {"series": {"count": count, "lastObservedTime": _micro(series.last_wall)}}
            with contextlib.suppress(NotFound):  # it outlived the server's memory of it (an hour): made anew
                await self._client.request(
                    "PATCH", path, body=patch, content_type="application/merge-patch+json"
                )
                return
        body = series.body
        if count > 1:
            body = {**body, "series": {"count": count, "lastObservedTime": _micro(series.last_wall)}}
        await self._client.request("POST", _RESOURCE.path(metadata["namespace"]), body=body)


def _micro(moment: datetime) -> str:
    """`metav1.MicroTime`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _bounded(note: str) -> str:
    """One line of at most 1 kB of UTF-8."""
    line = clean(note, _NOTE_BYTES)
    encoded = line.encode("utf-8", "replace")
    if len(encoded) <= _NOTE_BYTES:
        return line
    return encoded[: _NOTE_BYTES - 3].decode("utf-8", "ignore") + "…"
