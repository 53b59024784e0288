"""B4: the real argo-server, a binding that matches, a Workflow for each event; the operator beside a bare client.

Both have all their events at hand when they begin: the operator's changes are written while its source is suspended,
so that neither figure holds the load of the driver's writes on the API server. What is counted are Workflows, as a
watch sees them come. No workflow-controller runs: it would take processor time from both.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.bench import bare, cluster, load
from tools.bench.arrivals import Arrivals, free_port, judged
from tools.bench.changes import SPEC
from tools.bench.figures import Round
from tools.bench.peers import Command, operator, process, wait_until
from tools.controlplane.plane import ControlPlane

NAMESPACE = "bench-b4"
WIDE = "operator, wide"
"""The operator with as many requests in flight (`delivery.maxConcurrency`) as was best for the bare client."""
_API = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}"
_TEMPLATE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "bench"},
    "spec": {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "marker", "value": ""}]},
        "templates": [{"name": "main", "suspend": {}}],
    },
}
_BINDING = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowEventBinding",
    "metadata": {"name": "bench"},
    "spec": {
        "event": {"selector": "payload?.data?.object?.data?.marker != nil"},
        "submit": {
            "workflowTemplateRef": {"name": "bench"},
            "metadata": {"name": '"w-" + payload.data.object.data.marker'},
            "arguments": {
                "parameters": [{"name": "marker", "valueFrom": {"event": "payload.data.object.data.marker"}}]
            },
        },
    },
}


@dataclass(frozen=True, slots=True)
class Load:
    """Sizes: events of a round, events of each step of the search for the best number of senders."""

    events: int
    probe: int
    senders: tuple[int, ...] = (16, 32, 64, 128, 256)


def prepare(plane: ControlPlane, sizes: Load) -> None:
    """Objects, template and binding."""
    cluster.fill(plane, NAMESPACE, sizes.events)
    plane.allow_sending(NAMESPACE)
    plane.api.request("POST", f"{_API}/workflowtemplates", _TEMPLATE)
    plane.api.request("POST", f"{_API}/workfloweventbindings", _BINDING)


@contextmanager
def watched(plane: ControlPlane, log: Path) -> Iterator[Arrivals]:
    """The process that sees Workflows come."""
    token = log.with_name("admin.token")
    token.touch(mode=0o600)
    token.write_text(plane.admin_token, encoding="ascii")
    port = free_port()
    argv = [sys.executable, "-m", "tools.bench.workflows", str(port), plane.server, str(token), NAMESPACE]
    found = Arrivals(f"http://127.0.0.1:{port}")
    with process(Command(argv), log):
        wait_until(lambda: found.fetch() is not None, "the watch of Workflows")
        yield found


def best_senders(plane: ControlPlane, sizes: Load, log: Path) -> dict[int, float]:
    """Events a second that the bare client reaches with each number of senders."""
    reached: dict[int, float] = {}
    with watched(plane, log) as arrivals:
        for senders in sizes.senders:
            figures = _bare(plane, sizes.probe, senders, arrivals)
            reached[senders] = figures["per second"] or 0.0
    return reached


def measure(plane: ControlPlane, peer: str, sizes: Load, senders: int, log: Path) -> Round:
    """One round of the operator or of the bare client."""
    with watched(plane, log) as arrivals:
        if peer == "bare":
            return _bare(plane, sizes.events, senders, arrivals)
        return _operator(plane, sizes, senders if peer == WIDE else 0, arrivals, log)


def _bare(plane: ControlPlane, events: int, senders: int, arrivals: Arrivals) -> Round:
    sent = bare.run(plane.argo_url, NAMESPACE, events, senders, plane.argo_token)
    return _counted(sent, arrivals)


def _operator(plane: ControlPlane, sizes: Load, senders: int, arrivals: Arrivals, log: Path) -> Round:
    """``senders``: requests in flight; 0 leaves it to the default."""
    token = log.with_name("argo.token")
    token.touch(mode=0o600)
    token.write_text(plane.argo_token, encoding="ascii")
    command = operator(plane, NAMESPACE, plane.argo_url, "--argo-token-file", str(token))
    path = f"{cluster.eventsources(NAMESPACE)}/bench-0"
    merge = "application/merge-patch+json"
    delivery = {"delivery": {"maxConcurrency": senders}} if senders else {}
    cluster.add_sources(plane, NAMESPACE, 1, {**SPEC, **delivery, "suspend": True})
    try:
        with process(command, log) as running:

            def waits(pending: int) -> bool:
                status = plane.api.request("GET", path).get("status", {})
                holds = {c["type"]: c["status"] for c in status.get("conditions", ())}
                waiting: int = status.get("deliveries", {}).get("pending", 0)
                return holds.get("Watching") == "True" and waiting >= pending

            wait_until(lambda: waits(0), "the operator to watch")
            job = load.Job(
                str(plane.kubeconfig), cluster.configmaps(NAMESPACE), sizes.events, changes=sizes.events
            )
            written = load.run(job)
            wait_until(lambda: waits(sizes.events), "all changes to wait")
            cpu = running.cpu
            plane.api.request("PATCH", path, {"spec": {"suspend": False}}, content_type=merge)
            result = _counted(written.acknowledged, arrivals)
            result["CPU ms per change"] = round((running.cpu - cpu) * 1000 / sizes.events, 3)
            return result
    finally:
        cluster.remove_sources(plane, NAMESPACE)


def _counted(written: dict[str, float], arrivals: Arrivals) -> Round:
    """Loss, duplicates and rate; how long each waited in the backlog says nothing."""
    found = judged(written, arrivals.all_of(written))
    return {key: value for key, value in found.items() if not key.endswith(" ms")}
