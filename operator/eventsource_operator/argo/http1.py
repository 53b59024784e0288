"""The wire of the hot path: HTTP/1.1 connections to one server, kept for reuse.

An event is one small request to a server that is always the same. What a client for everything does around it
(cookies, redirects, proxies, encodings, tracing) was the largest part of an event's cost
(docs/decisions/0004-own-http.md). Here is what is left of HTTP without that: connecting, reuse, bounds in time and
size. What comes back is parsed by httptools (llhttp, the parser of Node.js), which is strict: what it does not
understand ends the connection, and so does whatever a server says that was not asked for, lest it be taken for the
answer to the next request.

Nothing here knows what is sent: errors hold no part of a request or of an answer.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple, cast

import httptools
from aiohappyeyeballs import start_connection

KEEPALIVE_SECONDS = 20.0
"""Idle connections are closed after this, before the proxies that commonly stand in between close theirs
(60 s); the Argo Server itself closes none."""

_MAX_HEAD = 1 << 16
"""Bytes of status line and headers, interim answers included; Go and nginx send far less."""

_NEXT_ADDRESS_SECONDS = 0.25
"""After this the next address of a name is tried as well (RFC 8305): one family may lead nowhere."""

_UNTIL_CLOSED = frozenset({b"content-length", b"transfer-encoding"})
"""An answer without any of these ends with the connection (RFC 9112, section 6.3)."""


class WireError(Exception):
    """No answer came."""


class ConnectError(WireError):
    """There is no connection; the text is the system's.

    Attributes:
        tls: TLS could not be agreed on.
    """

    def __init__(self, text: str, *, tls: bool = False) -> None:
        super().__init__(text)
        self.tls = tls


class TimeoutWireError(WireError):
    """It took too long; ``connecting`` tells whether that was before anything could be sent."""

    def __init__(self, *, connecting: bool) -> None:
        super().__init__("too late")
        self.connecting = connecting


class ClosedError(WireError):
    """The connection ended before the whole answer came; ``silent``: before any of it came."""

    def __init__(self, *, silent: bool) -> None:
        super().__init__("closed")
        self.silent = silent


class MalformedError(WireError):
    """The answer is no HTTP/1, or more of it than anyone means."""


class Reply(NamedTuple):
    """An answer: status, headers as they came (names in lower case), the body up to the bound that was asked for."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect to, and how long that and a whole exchange may take, in seconds."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_timeout: float
    timeout: float


