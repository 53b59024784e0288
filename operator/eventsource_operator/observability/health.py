"""`/healthz`, `/readyz` and `/metrics` on one port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from eventsource_operator.observability.metrics import Metrics

Probe = Callable[[], tuple[bool, str]]
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_UNHEALTHY = 503


class HealthServer:
    """Answers the kubelet's probes and Prometheus."""

    def __init__(self, host: str, port: int, *, healthy: Probe, ready: Probe, metrics: Metrics) -> None:
        """Nothing listens before `start`.

        Args:
            host: Address to listen on, empty for all.
            port: Port, 0 for any free one.
            healthy: Whether the process should go on, and a word on why (not).
            ready: Whether it does its work, likewise.
            metrics: What `/metrics` shows.
        """
        self._host = host or None
        self._port = port
        self._probes = {"/healthz": healthy, "/readyz": ready}
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen; returns the port.

        Raises:
            OSError: The port is taken, or the address is not ours.
        """
        app = web.Application()
        for path in self._probes:
            app.router.add_get(path, self._probe)
        app.router.add_get("/metrics", self._exposition)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError:
            await self.close()
            raise
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _probe(self, request: web.Request) -> web.Response:
        good, text = self._probes[request.path]()
        return web.Response(text=f"{text}\n", status=200 if good else _UNHEALTHY)

    async def _exposition(self, _request: web.Request) -> web.Response:
        # In a thread: many sources make a long text, and deliveries must not wait for it.
        body = await asyncio.to_thread(self._metrics.exposition)
        return web.Response(body=body, headers={"Content-Type": _CONTENT_TYPE})
