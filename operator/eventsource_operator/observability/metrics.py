"""The operator's metrics (docs/operations.md): labels by source, never by object.

Children are bound once per source, so counting a delivery costs an addition.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from eventsource_operator import __version__

_PREFIX: Final = "eventsource_operator_"
_SECONDS: Final = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip

Result: TypeAlias = Literal["delivered", "failed", "absorbed", "retried"]
RESULTS: Final[tuple[Result, ...]] = ("delivered", "failed", "absorbed", "retried")


class SourceMetrics:
    """What is counted for one EventSource; made by `Metrics.source`."""

    __slots__ = ("_changes", "_last", "_metrics", "_name", "_results", "gone", "pending")

    def __init__(self, metrics: Metrics, name: str) -> None:
        """Bind the children, so that each series exists from the start with 0.

        Except for what is not known yet: when something was last delivered, and how many bindings listen.
        """
        self._metrics = metrics
        self._name = name
        self._changes = metrics.changes.labels(name)
        self._results = {result: metrics.deliveries.labels(name, result) for result in RESULTS}
        self._last: Gauge | None = None
        self.gone = False  # a late acknowledgement must not bring the series back
        self.pending = metrics.pending.labels(name)

    @property
    def bindings(self) -> Gauge:
        """The number of bindings; there once they were listed: no alert may take unknown for none."""
        return self._metrics.bindings.labels(self._name)

    def change(self, count: int = 1) -> None:
        """Count changes that the source selected."""
        self._changes.inc(count)

    def result(self, result: Result) -> None:
        """Count an outcome: the end of an event, or a try that will be repeated (`retried`)."""
        self._results[result].inc()

    def delivered(self, seconds: float, timestamp: float, result: Result = "delivered") -> None:
        """Count an acknowledged event.

        Args:
            seconds: From the change being seen to the acknowledgement.
            timestamp: Unix time of the acknowledgement.
            result: `absorbed` when the server had it already.
        """
        self._results[result].inc()
        self._metrics.delivery_seconds.observe(seconds)
        if self.gone:
            return
        if self._last is None:
            self._last = self._metrics.last_delivery.labels(self._name)
        self._last.set(timestamp)


class Metrics:
    """All metrics, on a registry of their own.

    Attributes:
        leader: 1 while this process leads.
        old_state_bytes: Memory held for old states of objects.
        checkpoint_writes: Checkpoint objects written.
    """

    def __init__(self) -> None:
        """Register everything.

        The `_created` series, which double the size of a scrape, are switched off; that
        switch of prometheus_client is one for the process.
        """
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self.registry = CollectorRegistry()
        source = ["source"]
        self.changes = Counter(
            f"{_PREFIX}changes", "Changes that a source selected.", source, registry=registry
        )
        self.deliveries = Counter(
            f"{_PREFIX}deliveries",
            "Outcomes of events: delivered, failed, absorbed (the server had it already), retried.",
            [*source, "result"],
            registry=registry,
        )
        self.delivery_seconds = Histogram(
            f"{_PREFIX}delivery_seconds",
            "From a change being seen to the server's acknowledgement.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.pending = Gauge(
            f"{_PREFIX}pending", "Changes that wait for delivery.", source, registry=registry
        )
        self.bindings = Gauge(f"{_PREFIX}bindings", "WorkflowEventBindings found.", source, registry=registry)
        self.last_delivery = Gauge(
            f"{_PREFIX}last_delivery_timestamp_seconds",
            "Unix time of the last delivery.",
            source,
            registry=registry,
        )
        self._watch_restarts = Counter(
            f"{_PREFIX}watch_restarts", "Watches opened again.", ["resource", "reason"], registry=registry
        )
        self.leader = Gauge(f"{_PREFIX}leader", "1 while this process leads.", registry=registry)
        self.old_state_bytes = Gauge(
            f"{_PREFIX}old_state_bytes", "Memory held for old states of objects.", registry=registry
        )
        self.checkpoint_writes = Counter(
            f"{_PREFIX}checkpoint_writes", "EventSourceCheckpoint objects written.", registry=registry
        )
        Info(f"{_PREFIX}build", "Version of the operator.", registry=registry).info({"version": __version__})
        ProcessCollector(registry=registry)
        self._sources: dict[str, SourceMetrics] = {}

    def source(self, name: str) -> SourceMetrics:
        """The metrics of one source.

        Args:
            name: `namespace/name`.
        """
        if name not in self._sources:
            self._sources[name] = SourceMetrics(self, name)
        return self._sources[name]

    def forget(self, name: str) -> None:
        """Remove every series of a source that is gone."""
        bound = self._sources.pop(name, None)
        if bound is None:
            return
        bound.gone = True
        for result in RESULTS:
            self.deliveries.remove(name, result)
        for metric in (self.changes, self.pending, self.bindings, self.last_delivery):
            metric.remove(name)

    def watch_restarted(self, resource: str, reason: str) -> None:
        """Count a watch that is opened again.

        Args:
            resource: `plural.group`.
            reason: One of a fixed set, CamelCase.
        """
        self._watch_restarts.labels(resource, reason).inc()

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format; some 50 ms for 1,000 sources."""
        return generate_latest(self.registry)
