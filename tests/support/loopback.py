"""What every server of the tests needs: a place on loopback, a thread with a loop of its own, an orderly end."""

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from aiohttp import web

THREAD_SECONDS = 10.0


class LoopbackServer:
    """Use it as a context manager; a subclass says in `_routes` what it serves.

    Attributes:
        url: where it listens; the port stays the same across `refuse` and `accept`.
        tls: serves HTTPS with it from the next `accept` on.
        most: the largest body that it takes, in bytes.
    """

    most = 4 << 20

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.url = ""
        self.tls = tls
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None

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

    def accept(self) -> None:
        """Listens (again)."""
        self._run(self._listen())

    def refuse(self) -> None:
        """Closes the port and every connection: clients are refused."""
        self._run(self._close())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(THREAD_SECONDS)

    def _routes(self, router: web.UrlDispatcher) -> None:
        raise NotImplementedError

    async def _listen(self) -> None:
        app = web.Application(client_max_size=self.most)
        self._routes(app.router)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True, ssl_context=self.tls)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self._port}"

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
