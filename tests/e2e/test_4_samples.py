"""Each sample on a node, with the operator's own rights: applied as its text says, its change made, its Workflow there.

Workflows that need a pod are looked at when they are made: the images that they run are not in this cluster.
"""

import pytest

from tests.e2e.kit.cluster import Cluster
from tests.support.samples import FOLDER, Place, run_broadcast, run_sample

DATABASES = str(FOLDER / "sync-on-status" / "crd")
WATCH = "e2e-watch-deployments"


def _run(cluster: Cluster, folder: str) -> None:
    with cluster.namespace(f"sample-{folder}") as namespace:
        run_sample(Place(cluster.kubectl, namespace), folder)


@pytest.mark.parametrize("folder", ["restart-on-config-change", "validate-config", "audit-deletions"])
def test_with_the_rights_of_the_installation(cluster: Cluster, operator: str, folder: str) -> None:  # noqa: ARG001
    _run(cluster, folder)


def test_sync_on_status(cluster: Cluster, operator: str) -> None:  # noqa: ARG001
    cluster.kubectl("apply", "-f", DATABASES)
    cluster.kubectl("wait", "--for=condition=Established", "crd/databases.samples.eventsource-operator.dev")
    try:
        _run(cluster, "sync-on-status")
    finally:
        cluster.kubectl("delete", "-f", DATABASES)
        cluster.kubectl("delete", "clusterrole", "eventsource-operator-watch-databases", "--ignore-not-found")


def test_release_per_deployment(cluster: Cluster, operator: str) -> None:  # noqa: ARG001
    """With the commands of docs/install.md that let the operator watch more."""
    cluster.kubectl("create", "clusterrole", WATCH, "--verb=get,list,watch", "--resource=deployments.apps")
    cluster.kubectl("label", "clusterrole", WATCH, "eventsource-operator.dev/aggregate-to-watcher=true")
    try:
        _run(cluster, "release-per-deployment")
    finally:
        cluster.kubectl("delete", "clusterrole", WATCH)


def test_broadcast(cluster: Cluster, operator: str) -> None:  # noqa: ARG001
    run_broadcast(cluster.kubectl)
