"""One Argo Server with one identity, shared by all sources that use it: connection, outage, fair turns."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from eventsource_operator.argo.asyncio_transport import AsyncArgoClient
from eventsource_operator.argo.config import ServerConfig
from eventsource_operator.core.gate import Gate

if TYPE_CHECKING:
    from eventsource_operator.delivery.sender import Sender

CAPACITY = 256
"""Requests in flight towards one server, all sources together; beyond, sources take turns."""


class EndpointKey(NamedTuple):
    """What makes two sources use the same connection: address, identity and trust."""

    url: str
    prefix: str
    credentials: str
    trust: str
    client_certificate: str
    insecure: bool
    timeout: float


class Endpoint:
    """The shared side of sending.

    Args:
        key: what it is known by.
        load: makes the configuration; asked at the first request and after `refresh`. What it raises reaches the
            sender (`CredentialsError`).
    """

    def __init__(self, key: EndpointKey, load: Callable[[], Awaitable[ServerConfig]]) -> None:
        self.key = key
        self._load = load
        self._client: AsyncArgoClient | None = None
        self._config: ServerConfig | None = None
        self._lock = asyncio.Lock()
        self.outage = Gate()
        self.successes = 0
        self.in_flight = 0
        self.users = 0
        self._turns: deque[Sender] = deque()
        self._blocked: deque[Sender] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def client(self) -> AsyncArgoClient:
        """The client, made when first needed."""
        if self._client is None:
            async with self._lock:
                if self._client is None:
                    self._config = await self._load()
                    self._client = _client(self._config)
        return self._client

    async def refresh(self) -> None:
        """Reads credentials and trust again; another client only when something differs."""
        if self._client is None:
            return
        config = await self._load()
        if self._config is None or _trust(config) != _trust(self._config):
            old, self._client, self._config = self._client, _client(config), config
            asyncio.get_running_loop().call_later(
                self.key.timeout + 5, lambda: asyncio.ensure_future(old.close())
            )

    async def close(self) -> None:
        """No request is made any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._client is not None:
            await self._client.close()

    # ------------------------------------------------------------ taking turns
    def admit(self, sender: Sender) -> bool:
        """Whether the sender may send one request now; if not, it is called when it may."""
        if self.in_flight >= CAPACITY:
            if sender not in self._turns:
                self._turns.append(sender)
            return False
        wait = self.outage.wait(time.monotonic())
        if wait == 0.0:
            return True
        if sender not in self._blocked:
            self._blocked.append(sender)
        if wait is not None:
            self._probe_in(wait)
        return False

    def started(self) -> None:
        """A request is under way."""
        self.in_flight += 1
        self.outage.passing()

    def finished(self) -> None:
        """It ended, in whatever way."""
        self.in_flight -= 1
        if self._turns:
            self._turns.popleft().pump()

    def succeeded(self) -> None:
        """The server answered an event well: an outage is over."""
        self.successes += 1
        self.answered()

    def answered(self) -> None:
        """The server spoke, if only to refuse the credentials of one source: it is not away."""
        if self.outage.closed:
            self.outage.open()
            waiting, self._blocked = self._blocked, deque()
            for sender in waiting:
                sender.resume()

    def failed(self, reason: str, message: str, retry_after: float | None, sent_at: float) -> None:
        """The server could not be reached or sheds load; one probe at a time from now on."""
        now = time.monotonic()
        self.outage.close(reason, message, now, retry_after, sent_at=sent_at)
        if not self.outage.probing:
            self._probe_in(max(0.0, self.outage.next_probe - now))

    def abandoned(self, sent_at: float) -> None:
        """A request ended without telling anything about the server: was it the probe, another one may try."""
        if self.outage.abandon(sent_at):
            self._probe_in(max(0.05, self.outage.next_probe - time.monotonic()))

    def forget(self, sender: Sender) -> None:
        """The sender is gone."""
        for queue in (self._turns, self._blocked):
            if sender in queue:
                queue.remove(sender)

    def _probe_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._probe)

    def _probe(self) -> None:
        """The next of the waiting sources makes the probe."""
        self._timer = None
        for _ in range(len(self._blocked)):
            self._blocked.popleft().pump()
            if self.outage.probing or not self.outage.closed:
                return


def _client(config: ServerConfig) -> AsyncArgoClient:
    """The client; the file with a client's key is only needed while its TLS context is made."""
    try:
        return AsyncArgoClient(config)
    finally:
        if config.client_cert is not None:
            Path(config.client_cert).unlink(missing_ok=True)


def _trust(config: ServerConfig) -> tuple[object, ...]:
    return config.ca_data, config.ca_file, config.client_cert, config.client_key, config.url
