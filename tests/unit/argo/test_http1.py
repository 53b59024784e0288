"""The wire of the hot path against servers that say what real ones do, and what none should.

Each on both event loops: the operator's, and the standard one of users of the library. The module is long because each
case is one script of what a server says, and the server that says it stands beside them.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from eventsource_operator.argo.http1 import (
    Address,
    ClosedError,
    ConnectError,
    MalformedError,
    Pool,
    Reply,
    TimeoutWireError,
)

ASKED = b"POST /e HTTP/1.1\r\nHost: it\r\nContent-Length: 2\r\n\r\n{}"
LISTED = b"GET /b HTTP/1.1\r\nHost: it\r\n\r\n"
DONE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
Run = Callable[[Awaitable[None]], None]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end on one of the loops, within ten seconds."""

    def runs(main: Awaitable[None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(10):
                await main

        problems: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: problems.append(context))
            runner.run(bounded())
        assert problems == []

    return runs


class Scripted:
    """A server that answers each request with the bytes that come next in the script.

    `b""` closes the connection instead, `None` stays silent. Attributes: ``asked``, the request lines as they came,
    each with the number of its connection; ``open``, connections that the client has not closed.
    """

    def __init__(self, *script: bytes | None) -> None:
        self.script = list(script)
        self.asked: list[tuple[int, str]] = []
        self.connections = 0
        self.open = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        self.open += 1
        self.writers.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked.append((number, head.split(b" HTTP/", 1)[0].decode()))
                if head.startswith(b"POST"):
                    await reader.readexactly(2)
                answer = self.script.pop(0)
                if answer is not None:
                    writer.write(answer)
                if answer == b"":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self.open -= 1
        writer.close()


@asynccontextmanager
async def served(
    *script: bytes | None, keepalive: float = 20, answer_within: float = 5
) -> AsyncIterator[tuple[Scripted, Pool]]:
    """A scripted server and a pool for it."""
    scripted = Scripted(*script)
    server = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    pool = Pool(Address("127.0.0.1", port, None, 5, answer_within), keepalive)
    try:
        yield scripted, pool
    finally:
        await pool.close()
        server.close()
        for writer in scripted.writers:
            writer.close()
        await until(lambda: scripted.open == 0)


async def until(true: Callable[[], object]) -> None:
    """Waits for the other side."""
    while not true():  # noqa: ASYNC110 - the other side is a socket, which sets no event
        await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (DONE, (200, b"{}")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", (200, b"{}")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + DONE, (200, b"{}")),
        (b"HTTP/1.1 503 Away\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\naway", (503, b"away")),
    ],
)
def test_an_answer_and_the_connection_stays(run: Run, answer: bytes, expected: tuple[int, bytes]) -> None:
    async def main() -> None:
        async with served(answer, answer) as (server, pool):
            for _ in range(2):
                reply = await pool.exchange(ASKED, 100)
                assert (reply.status, reply.body) == expected
            assert [number for number, _ in server.asked] == [0, 0]

    run(main())


@pytest.mark.parametrize("pieces", [1, 7])
def test_an_answer_in_pieces(run: Run, pieces: int) -> None:
    """Headers keep their order; their names are compared in lower case."""
    answer = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nX-a:  b \r\nContent-Length: 3\r\n\r\nabc"

    async def main() -> None:
        async with served(None) as (server, pool):
            sending = asyncio.create_task(pool.exchange(ASKED, 100))
            await until(lambda: server.asked)
            for start in range(0, len(answer), pieces):
                server.writers[0].write(answer[start : start + pieces])
                await server.writers[0].drain()
                await asyncio.sleep(0)
            headers = [(b"location", b"/there"), (b"x-a", b"b"), (b"content-length", b"3")]
            assert await sending == Reply(302, headers, b"abc")

    run(main())


