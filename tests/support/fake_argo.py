"""A stand-in for the Argo Server that can give the answers that the real one never gives when asked to.

What it answers on its own is held to the same contract tests as the real server
(`tests/contract/test_basics.py`). Everything else is scripted: the next requests get the replies that
were put in line. It stays apart from `sink.py`, which takes events for granted: this one decodes no path, knows who
may do what, and writes bytes that are no HTTP.
"""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from tests.support.loopback import LoopbackServer

EVENTS = "/api/v1/events/"
BINDINGS = "/api/v1/workflow-event-bindings/"
CLOSE_SECONDS = 5.0
QUIET_ROUNDS = 5
"""Rounds of the loop after which a connection that was just accepted has become a transport."""
NOT_IMPLEMENTED = (501, {"code": 12, "message": "Not Implemented"})


@dataclass(frozen=True)
class Seen:
    """A request as it arrived: the path is not decoded, `port` is the client's end of the connection."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    port: int


@dataclass(frozen=True)
class Reply:
    """A scripted answer.

    Attributes:
        raw: bytes written to the connection as they are, after which it is closed; empty closes at once.
        hold: do not answer at all until the server stops.
        gap: seconds between the bytes of `raw`, for a server that sends for ever but never pauses for long.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    raw: bytes | None = None
    hold: bool = False
    gap: float = 0.0


class FakeArgo(LoopbackServer):
    """Refuses and answers as the real server does.

    Args:
        namespaces: token → the namespaces that it has rights in; `*` for all.
        tls: serve HTTPS with this context.

    Attributes:
        seen: every request that arrived.
        bindings: namespace → manifests.
        always: the reply to every request that no other was put in line for.
    """

    most = 1 << 30

    def __init__(
        self, namespaces: Mapping[str, tuple[str, ...]] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(tls)
        self.seen: list[Seen] = []
        self.bindings: dict[str, list[dict[str, Any]]] = {}
        self.always: Reply | None = None
        self._namespaces = dict(namespaces or {})
        self._replies: deque[Reply] = deque()
        self._stop = asyncio.Event()

    def reply(self, *replies: Reply) -> None:
        """Put answers in line for the next requests."""
        self._replies.extend(replies)

    def _routes(self, router: web.UrlDispatcher) -> None:
        router.add_route("*", "/{rest:.*}", self._handle)

    async def _close(self) -> None:
        self._stop.set()
        for _ in range(QUIET_ROUNDS):  # a connection accepted while the server closes would be lost open
            await asyncio.sleep(0)
        await super()._close()
        await self._close_connections()
        self._stop.clear()

    async def _close_connections(self) -> None:
        """Ends what clients hold open: TLS connections, for one, would wait for their farewell."""
        deadline, quiet = self._loop.time() + CLOSE_SECONDS, 0
        while quiet < QUIET_ROUNDS and self._loop.time() < deadline:
            known = list(self._loop._transports.values())  # type: ignore[attr-defined]
            still_open = [transport for transport in known if transport._sock is not None]
            quiet = 0 if still_open else quiet + 1
            for transport in still_open:
                transport.abort()
            await asyncio.sleep(0.001)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        port = request.transport.get_extra_info("peername")[1] if request.transport is not None else 0
        body = await request.read()
        path = request.raw_path.partition("?")[0]
        self.seen.append(Seen(request.method, path, dict(request.query), dict(request.headers), body, port))
        reply = self._replies.popleft() if self._replies else self.always
        if reply is not None:
            return await self._scripted(request, reply)
        status, document = self._answer(self.seen[-1])
        headers = {"Location": path.replace("//", "/")} if status == 307 else {}
        return web.json_response(document, status=status, headers=headers)

    async def _scripted(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        if reply.hold:
            await self._stop.wait()
        if reply.raw is None:
            return web.Response(status=reply.status, body=reply.body, headers=dict(reply.headers))
        transport = request.transport
        assert transport is not None
        pieces = [reply.raw] if not reply.gap else [bytes([byte]) for byte in reply.raw]
        for piece in pieces:
            transport.write(piece)
            await asyncio.sleep(reply.gap)
            if transport.is_closing() or self._stop.is_set():
                break
        transport.close()
        return web.Response()

    def _answer(self, seen: Seen) -> tuple[int, Any]:
        if "//" in seen.path:
            return 307, {}
        refused = self._refusal(seen)
        if seen.path.startswith(EVENTS) and seen.method == "POST":
            rest = unquote(seen.path.removeprefix(EVENTS)).split("/")
            if len(rest) != 2 or ":" in rest[1]:
                return NOT_IMPLEMENTED
            return refused or self._rights(seen, rest[0]) or self._event(seen.body)
        if seen.path.startswith(BINDINGS) and seen.method == "GET":
            namespace = seen.path.removeprefix(BINDINGS)
            return refused or self._rights(seen, namespace) or self._list(namespace, seen.query)
        return NOT_IMPLEMENTED

    def _refusal(self, seen: Seen) -> tuple[int, Any] | None:
        given = seen.headers.get("Authorization", "")
        if not given and seen.method == "POST":
            return 403, {"message": "failed to process webhook request"}
        if not given.startswith("Bearer "):
            return 401, {"code": 16, "message": "token not valid. see https://argo-workflows/faq/"}
        if given.removeprefix("Bearer ") not in self._namespaces:
            return 401, {"code": 16, "message": "Unauthorized"}
        return None

    def _rights(self, seen: Seen, namespace: str) -> tuple[int, Any] | None:
        allowed = self._namespaces[seen.headers["Authorization"].removeprefix("Bearer ")]
        if "*" in allowed or namespace in allowed:
            return None
        text = 'workfloweventbindings.argoproj.io is forbidden: User "fake" cannot list resource'
        return 403, {"code": 7, "message": text}

    def _event(self, body: bytes) -> tuple[int, Any]:
        try:
            if body:
                json.loads(body)
        except ValueError:
            return 400, {"code": 3, "message": "invalid character 'b' looking for beginning of value"}
        return 200, {}

    def _list(self, namespace: str, query: Mapping[str, str]) -> tuple[int, Any]:
        items = [
            item
            for name, items in sorted(self.bindings.items())
            if namespace in {"", name}
            for item in sorted(items, key=lambda item: str(item["metadata"]["name"]))
        ]
        token, limit = query.get("listOptions.continue", ""), int(query.get("listOptions.limit", "0"))
        if token and not token.isdigit():
            return 400, {"code": 3, "message": "invalid continue token: invalid key"}
        start = int(token or 0)
        end = start + limit if limit else len(items)
        metadata: dict[str, Any] = {"resourceVersion": "1"}
        if end < len(items):
            metadata |= {"continue": str(end), "remainingItemCount": len(items) - end}
        return 200, {"metadata": metadata, "items": items[start:end] or None}