class Pool:
    """The connections to one server. For one event loop; as many at once as there are exchanges."""

    def __init__(self, address: Address, keepalive: float = KEEPALIVE_SECONDS) -> None:
        self._address = address
        self._keepalive = keepalive
        self._open: set[_Connection] = set()
        self._idle: deque[_Connection] = deque()
        """The one that was used last at the right, so that in quiet times few are kept."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing: asyncio.Future[None] | None = None

    async def exchange(self, request: bytes, most: int, *, repeatable: bool = False) -> Reply:
        """Sends a request and waits for its answer.

        Args:
            request: head and body.
            most: bytes kept of the answer's body; a longer one is cut off there, and its connection closed.
            repeatable: send once more when a kept connection turns out to have been closed (RFC 9112, section
                9.3.1). Not for an event: the server may have acted on it.

        Raises:
            WireError: no answer came; its class says why.
        """
        deadline = asyncio.get_running_loop().time() + self._address.timeout
        if self._idle:
            try:
                return await self._idle.pop().exchange(request, most, deadline)
            except ClosedError as error:
                if not (repeatable and error.silent) or self._closing is not None:
                    raise
        connection = await self._connect(deadline)
        return await connection.exchange(request, most, deadline)

    async def close(self) -> None:
        """Ends all connections; exchanges under way end with `ClosedError`. Returns once all are closed."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_future()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in tuple(self._open):
            connection.abort()
        if self._open:
            await self._closing

    async def _connect(self, deadline: float) -> _Connection:
        address = self._address
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + address.connect_timeout)):
                infos = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
                sock = await start_connection(
                    infos, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1, loop=loop
                )
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                _, connection = await loop.create_connection(
                    lambda: _Connection(self),
                    sock=sock,
                    ssl=address.tls,
                    server_hostname=address.host if address.tls is not None else None,
                )
        except TimeoutError:
            raise TimeoutWireError(connecting=True) from None
        except ssl.SSLError as error:
            raise ConnectError(str(error), tls=True) from None
        except OSError as error:
            raise ConnectError(str(error)) from None
        if self._closing is not None:
            connection.abort()
            raise ClosedError(silent=True)
        return connection

    # ------------------------------------------------- called by connections
    def joined(self, connection: _Connection) -> None:
        """It is open."""
        self._open.add(connection)

    def left(self, connection: _Connection) -> None:
        """It is closed."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._closing is not None and not self._open and not self._closing.done():
            self._closing.set_result(None)

    def give_back(self, connection: _Connection, now: float) -> None:
        """It can be used again."""
        connection.idle_since = now
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_at(now + self._keepalive, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = None
        while self._idle and self._idle[0].idle_since + self._keepalive <= loop.time():
            self._idle.popleft().abort()
        if self._idle:
            self._sweeper = loop.call_at(self._idle[0].idle_since + self._keepalive, self._sweep)


class _Connection(asyncio.Protocol):
    """One connection; one exchange at a time. The `on_…` methods are called by the parser."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Reply] | None = None
        self._reusable = False
        self.idle_since = 0.0
        self._begin(0)

    def _begin(self, most: int) -> None:
        self._most = most
        self._cut = False
        self._unread = 0
        self._in_body = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = bytearray()

    async def exchange(self, request: bytes, most: int, deadline: float) -> Reply:
        """As `Pool.exchange`; ``deadline`` in the loop's time."""
        transport = self._transport
        if transport is None:
            raise ClosedError(silent=True)
        self._begin(most)
        self._reusable = False
        self._waiter = waiter = self._loop.create_future()
        timer = self._loop.call_at(deadline, self._late)
        transport.write(request)
        try:
            reply: Reply = await waiter
        finally:
            timer.cancel()
            self._waiter = None
            if self._reusable:
                self._pool.give_back(self, self._loop.time())
            else:
                self.abort()
        return reply

    def abort(self) -> None:
        """Ends the connection; `connection_lost` follows."""
        if self._transport is not None:
            self._transport.abort()

    def _late(self) -> None:
        self._fail(TimeoutWireError(connecting=False))

    def _fail(self, error: WireError) -> None:
        self._reusable = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def _finish(self, *, reusable: bool) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._reusable = reusable
            status = self._parser.get_status_code()
            self._waiter.set_result(Reply(status, self._headers, bytes(self._body)))

    # ------------------------------------------------------- asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)  # what TCP has; uvloop's is of another class
        self._pool.joined(self)

    def data_received(self, data: bytes) -> None:
        """A piece of the answer."""
        if self._waiter is None or self._waiter.done():
            self._reusable = False
            self.abort()  # nobody asked: it must not become the next answer
            return
        self._unread += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(MalformedError("not HTTP/1"))
        if not self._in_body and self._unread > _MAX_HEAD:
            self._fail(MalformedError("endless headers"))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whichever side."""
        self._transport = None
        if self._in_body and exc is None and not any(name in _UNTIL_CLOSED for name, _ in self._headers):
            self._finish(reusable=False)
        elif isinstance(exc, ssl.SSLError):
            self._fail(ConnectError(str(exc), tls=True))
        else:
            self._fail(ClosedError(silent=self._unread == 0))
        self._reusable = False
        self._pool.left(self)

    # ----------------------------------------------------- httptools callbacks
    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is one as well."""
        if not self._in_body:
            self._headers.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        """The body begins."""
        self._in_body = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body; what comes behind the bound is left out, in however many pieces it comes."""
        room = self._most - len(self._body)
        if not self._cut:
            self._body += body[:room]
            if len(body) > room:
                self._cut = True
                self._finish(reusable=False)

    def on_message_complete(self) -> None:
        """The whole answer is there, or an interim one, behind which the answer follows."""
        if HTTPStatus.CONTINUE <= self._parser.get_status_code() < HTTPStatus.OK:
            self._headers, self._in_body = [], False
            return
        unsent = self._transport is None or self._transport.get_write_buffer_size() > 0
        self._finish(reusable=self._parser.should_keep_alive() and not unsent)

    def on_message_begin(self) -> None:
        """A second answer in one piece with the first is one that nobody asked for."""
        if self._waiter is not None and self._waiter.done():
            self._reusable = False