def test_a_connection_for_each_exchange_at_a_time(run: Run) -> None:
    async def main() -> None:
        async with served(None, None, DONE, DONE) as (server, pool):
            both = [asyncio.create_task(pool.exchange(ASKED, 100)) for _ in range(2)]
            await until(lambda: len(server.asked) == len(both))
            for writer in server.writers:
                writer.write(DONE)
            await asyncio.gather(*both)
            await pool.exchange(ASKED, 100)
            await pool.exchange(ASKED, 100)
            assert server.connections == len(both)
            assert server.asked[2][0] == server.asked[3][0], "the one that was used last"

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        DONE + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
        DONE + b"HTTP/1.1 200 OK\r\n",
        DONE + b"rubbish",
    ],
)
def test_a_connection_that_cannot_be_trusted_any_more(run: Run, answer: bytes) -> None:
    """Above all what comes behind an answer: it must not become the next one."""

    async def main() -> None:
        async with served(answer, DONE) as (server, pool):
            for _ in range(2):
                assert (await pool.exchange(ASKED, 100)).body == b"{}"
            assert [number for number, _ in server.asked] == [0, 1]

    run(main())


def test_what_comes_unasked_ends_the_connection(run: Run) -> None:
    async def main() -> None:
        async with served(DONE, DONE) as (server, pool):
            await pool.exchange(ASKED, 100)
            server.writers[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
            await until(lambda: server.open == 0)
            assert (await pool.exchange(ASKED, 100)).body == b"{}"
            assert [number for number, _ in server.asked] == [0, 1]

    run(main())


def test_a_body_until_the_end_of_the_connection(run: Run) -> None:
    async def main() -> None:
        async with served(None) as (server, pool):
            sending = asyncio.create_task(pool.exchange(ASKED, 100))
            await until(lambda: server.asked)
            server.writers[0].write(b"HTTP/1.1 200 OK\r\n\r\n{}")
            server.writers[0].close()
            assert (await sending).body == b"{}"

    run(main())


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_a_line_that_breaks(run: Run, part: bytes) -> None:
    async def main() -> None:
        async with served(None) as (server, pool):
            sending = asyncio.create_task(pool.exchange(ASKED, 100))
            await until(lambda: server.asked)
            server.writers[0].write(part)
            server.writers[0].close()
            with pytest.raises(ClosedError) as caught:
                await sending
            assert caught.value.silent is (part == b"")

    run(main())


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nzzz",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4000 + b"H",
    ],
)
def test_what_is_no_answer(run: Run, answer: bytes) -> None:
    """Or is one that a proxy in between may read in another way, or that never ends: memory is bounded."""

    async def main() -> None:
        async with served(answer, DONE) as (server, pool):
            with pytest.raises(MalformedError):
                await pool.exchange(ASKED, 100)
            assert (await pool.exchange(ASKED, 100)).body == b"{}"
            assert server.connections == 2

    run(main())


