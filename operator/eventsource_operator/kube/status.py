"""Writing an EventSource's status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventsource_operator.kube.apply import apply
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.errors import NotFound


async def apply_status(
    client: KubeClient,
    resource: Resource,
    namespace: str,
    name: str,
    status: Mapping[str, Any],
) -> bool:
    """Make the operator's part of a status be this.

    By server-side apply, so that conditions of other writers survive (conditions are a map
    by type) while what the operator no longer says goes away.

    Args:
        client: The API server.
        resource: Its kind.
        namespace: Where the object is.
        name: Its name.
        status: Everything that the operator has to say; left-out fields of an earlier call are removed.

    Returns:
        False when there is no such object (any more).

    Raises:
        KubeError: As `KubeClient.request`.
    """
    metadata = {"name": name, "namespace": namespace}  # a uid here would not be checked on a status
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "status": status}
    try:
        await apply(client, resource.path(namespace, name, "status"), body)
    except NotFound:
        return False
    return True
