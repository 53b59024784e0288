"""A server that records every event that it takes, answers as the Argo Server does, and misbehaves on command."""

import asyncio
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Self

from aiohttp import web

THREAD_SECONDS = 10.0
DISPATCH_ERROR = {"code": 13, "message": "failed to dispatch event: [etcdserver: request timed out]"}
"""What the real server answers with status 500 when Kubernetes refused a Workflow for a while."""


class Fault(Enum):
    """What happens to a request instead of the answer `{}`."""

    NONE = "answered"
    SHED = "429 with Retry-After, not processed"
    AWAY = "503, not processed"
    DISPATCH = "500 with a transient dispatch error, not processed"
    HANG = "never answered, not processed"
    RESET = "processed, then the connection is reset"
    SLOW = "processed, answered after 0.3 s"


@dataclass(frozen=True, slots=True)
class Received:
    """One event that was processed: `at` in seconds of the monotonic clock."""

    id: str
    type: str
    key: str
    uid: str
    version: int
    at: float
    number: int


class Recorder:
    """Serves on loopback in a thread with a loop of its own; use it as a context manager.

    Attributes:
        url: where it listens; the port stays the same across `refuse` and `accept`.
        received: the processed events in the order of their arrival.
        faults: how often each fault was shown.
        fault: decides what happens to the request with this number; replaceable at any time.
        tokens: the bearer tokens that are accepted, all others get 401; None accepts everything.
        refused: how many events were answered with 401.
        tls: serves HTTPS with it from the next `accept` on; given at first to `Recorder` itself.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.url = ""
        self.tls = tls
        self.tokens: frozenset[str] | None = None
        self.refused = 0
        self.received: list[Received] = []
        self.faults: Counter[Fault] = Counter()
        self.fault: Callable[[int], Fault] = _none
        self._number = 0
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self._held: set[asyncio.Event] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.accept()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(THREAD_SECONDS)
        self._loop.close()

    def always(self, fault: Fault) -> None:
        """The same for every request from now on; what hangs goes on hanging until it is closed."""
        self.fault = lambda _number: fault

    def accept(self) -> None:
        """Listens (again)."""
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(THREAD_SECONDS)

    def refuse(self) -> None:
        """Closes the port and every connection: clients are refused."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(THREAD_SECONDS)

    def let_go(self) -> None:
        """Ends the requests that hang by closing their connections."""
        self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        for event in self._held:
            event.set()

    async def _listen(self) -> None:
        app = web.Application(client_max_size=4 << 20)
        app.router.add_post("/api/v1/events/{path:.*}", self._take)
        app.router.add_get("/api/v1/workflow-event-bindings/{namespace}", _bindings)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True, ssl_context=self.tls)
        await site.start()
        host, self._port = self._runner.addresses[0][:2]
        self.url = f"http{'s' if self.tls else ''}://{host}:{self._port}"

    async def _close(self) -> None:
        self._release()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if self.tokens is not None and (scheme != "Bearer" or token not in self.tokens):
            self.refused += 1
            return _answer(401, {"code": 16, "message": "token not valid for running mode"})
        self._number += 1
        fault = self.fault(self._number)
        self.faults[fault] += 1
        match fault:
            case Fault.SHED:
                return _answer(429, {"code": 8, "message": "too many requests"}, {"Retry-After": "1"})
            case Fault.AWAY:
                return _answer(503, {"code": 14, "message": "unavailable"})
            case Fault.DISPATCH:
                return _answer(500, DISPATCH_ERROR)
            case Fault.HANG:
                return await self._hang(request)
            case _:
                self._record(json.loads(body))
        if fault is Fault.RESET and request.transport is not None:
            request.transport.abort()
        if fault is Fault.SLOW:
            await asyncio.sleep(0.3)
        return _answer(200, {})

    async def _hang(self, request: web.Request) -> web.StreamResponse:
        event = asyncio.Event()
        self._held.add(event)
        try:
            await event.wait()
        finally:
            self._held.discard(event)
        if request.transport is not None:
            request.transport.abort()
        return _answer(503, {})

    def _record(self, event: dict[str, Any]) -> None:
        data = event["data"]
        self.received.append(
            Received(
                id=event["id"],
                type=data["type"],
                key=data["name"],
                uid=data["uid"],
                version=int(data.get("resourceVersion") or 0),  # a deletion found by comparison has none
                at=time.monotonic(),
                number=len(self.received),
            )
        )


def _none(_number: int) -> Fault:
    return Fault.NONE


def _answer(status: int, body: object, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers=headers)


async def _bindings(_request: web.Request) -> web.Response:
    return web.json_response({"metadata": {}, "items": None})
