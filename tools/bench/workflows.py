"""Watches the Workflows of a namespace and tells when each marker's came into being, as the sink does for events.

Runs as a process of its own: `python -m tools.bench.workflows PORT SERVER TOKEN_FILE NAMESPACE`. The marker is the
Workflow's first argument.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop
from aiohttp import web

from eventsource_operator.kube.stream import LineSplitter
from tools.bench.sink import telling


async def follow(server: str, token: str, namespace: str, arrivals: dict[str, list[float]]) -> None:
    """Notes each new Workflow until cancelled; a watch that ends is opened again where it was."""
    path = f"{server}/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows"
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(ssl=False)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout) as session:
        async with session.get(path, params={"limit": "1"}) as answer:
            version = (await answer.json())["metadata"]["resourceVersion"]
        while True:
            query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "3600"}
            async with session.get(path, params=query) as answer:
                answer.raise_for_status()
                lines = LineSplitter()
                async for chunk in answer.content.iter_any():
                    now = time.time()
                    for line in lines.feed(chunk):
                        version = _note(orjson.loads(line), now, arrivals)


def _note(event: dict[str, Any], now: float, arrivals: dict[str, list[float]]) -> str:
    if event["type"] == "ERROR":
        raise RuntimeError(f"the watch of Workflows failed: {event['object']}")
    workflow = event["object"]
    if event["type"] == "ADDED":
        marker = workflow["spec"]["arguments"]["parameters"][0]["value"]
        arrivals.setdefault(marker, []).append(now)
    return str(workflow["metadata"]["resourceVersion"])


def main() -> None:
    """Serves until killed."""
    port, server, token_file, namespace = sys.argv[1:]
    token = Path(token_file).read_text(encoding="ascii").strip()
    arrivals: dict[str, list[float]] = {}
    app = web.Application()
    app.router.add_get("/arrivals", telling(arrivals))

    async def watching(_app: web.Application) -> Any:
        task = asyncio.create_task(follow(server, token, namespace, arrivals))
        task.add_done_callback(_end_with_error)
        yield
        task.cancel()

    app.cleanup_ctx.append(watching)
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None, loop=loop)


def _end_with_error(task: asyncio.Task[None]) -> None:
    """Without its watch the process would report silence as loss: it ends instead."""
    if not task.cancelled() and task.exception() is not None:
        sys.stderr.write(f"{task.exception()}\n")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
