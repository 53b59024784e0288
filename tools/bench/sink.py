"""A server that takes events, notes when each marker arrived, and answers as the Argo Server does.

Runs as a process of its own: `python -m tools.bench.sink PORT DELAY_SECONDS`. `GET /arrivals` returns and forgets
`{marker: [unix seconds, …]}`.

Not the server of `tests/support/sink.py`: that one runs in a thread of the tests, keeps whole requests and decodes
them, and would be what is measured. This one finds the marker in the bytes and keeps a time.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop
from aiohttp import web

_MARKER = re.compile(rb'"marker":\s*"([^"]+)"')


def telling(arrivals: dict[str, list[float]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler that returns and forgets."""

    async def told(_request: web.Request) -> web.Response:
        copy = dict(arrivals)
        arrivals.clear()
        return web.json_response(copy)

    return told


def application(delay: float) -> web.Application:
    """The server; each event is answered after ``delay`` seconds."""
    arrivals: dict[str, list[float]] = {}

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        found = _MARKER.search(body)
        if found is not None:
            arrivals.setdefault(found.group(1).decode(), []).append(time.time())
        if delay:
            await asyncio.sleep(delay)
        return web.Response(body=b"{}", content_type="application/json")

    async def bindings(_request: web.Request) -> web.Response:
        return web.json_response({"metadata": {}, "items": None})

    app = web.Application()
    app.router.add_get("/arrivals", telling(arrivals))
    app.router.add_get("/api/v1/workflow-event-bindings/{namespace}", bindings)
    app.router.add_post("/{path:.*}", take)
    return app


def main() -> None:
    """Serves until killed."""
    loop = uvloop.new_event_loop()
    port, delay = int(sys.argv[1]), float(sys.argv[2])
    web.run_app(application(delay), host="127.0.0.1", port=port, access_log=None, print=None, loop=loop)


if __name__ == "__main__":
    main()
