"""Server-side apply, the way the operator writes its own objects.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventsource_operator.kube.client import KubeClient

FIELD_MANAGER = "eventsource-operator"
_CONTENT_TYPE = "application/apply-patch+yaml"  # JSON is YAML


async def apply(client: KubeClient, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Create or change an object (or its subresource), taking over fields from other managers.

    Raises:
        Conflict: `metadata.uid` or `metadata.resourceVersion` is given and is not the object's.
        KubeError: As `KubeClient.request`.
    """
    query = {"fieldManager": FIELD_MANAGER, "force": "true"}
    answer = await client.request("PATCH", path, query=query, body=body, content_type=_CONTENT_TYPE)
    return dict(answer)
