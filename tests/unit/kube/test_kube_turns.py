"""Requests take turns; the Lease does not wait for one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aiohttp import web

from eventsource_operator.kube import client as kube_client
from eventsource_operator.kube.client import KubeClient
from tests.support.controlplane import wait_for_async


async def test_the_lease_is_renewed_while_all_turns_are_taken(tmp_path: Path) -> None:
    most = kube_client._REQUESTS
    waiting: list[str] = []
    go_on = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        waiting.append(request.path)
        await go_on.wait()
        return web.json_response({})

    async def lease(_request: web.Request) -> web.Response:
        return web.json_response({"kind": "Lease"})

    app = web.Application()
    app.router.add_get("/lease", lease)
    app.router.add_get("/{name}", slow)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": site.name}}],
        "users": [{"name": "u", "user": {"token": "made-up"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    file = tmp_path / "config"
    file.write_text(json.dumps(config), encoding="utf-8")
    client = await KubeClient.connect(str(file))
    requests = [asyncio.create_task(client.request("GET", f"/{number}")) for number in range(2 * most)]
    try:
        await wait_for_async(lambda: len(waiting) >= most, 20, "as many requests as there are turns")
        async with asyncio.timeout(20):
            assert await client.request("GET", "/lease", urgent=True) == {"kind": "Lease"}
        assert len(waiting) == most, "the others wait for their turn"
        go_on.set()
        async with asyncio.timeout(20):
            assert await asyncio.gather(*requests) == [{}] * len(requests)
    finally:
        go_on.set()
        for task in requests:
            task.cancel()
        await asyncio.gather(*requests, return_exceptions=True)
        await client.close()
        await runner.cleanup()
