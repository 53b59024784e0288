"""Many EventSources on one kind and namespace: few watches, no write when nothing changes, no Lease lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.support.controlplane import delete_namespace, new_namespace, wait_for
from tools.bench import cluster
from tools.bench.arrivals import sink
from tools.bench.changes import SPEC
from tools.bench.peers import operator, process, tail
from tools.controlplane.plane import ControlPlane

SOURCES = 120
QUIET_SECONDS = 6.0
"""Three times what lies between two writes of a position or of a status."""


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_many_sources_share_a_watch_and_write_nothing_while_nothing_changes(
    plane: ControlPlane, tmp_path: Path
) -> None:
    namespace = new_namespace(plane, "many")
    log = tmp_path / "log"
    began = now()
    cluster.fill(plane, namespace, 20)
    cluster.add_sources(plane, namespace, SOURCES, SPEC)
    with sink(0.0, log) as arrivals, process(operator(plane, namespace, arrivals.url), log):
        wait_for(
            lambda: cluster.ready_sources(plane, [namespace]) == SOURCES,
            90.0,
            "all of them to be Ready",
            lambda: tail(log),
        )

        def shared() -> bool:
            """Kopf's own watches of EventSources and configuration, and one for all sources."""
            watches = cluster.traffic(plane.audit_events(), began).watches
            assert watches["eventsources"] == 1
            assert watches["configmaps"] == 2, watches
            return True

        wait_for(shared, 30.0, "one watch for all sources")

        def quiet() -> bool:
            since = datetime.now(UTC).timestamp() - QUIET_SECONDS
            found = cluster.traffic(
                plane.audit_events(), datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            )
            assert found.writes == 0, found.requests
            return True

        wait_for(quiet, 60.0, "nothing to be written")
        whole = cluster.traffic(plane.audit_events(), began).requests
        assert whole["create", "leases"] == 1
        assert arrivals.fetch() == {}
    assert "leadership" not in log.read_text(encoding="utf-8"), "it led from the start to the end"
    delete_namespace(plane, namespace)
