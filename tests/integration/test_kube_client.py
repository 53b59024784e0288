"""Lists and watches of the thin client against the real API server, and how they break."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from eventsource_operator.kube import errors
from eventsource_operator.kube.client import KubeClient, Page
from eventsource_operator.kube.stream import WatchStream
from tests.support.controlplane import PlaneFactory, wait_for_async

MIB = 1024 * 1024


async def create(client: KubeClient, namespace: str, name: str, data: dict[str, str] | None = None) -> Any:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data or {}}
    return await client.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", body=body)


async def set_data(client: KubeClient, namespace: str, name: str, data: dict[str, str]) -> Any:
    path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
    return await client.request(
        "PATCH", path, body={"data": data}, content_type="application/merge-patch+json"
    )


async def pages_of(client: KubeClient, namespace: str, page_size: int) -> list[Page]:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    return [page async for page in client.list_pages(path, page_size=page_size)]


def name_of(event: dict[str, Any]) -> str:
    """Name of the object; empty for a bookmark, which has none."""
    return str(event["object"]["metadata"].get("name", ""))


async def read_until(
    stream: WatchStream, enough: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    """Decode batches until the events seen so far are enough."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        async for batch in stream:
            assert batch
            events += [orjson.loads(line) for line in batch]
            if enough(events):
                return events
    raise AssertionError(f"the stream ended after {len(events)} events")


async def test_pages_hold_every_object_once_at_one_version(client: KubeClient, namespace: str) -> None:
    names = {f"cm-{i:02}" for i in range(23)}
    for name in names:
        await create(client, namespace, name)
    pages = await pages_of(client, namespace, 10)
    found = [item["metadata"]["name"] for page in pages for item in page.items]
    assert len(pages) == 3
    assert len(found) == len(set(found))
    assert set(found) - names <= {"kube-root-ca.crt"}
    assert names <= set(found)
    assert len({page.resource_version for page in pages}) == 1


async def test_an_object_that_changes_between_pages_is_listed_as_it_was(
    client: KubeClient, namespace: str
) -> None:
    for i in range(4):
        await create(client, namespace, f"cm-{i}", {"v": "old"})
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    values: list[str | None] = []
    async for page in client.list_pages(path, page_size=1):
        if not values:
            await set_data(client, namespace, "cm-3", {"v": "new"})
        values += [item["data"].get("v") for item in page.items]
    assert "new" not in values
    assert values.count("old") == 4


async def test_pages_of_large_objects_are_asked_for_in_smaller_pieces(
    client: KubeClient, namespace: str
) -> None:
    blob = "x" * (MIB - 4096)
    for i in range(40):
        await create(client, namespace, f"big-{i:02}", {"blob": blob})
    pages = await pages_of(client, namespace, 200)
    found = {item["metadata"]["name"] for page in pages for item in page.items}
    assert len(found) >= 40
    assert max(len(page.items) for page in pages) <= 25  # 200 / 8


