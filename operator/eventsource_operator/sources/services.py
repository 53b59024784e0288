"""What all sources share; made once by the composition root."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from eventsource_operator.core.budget import Budget
from eventsource_operator.kube.checkpoints import CheckpointStore
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.discovery import Discovery
from eventsource_operator.kube.events import EventRecorder
from eventsource_operator.observability.metrics import Metrics
from eventsource_operator.settings import Settings
from eventsource_operator.sources.bindings import BindingsBoard
from eventsource_operator.sources.namespaces import NamespaceWatch
from eventsource_operator.sources.servers import Servers
from eventsource_operator.streams.hub import StreamHub

_PASSES = 16
"""Passes over a source at a time: where a thousand begin at once, the Lease is still renewed between them."""


@dataclass(slots=True)
class Services:
    """Shared services; ``settings`` is replaced when the configuration ConfigMap changes."""

    settings: Settings
    client: KubeClient
    hub: StreamHub
    budget: Budget
    discovery: Discovery
    servers: Servers
    namespaces: NamespaceWatch
    store: CheckpointStore
    bindings: BindingsBoard
    recorder: EventRecorder
    metrics: Metrics
    may_send: Callable[[], bool]
    passes: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PASSES))
