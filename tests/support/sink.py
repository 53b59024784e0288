"""The server that events of the running operator go to: records every request, and misbehaves on command.

`recorder.py` reads the same records as changes. Three others stay apart, each for what this one cannot be:
`fake_argo.py` is held to the real Argo Server's contract, byte by byte; `tests/e2e/kit/sink_server.py` runs in a pod
of the operator's image, with the standard library alone; `tools/bench/sink.py` must not be what a benchmark measures.
"""

import asyncio
import json
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any

from aiohttp import web

from tests.support.controlplane import wait_for
from tests.support.loopback import LoopbackServer

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


class Sink(LoopbackServer):
    """Answers as the Argo Server does, if it is not told otherwise.

    Attributes:
        requests: every event in the order of arrival, also those answered with an error.
        status: what events are answered with; 0 leaves them without an answer until it is changed.
        answer: the body of an answer that is an error; empty: one that tells the status.
        fault: decides what happens to the event with this number before `status` is asked; replaceable at any time.
        faults: how often each fault was shown.
        tokens: the bearer tokens that are accepted, all others get 401; None accepts everything.
        refused: how many events were answered with 401.
        bindings: manifests of WorkflowEventBindings by namespace.
        listings: namespace and moment (monotonic seconds) of each list of bindings.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.requests: list[Request] = []
        self.status = 200
        self.answer = b""
        self.fault: Callable[[int], Fault] = _none
        self.faults: Counter[Fault] = Counter()
        self.tokens: frozenset[str] | None = None
        self.refused = 0
        self.bindings: dict[str, list[dict[str, Any]]] = {}
        self.listings: list[tuple[str, float]] = []
        self._number = 0
        self._held: set[asyncio.Event] = set()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.status = self.status or 503
        super().__exit__(kind, error, trace)

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

    def exactly(self, source: str, name: str, types: list[str]) -> list[Request]:
        """Waits for events of one object, and for no others than these types in this order."""

        def found() -> list[Request]:
            return [request for request in self.of(source) if request.what[1] == name]

        wait_for(
            lambda: len(found()) >= len(types), 15, f"{types} of {name}", lambda: self.whats(source)[-20:]
        )
        requests = found()
        assert [request.what[0] for request in requests] == types
        return requests

    def always(self, fault: Fault) -> None:
        """The same for every event from now on; what hangs goes on hanging until it is let go."""
        self.fault = lambda _number: fault

    def let_go(self) -> None:
        """Ends the requests that hang by closing their connections."""
        self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        for event in self._held:
            event.set()

    def _routes(self, router: web.UrlDispatcher) -> None:
        router.add_post("/api/v1/events/{namespace:[^/]*}/{discriminator:.*}", self._take)
        router.add_get("/api/v1/workflow-event-bindings/{namespace:.*}", self._list)

    async def _close(self) -> None:
        self._release()
        await super()._close()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        event = Request(request.match_info["namespace"], request.match_info["discriminator"], headers, raw)
        self.requests.append(event)
        scheme, _, token = headers.get("authorization", "").partition(" ")
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
                return await self._process(request, event, fault)

    async def _process(self, request: web.Request, event: Request, fault: Fault) -> web.StreamResponse:
        """The event counts as processed before it is answered, as an acknowledgement means."""
        self._processed(event)
        if fault is Fault.RESET and request.transport is not None:
            request.transport.abort()
        if fault is Fault.SLOW:
            await asyncio.sleep(0.3)
        while not self.status:  # noqa: ASYNC110 - a test's thread changes it
            await asyncio.sleep(0.05)
        if self.status == 200:
            return _answer(200, {})
        if self.answer:
            return web.Response(body=self.answer, status=self.status, content_type="application/json")
        return _answer(self.status, {"code": 2, "message": f"told to answer {self.status}"})

    def _processed(self, event: Request) -> None:
        """For whoever makes more of it."""

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

    async def _list(self, request: web.Request) -> web.Response:
        namespace = request.match_info["namespace"]
        self.listings.append((namespace, time.monotonic()))
        return _answer(200, {"metadata": {}, "items": self.bindings.get(namespace)})


def _none(_number: int) -> Fault:
    return Fault.NONE


def _answer(status: int, body: object, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers=headers)
