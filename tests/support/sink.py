"""A recording stand-in for the Argo Server: every request with its headers and body, and errors on command."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.support.controlplane import wait_for

THREAD_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """One POST of an event: `at` in seconds of the monotonic clock, header names in lower case."""

    namespace: str
    discriminator: str
    headers: dict[str, str]
    raw: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def body(self) -> Any:
        """The decoded body."""
        return json.loads(self.raw)

    @property
    def what(self) -> tuple[str, str]:
        """Type and name of the change, from the headers."""
        return self.headers["x-event-type"], self.headers["x-event-name"]

    @property
    def source(self) -> str:
        """`<namespace>/<name>` of the EventSource."""
        return self.headers["x-event-source"]


class Sink:
    """Listens on loopback in a thread with a loop of its own; use it as a context manager.

    Attributes:
        url: where it listens.
        requests: every event in the order of arrival, also those answered with an error.
        status: what events are answered with; 0 leaves them without an answer until it is changed.
        answer: the body of an answer that is an error; empty: one that tells the status.
        bindings: manifests of WorkflowEventBindings by namespace.
        listings: namespace and moment (monotonic seconds) of each list of bindings.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.status = 200
        self.answer = b""
        self.bindings: dict[str, list[dict[str, Any]]] = {}
        self.listings: list[tuple[str, float]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(THREAD_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.status = self.status or 503
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(THREAD_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(THREAD_SECONDS)
        self._loop.close()

    def of(self, source: str) -> list[Request]:
        """The events of one EventSource, `<namespace>/<name>`."""
        return [request for request in list(self.requests) if request.source == source]

    def whats(self, source: str) -> list[tuple[str, str]]:
        """Type and name of the events of one EventSource."""
        return [request.what for request in self.of(source)]

    def wait(
        self, source: str, count: int, timeout: float = 10.0, evidence: Callable[[], object] | None = None
    ) -> list[Request]:
        """Waits for this many events of a source; there may be more."""
        wait_for(
            lambda: len(self.of(source)) >= count, timeout, f"{count} events of {source}",
            lambda: f"{self.whats(source)}\n{evidence() if evidence is not None else ''}",
        )  # fmt: skip
        return self.of(source)

    async def _listen(self) -> None:
        app = web.Application(client_max_size=4 << 20)
        app.router.add_post("/api/v1/events/{namespace}/{discriminator:.*}", self._take)
        app.router.add_get("/api/v1/workflow-event-bindings/{namespace:.*}", self._list)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def _take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        info = request.match_info
        self.requests.append(Request(info["namespace"], info["discriminator"], headers, raw))
        while not self.status:  # noqa: ASYNC110 - a test's thread changes it
            await asyncio.sleep(0.05)
        if self.status == 200:
            return web.json_response({})
        if self.answer:
            return web.Response(body=self.answer, status=self.status, content_type="application/json")
        return web.json_response({"code": 2, "message": f"told to answer {self.status}"}, status=self.status)

    async def _list(self, request: web.Request) -> web.Response:
        namespace = request.match_info["namespace"]
        self.listings.append((namespace, time.monotonic()))
        return web.json_response({"metadata": {}, "items": self.bindings.get(namespace)})
