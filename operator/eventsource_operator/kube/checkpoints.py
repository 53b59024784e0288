"""EventSourceCheckpoint objects: read, write, delete. What is in them is `streams`' business."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventsource_operator.kube.apply import apply
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.errors import Gone, NotFound

RESOURCE = Resource("eventsource-operator.dev", "v1alpha1", "EventSourceCheckpoint", "eventsourcecheckpoints")
SOURCE_UID_LABEL = "eventsource-operator.dev/source-uid"
_PAGE = 20  # objects; each may hold half a megabyte


class CheckpointStore:
    """The checkpoints in the cluster."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def read_all(self, namespace: str, source_uid: str | None = None) -> list[dict[str, Any]]:
        """Every checkpoint in a namespace, or those labelled with one source's uid.

        Raises:
            KubeError: As `KubeClient.list_pages`; an expired list is read again from its start.
        """
        query = {"labelSelector": f"{SOURCE_UID_LABEL}={source_uid}"} if source_uid else {}
        while True:
            found: list[dict[str, Any]] = []
            try:
                async for page in self._client.list_pages(RESOURCE.path(namespace), query, page_size=_PAGE):
                    found += page.items
            except Gone:
                continue
            return found

    async def put(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """Create the object or replace what we wrote of it before.

        Args:
            obj: Needs `metadata.name` and `metadata.namespace`; with `metadata.resourceVersion`
                it is written only over that version. `apiVersion` and `kind` are filled in.

        Returns:
            The object as stored.

        Raises:
            Conflict: The given version (or uid) is not the current one.
            NotFound: The namespace does not exist.
            KubeError: As `KubeClient.request`.
        """
        metadata = obj["metadata"]
        body = {**obj, "apiVersion": RESOURCE.api_version, "kind": RESOURCE.kind}
        return await apply(self._client, RESOURCE.path(metadata["namespace"], metadata["name"]), body)

    async def delete(self, namespace: str, name: str) -> bool:
        """Delete a checkpoint; False when there was none.

        Raises:
            KubeError: As `KubeClient.request`.
        """
        try:
            await self._client.request("DELETE", RESOURCE.path(namespace, name))
        except NotFound:
            return False
        return True