@pytest.mark.parametrize("size", [99, 100, 101, 1_000_000])
def test_the_body_is_bounded(run: Run, size: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size

    async def main() -> None:
        async with served(answer, DONE) as (server, pool):
            assert (await pool.exchange(ASKED, 100)).body == b"x" * min(size, 100)
            assert (await pool.exchange(ASKED, 100)).body == b"{}"
            assert server.connections == (1 if size <= 100 else 2)

    run(main())


def test_the_body_is_bounded_in_however_many_pieces_it_comes(run: Run) -> None:
    """A server may send its rest in pieces of one byte, many to a segment: none may cost as much as the whole."""
    most = 16 << 20
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = head + b"%x\r\n" % most + b"x" * most + b"\r\n" + b"1\r\ny\r\n" * 200_000

    async def main() -> None:
        async with served(answer) as (_, pool):
            assert (await pool.exchange(ASKED, most)).body == b"x" * most

    run(main())


def test_a_kept_connection_that_the_server_closed(run: Run) -> None:
    """A question is asked again, once; an event is not: the server may have acted on it."""

    async def main() -> None:
        async with served(DONE, b"", DONE, b"") as (server, pool):
            await pool.exchange(LISTED, 100, repeatable=True)
            assert (await pool.exchange(LISTED, 100, repeatable=True)).body == b"{}"
            with pytest.raises(ClosedError):
                await pool.exchange(ASKED, 100)
            assert [text for _, text in server.asked] == ["GET /b", "GET /b", "GET /b", "POST /e"]
            server.script.append(b"")
            with pytest.raises(ClosedError):  # on a connection of its own even a question is not repeated
                await pool.exchange(LISTED, 100, repeatable=True)
            assert len(server.asked) == 5

    run(main())


def test_no_answer_in_time(run: Run) -> None:
    async def main() -> None:
        async with served(None, DONE, answer_within=0.2) as (server, pool):
            with pytest.raises(TimeoutWireError) as caught:
                await pool.exchange(ASKED, 100)
            assert not caught.value.connecting
            await until(lambda: server.open == 0)
            assert (await pool.exchange(ASKED, 100)).body == b"{}"

    run(main())


def test_no_connection_in_time(run: Run) -> None:
    """Nobody accepts: the queue of the listening socket is full."""

    async def main() -> None:
        with socket.socket() as full, socket.socket() as first:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            first.setblocking(False)
            first.connect_ex(full.getsockname())
            pool = Pool(Address("127.0.0.1", full.getsockname()[1], None, 0.2, 5))
            with pytest.raises(TimeoutWireError) as caught:
                await pool.exchange(ASKED, 100)
            assert caught.value.connecting
            await pool.close()

    run(main())


def test_nobody_there(run: Run) -> None:
    async def main() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            pool = Pool(Address("127.0.0.1", unused.getsockname()[1], None, 5, 5))
            with pytest.raises(ConnectError) as caught:
                await pool.exchange(ASKED, 100)
            assert not caught.value.tls
        nowhere = Pool(Address("nowhere.invalid", 80, None, 5, 5))
        with pytest.raises(ConnectError):
            await nowhere.exchange(ASKED, 100)

    run(main())


def test_a_server_without_tls_is_a_fault_of_tls(run: Run) -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await reader.read()
            writer.close()
            ended.set()

        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        pool = Pool(Address("127.0.0.1", port, ssl.create_default_context(), 5, 5))
        with pytest.raises(ConnectError) as caught:
            await pool.exchange(ASKED, 100)
        assert caught.value.tls
        await ended.wait()
        server.close()

    run(main())


def test_who_no_longer_waits_gets_no_answer(run: Run) -> None:
    """The connection of a cancelled exchange is not used again: its answer may still come."""

    async def main() -> None:
        async with served(None, DONE) as (server, pool):
            sending = asyncio.create_task(pool.exchange(ASKED, 100))
            await until(lambda: server.asked)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            await until(lambda: server.open == 0)
            assert (await pool.exchange(ASKED, 100)).body == b"{}"
            assert server.connections == 2

    run(main())


def test_idle_connections_are_closed(run: Run) -> None:
    """And not before: one that is in use, or was just used, stays."""

    async def main() -> None:
        async with served(DONE, None, DONE, DONE, keepalive=0.1) as (server, pool):
            await pool.exchange(ASKED, 100)
            await until(lambda: server.open == 0)
            sending = asyncio.create_task(pool.exchange(ASKED, 100))
            await until(lambda: len(server.asked) == 2)
            await pool.exchange(ASKED, 100)
            await until(lambda: server.open == 1)
            server.writers[1].write(DONE)
            assert (await sending).body == b"{}"
            await pool.exchange(ASKED, 100)
            await until(lambda: server.open == 0)

    run(main())


def test_closing_ends_what_is_under_way(run: Run) -> None:
    async def main() -> None:
        async with served(None, DONE) as (server, pool):
            sending = asyncio.create_task(pool.exchange(ASKED, 100))
            await until(lambda: server.asked)
            await pool.exchange(ASKED, 100)
            await pool.close()
            with pytest.raises(ClosedError):
                await sending
            await until(lambda: server.open == 0)
            with pytest.raises(ClosedError):
                await pool.exchange(ASKED, 100)
            await pool.close()

    run(main())
