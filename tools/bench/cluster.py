"""What the benchmark does on the API server: fill it, make EventSources, read the audit log."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tools.bench import load
from tools.bench.peers import wait_until
from tools.controlplane.argo import create_namespace
from tools.controlplane.plane import ControlPlane

GROUP = "eventsource-operator.dev/v1alpha1"
OURS = ("eventsource-operator/", "kopf/", "Kopf/")
"""How the operator's own requests, and those of Kopf inside of it, call themselves in the audit log."""

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


def configmaps(namespace: str) -> str:
    """The path of a namespace's ConfigMaps."""
    return f"/api/v1/namespaces/{namespace}/configmaps"


def eventsources(namespace: str) -> str:
    """The path of a namespace's EventSources."""
    return f"/apis/{GROUP}/namespaces/{namespace}/eventsources"


def fill(plane: ControlPlane, namespace: str, objects: int, size: int = 900) -> None:
    """A namespace with that many ConfigMaps of about 1 KiB, `cm-0` and so on."""
    create_namespace(plane.api, namespace)
    manifest = {"metadata": {"name": "cm-%d"}, "data": {"fill": "x" * size, "marker": "none"}}
    load.run(load.Job(str(plane.kubeconfig), configmaps(namespace), objects, json.dumps(manifest)))


def add_sources(plane: ControlPlane, namespace: str, count: int, spec: Mapping[str, Any]) -> None:
    """EventSources `bench-0` and so on; `%d` in the spec is the source's number."""
    manifest = {
        "apiVersion": GROUP,
        "kind": "EventSource",
        "metadata": {"name": "bench-%d"},
        "spec": spec,
    }
    load.run(load.Job(str(plane.kubeconfig), eventsources(namespace), count, json.dumps(manifest)))


def remove_sources(plane: ControlPlane, namespace: str) -> None:
    """All EventSources of a namespace, and with them their checkpoints."""
    plane.api.request("DELETE", eventsources(namespace))
    path = eventsources(namespace)
    wait_until(lambda: not plane.api.request("GET", path)["items"], f"the EventSources of {namespace} to go")


def ready_sources(plane: ControlPlane, namespaces: Iterable[str]) -> int:
    """How many EventSources say that they are Ready; asked slowly, because the question itself is work."""
    time.sleep(0.5)
    found = 0
    for namespace in namespaces:
        for item in plane.api.request("GET", eventsources(namespace))["items"]:
            holds = {c["type"]: c["status"] for c in item.get("status", {}).get("conditions", ())}
            found += holds.get("Ready") == "True"
    return found


@dataclass(slots=True)
class Traffic:
    """What the operator asked of the API server.

    Attributes:
        requests: count by (verb, resource), since the time that was asked about.
        watches: resources of the watches that are open at the log's end.
    """

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    watches: Counter[str] = field(default_factory=Counter)

    @property
    def writes(self) -> int:
        """Writes to what is stored: neither questions about rights nor the beat of the Lease."""
        return sum(count for what, count in self.requests.items() if is_write(*what))

    @property
    def beats(self) -> int:
        """Renewals of the Lease."""
        return sum(n for (verb, what), n in self.requests.items() if what == "leases" and verb in _WRITES)


def is_write(verb: str, resource: str) -> bool:
    """Whether a request stores something other than the Lease's renewal."""
    return verb in _WRITES and resource != "leases" and not resource.endswith("reviews")


def traffic(events: Iterable[Mapping[str, Any]], since: str) -> Traffic:
    """Reads an audit log: what the operator did from ``since`` on (RFC 3339), and which watches it has open."""
    found = Traffic()
    open_watches: dict[str, str] = {}
    for event in events:
        if not str(event.get("userAgent", "")).startswith(OURS):
            continue
        ref = event.get("objectRef") or {}
        resource = "/".join(part for part in (ref.get("resource"), ref.get("subresource")) if part)
        stage, ident = event["stage"], event["auditID"]
        if event["verb"] == "watch":
            if stage == "ResponseStarted":
                open_watches[ident] = resource
            else:
                open_watches.pop(ident, None)
                continue
        if event["requestReceivedTimestamp"] >= since:
            found.requests[event["verb"], resource] += 1
    found.watches.update(open_watches.values())
    return found