async def test_a_watch_delivers_small_and_very_large_objects_in_order(
    client: KubeClient, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    start = (await pages_of(client, namespace, 500))[0].resource_version
    async with client.watch(path, resource_version=start) as stream:
        for i in range(30):
            await create(client, namespace, f"small-{i}", {"i": str(i)})
        await create(client, namespace, "huge", {"blob": "y" * (MIB - 4096)})
        await create(client, namespace, "last")
        await client.request("DELETE", f"{path}/small-0")
        mine = ("small", "huge", "last")
        events = await read_until(stream, lambda seen: seen[-1]["type"] == "DELETED")
    told = [(e["type"], name_of(e)) for e in events]
    told = [(t, n) for t, n in told if n.startswith(mine)]
    expected = [("ADDED", f"small-{i}") for i in range(30)]
    assert told == [*expected, ("ADDED", "huge"), ("ADDED", "last"), ("DELETED", "small-0")]
    huge = next(e["object"] for e in events if name_of(e) == "huge")
    assert len(huge["data"]["blob"]) == MIB - 4096


async def test_a_burst_arrives_in_batches_of_several_lines(client: KubeClient, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    start = (await pages_of(client, namespace, 500))[0].resource_version
    for i in range(200):
        await create(client, namespace, f"cm-{i}", {"text": "z" * 500})
    batches = []
    async with client.watch(path, resource_version=start) as stream, asyncio.timeout(20):
        async for batch in stream:
            batches.append(len(batch))
            if sum(batches) >= 200:
                break
    assert len(batches) < 200


async def test_a_slow_consumer_misses_nothing(client: KubeClient, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    start = (await pages_of(client, namespace, 500))[0].resource_version
    async with client.watch(path, resource_version=start) as stream:
        for i in range(20):  # more than the buffers of both sides hold
            await create(client, namespace, f"cm-{i:02}", {"blob": "x" * (MIB // 2)})
        # a new namespace gets a ConfigMap of its own, kube-root-ca.crt, at any moment: it is not one of ours
        events = await read_until(
            stream,
            lambda seen: sum(e["type"] == "ADDED" and name_of(e).startswith("cm-") for e in seen) >= 20,
        )
    names = [name_of(e) for e in events]
    assert [n for n in names if n.startswith("cm-")] == [f"cm-{i:02}" for i in range(20)]


async def test_a_watch_ends_with_a_bookmark_that_moves_the_position_on(
    client: KubeClient, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    start = (await pages_of(client, namespace, 500))[0].resource_version
    query = {"labelSelector": "none=none", "timeoutSeconds": "4"}
    async with client.watch(path, query, resource_version=start) as stream:
        await create(client, namespace, "unseen")
        async with asyncio.timeout(20):
            events = [orjson.loads(line) async for batch in stream for line in batch]
    assert {event["type"] for event in events} == {"BOOKMARK"}
    assert int(events[-1]["object"]["metadata"]["resourceVersion"]) > int(start)


async def test_history_that_is_gone_says_so(fresh_plane: PlaneFactory) -> None:
    plane = fresh_plane(controller_manager=False, argo=False)
    client = await KubeClient.connect(str(plane.kubeconfig))
    try:
        first = await create(client, "default", "early")
        for i in range(20):
            await set_data(client, "default", "early", {"i": str(i)})
        await asyncio.to_thread(plane.forget_history)
        await wait_for_ready(client)
        version = first["metadata"]["resourceVersion"]
        with pytest.raises(errors.Gone):
            await watch_first_error(client, "/api/v1/namespaces/default/configmaps", version)
    finally:
        await client.close()


async def wait_for_ready(client: KubeClient) -> None:
    async def ready() -> bool:
        with contextlib.suppress(errors.KubeError):
            await client.request("GET", "/api/v1/namespaces/default/configmaps")
            return True
        return False

    predicate: Callable[[], bool | Awaitable[bool]] = ready
    assert await wait_for_async(predicate, 30, "the API server")


async def watch_first_error(client: KubeClient, path: str, version: str) -> None:
    """Raise what the watch answers: as HTTP status, or as its first event."""
    async with client.watch(path, resource_version=version) as stream, asyncio.timeout(20):
        event = orjson.loads((await anext(stream))[0])
    assert event["type"] == "ERROR", event
    raise errors.from_status(event["object"])


async def test_a_compacted_continue_token_is_gone(fresh_plane: PlaneFactory) -> None:
    plane = fresh_plane(controller_manager=False, argo=False)
    client = await KubeClient.connect(str(plane.kubeconfig))
    try:
        for i in range(6):
            await create(client, "default", f"cm-{i}")
        pages = client.list_pages("/api/v1/namespaces/default/configmaps", page_size=2)
        await anext(pages)
        for i in range(6):
            await set_data(client, "default", f"cm-{i}", {"v": secrets.token_hex(4)})
        await asyncio.to_thread(plane.forget_history)
        await wait_for_ready(client)
        with pytest.raises(errors.Gone):
            await anext(pages)
    finally:
        await client.close()


async def test_a_silent_stream_counts_as_lost(fresh_plane: PlaneFactory) -> None:
    plane = fresh_plane(controller_manager=False, argo=False)
    client = await KubeClient.connect(str(plane.kubeconfig))
    path = "/api/v1/namespaces/default/configmaps"
    try:
        start = (await pages_of(client, "default", 500))[0].resource_version
        async with client.watch(path, resource_version=start, idle_timeout=1.5) as stream:
            plane.pause("kube-apiserver")
            try:
                with pytest.raises(errors.Unreachable) as caught:
                    async with asyncio.timeout(10):
                        await anext(stream)
            finally:
                plane.resume("kube-apiserver")
        assert caught.value.transient
        assert caught.value.reason == "Timeout"
    finally:
        await client.close()


async def test_a_killed_server_breaks_the_stream_and_requests_fail_as_unreachable(
    fresh_plane: PlaneFactory,
) -> None:
    plane = fresh_plane(controller_manager=False, argo=False)
    client = await KubeClient.connect(str(plane.kubeconfig))
    path = "/api/v1/namespaces/default/configmaps"
    try:
        start = (await pages_of(client, "default", 500))[0].resource_version
        async with client.watch(path, resource_version=start) as stream:
            plane.kill("kube-apiserver")
            with pytest.raises(errors.Unreachable):
                await read_until(stream, lambda _: False)
        with pytest.raises(errors.Unreachable):
            await client.request("GET", path)
    finally:
        await client.close()


async def test_a_hundred_watches_and_a_request_beside_them(client: KubeClient, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(60):
        streams = [
            await stack.enter_async_context(client.watch(path, resource_version="0")) for _ in range(120)
        ]
        await create(client, namespace, "news")
        for stream in streams:
            await read_until(stream, lambda seen: any(name_of(e) == "news" for e in seen))
