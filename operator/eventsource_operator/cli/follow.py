"""EventSources as the API server has them: a list, and from there on each change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson

from eventsource_operator.api.eventsource import SpecError
from eventsource_operator.api.status import Status
from eventsource_operator.cli.cluster import SOURCES
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.errors import Gone, KubeError, from_status

_PAUSE = 1.0
"""Seconds before a watch that failed is opened again."""


async def sources(
    client: KubeClient, namespace: str | None, name: str | None
) -> tuple[list[dict[str, Any]], str]:
    """The EventSources of a namespace (None: all), or the one of that name, and the version of the list.

    Raises:
        KubeError: as `KubeClient.request`; a source that does not exist is none.
    """
    found: list[dict[str, Any]] = []
    version = ""
    async for page in client.list_pages(SOURCES.path(namespace), _query(name)):
        found += page.items
        version = page.resource_version
    return found, version


async def changes(
    client: KubeClient, namespace: str | None, name: str | None, version: str
) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Each change after a version: `ADDED`, `MODIFIED` or `DELETED`, and the object. Never ends by itself.

    A watch that breaks is opened again; when the history is gone, the present objects come as `MODIFIED`.

    Raises:
        KubeError: the server refuses for good.
    """
    while True:
        try:
            async with client.watch(
                SOURCES.path(namespace), _query(name), resource_version=version
            ) as stream:
                async for batch in stream:
                    for line in batch:
                        event = orjson.loads(line)
                        if event["type"] == "ERROR":
                            raise from_status(event["object"])
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":
                            yield event["type"], event["object"]
        except Gone:
            items, version = await _again(client, namespace, name)
            for item in items:
                yield "MODIFIED", item
        except KubeError as error:
            if not error.transient:
                raise
            await asyncio.sleep(_PAUSE)


async def _again(
    client: KubeClient, namespace: str | None, name: str | None
) -> tuple[list[dict[str, Any]], str]:
    """As `sources`; an outage is waited for."""
    while True:
        try:
            return await sources(client, namespace, name)
        except KubeError as error:
            if not error.transient:
                raise
            await asyncio.sleep(_PAUSE)


def _query(name: str | None) -> dict[str, str]:
    return {"fieldSelector": f"metadata.name={name}"} if name else {}


def status_of(obj: dict[str, Any]) -> Status:
    """The status, empty where it is missing or no version ever wrote it so."""
    try:
        return Status.from_dict(obj.get("status"))
    except SpecError:
        return Status()
