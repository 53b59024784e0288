"""A thin client for the Kubernetes API: bytes in, decoded JSON or raw lines out.

Configuration, TLS and tokens come from the kubernetes package; requests go straight
through aiohttp and orjson, because the generated models cost ten times the CPU per
object and the package's watch decodes each line with the standard library. The module is long because
connections, tokens and the translation of errors are all of each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from eventsource_operator import __version__
from eventsource_operator.core.shallow import cut
from eventsource_operator.kube import config, errors
from eventsource_operator.kube.stream import WatchStream, unreachable

_USER_AGENT = f"eventsource-operator/{__version__}"
_CONNECT_SECONDS = 10.0
_READ_BUFFER = 256 * 1024  # bytes; one socket read of a busy watch, twice this is buffered at most
_PAGE_BYTES = 32 * 1024 * 1024  # a page above this is asked for again in smaller pieces
_RELOAD_SECONDS = 5.0  # credentials are read again at most this often after a 401
_WATCH_SECONDS = (300, 600)  # as client-go: a random length spreads the re-openings
_REDIRECT = 300
_REQUESTS = 32
"""Ordinary requests under way at a time. A thousand sources that start at once would else open a thousand TLS
connections, and the renewal of the Lease would wait behind them until it is lost."""
# DEL, C1 controls, U+FFFE and U+FFFF: JSON lets them stand in a text, YAML does not (YAML 1.2.2, section 5.1).
_YAML_UNPRINTABLE = re.compile(b"\x7f|\xc2[\x80-\x9f]|\xef\xbf[\xbe\xbf]")


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a consistent list.

    Attributes:
        items: Decoded objects. Built-in kinds carry neither `apiVersion` nor `kind` in a list.
        resource_version: Version of the whole list, the same on each of its pages.
    """

    items: list[dict[str, Any]]
    resource_version: str


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, ready to be sent, and sent again."""

    method: str
    path: str
    limit: aiohttp.ClientTimeout
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes | None = None


class KubeClient:
    """Requests, lists and watches on one API server. Create it with `connect`."""

    def __init__(self, configuration: Any, kubeconfig: str | None, context: str | None) -> None:
        from kubernetes.aio.client.rest import RESTClientObject  # noqa: PLC0415 - see kube.config

        self._configuration = configuration
        self._source = (kubeconfig, context)
        self._reload_lock = asyncio.Lock()
        self._turns = asyncio.Semaphore(_REQUESTS)
        self._reloaded = float("-inf")
        self._session = aiohttp.ClientSession(
            # Each watch holds a connection: a limit here would be a limit on the sources.
            connector=aiohttp.TCPConnector(limit=0, ssl=RESTClientObject(configuration).ssl_context),
            headers={"User-Agent": _USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"},
            read_bufsize=_READ_BUFFER,
            trust_env=True,
        )
        self._extra: dict[str, Any] = {"allow_redirects": False}
        if configuration.proxy:
            self._extra["proxy"] = configuration.proxy
        if configuration.tls_server_name:
            self._extra["server_hostname"] = configuration.tls_server_name

    @classmethod
    async def connect(cls, kubeconfig: str | None = None, context: str | None = None) -> KubeClient:
        """Load the configuration; no request is made yet.

        Args:
            kubeconfig: Path(s) of kubeconfig files; None: in-cluster, else the default kubeconfig.
            context: Context in the kubeconfig; None: the current one.

        Raises:
            ConfigurationError: Nothing usable was found.
        """
        return cls(await config.load(kubeconfig, context), kubeconfig, context)

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self._configuration.host)

    async def close(self) -> None:
        """Close all connections; watches that are still open end with `Unreachable`."""
        await self._session.close()
        await asyncio.sleep(0)  # aborted connections get rid of their sockets in the next turn

    async def bearer_token(self) -> str | None:
        """Our own token, None when the credentials are something else (a client certificate)."""
        prefix, _, token = (await self._authorization() or "").strip().partition(" ")
        return token.strip() or None if prefix.lower() == "bearer" else None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        timeout: float = 30,  # noqa: ASYNC109 - it is aiohttp's own time limit
        urgent: bool = False,
    ) -> Any:
        """Make one request and decode the answer.

        Args:
            method: HTTP method.
            path: Absolute path on the server, its variable parts percent-encoded.
            query: Query parameters, not encoded.
            body: Anything orjson can write.
            content_type: Of the body; `application/apply-patch+yaml` for server-side apply.
            accept: The representation asked for.
            timeout: Seconds for the whole exchange, once it is this request's turn.
            urgent: Do not wait for a turn: for the Lease.

        Returns:
            The decoded JSON, None for an empty answer.

        Raises:
            KubeError: See `kube.errors`; a 401 is raised only after the credentials were read again.
        """
        headers = {"Accept": accept}
        data = None
        if body is not None:
            data = orjson.dumps(body)
            if content_type.endswith("+yaml"):
                data = as_yaml(data)
            headers["Content-Type"] = content_type
        limit = aiohttp.ClientTimeout(total=timeout, sock_connect=_CONNECT_SECONDS)
        call = _Call(method, path, limit, query, headers, data)
        if urgent:
            return await self._answer(call)
        async with self._turns:
            return await self._answer(call)

    async def _answer(self, call: _Call) -> Any:
        async with self._opened(call) as response:
            return _decode(response, await _read(response, None))

    async def list_pages(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        page_size: int = 500,
        timeout: float = 60,  # noqa: ASYNC109
    ) -> AsyncIterator[Page]:
        """Read a collection page by page, all pages of the same moment.

        Args:
            path: Path of the collection.
            query: Selectors.
            page_size: Objects asked for at once; less when they are large (32 MiB a page).
            timeout: Seconds for each page.

        Raises:
            Gone: The continue token expired (after about five minutes): start again.
            KubeError: As `request`.
        """
        token = ""
        limit = aiohttp.ClientTimeout(total=timeout, sock_connect=_CONNECT_SECONDS)
        while True:
            params = {**(query or {}), "limit": str(page_size)}
            if token:
                params["continue"] = token
            async with self._opened(_Call("GET", path, limit, params)) as response:
                data = await _read(response, _PAGE_BYTES if page_size > 1 else None)
                if data is None:
                    page_size = max(1, page_size // 8)
                    continue
                listing = _decode(response, data)
            del data
            metadata = listing.get("metadata") or {}
            token = metadata.get("continue") or ""
            yield Page(listing.get("items") or [], str(metadata.get("resourceVersion") or ""))
            del listing
            if not token:
                return

    @contextlib.asynccontextmanager
    async def watch(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        resource_version: str,
        idle_timeout: float = 90,
    ) -> AsyncIterator[WatchStream]:
        """Open a watch with bookmarks.

        Args:
            path: Path of the collection.
            query: Selectors; a `timeoutSeconds` in it replaces the random 5 to 10 minutes.
            resource_version: Changes after this version are sent.
            idle_timeout: Seconds without a byte after which the stream counts as dead; the API
                server sends a bookmark about each minute, so silence means a lost connection.

        Yields:
            The stream of batches of raw JSON lines (`{"type": …, "object": …}`), bookmarks and
            `ERROR` events included (`errors.from_status` makes an error of the latter's object).

        Raises:
            Gone: That version is no longer kept (it can also come as an `ERROR` event).
            KubeError: As `request`.
        """
        params = {
            "timeoutSeconds": str(random.randint(*_WATCH_SECONDS)),
            **(query or {}),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
        }
        limit = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=idle_timeout)
        async with self._opened(_Call("GET", path, limit, params)) as response:
            yield WatchStream(response.content)

    @contextlib.asynccontextmanager
    async def _opened(self, call: _Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """The successful answer to a request; a 401 reads the credentials again and tries once more."""
        retried = False
        while True:
            response = await self._send(call)
            try:
                if response.status < _REDIRECT:
                    yield response
                    return
                body = await _read(response, None) or b""
                error = errors.from_response(response.status, body, response.headers)
            finally:
                _end(response)
            if retried or not isinstance(error, errors.Unauthorized) or not await self._reload():
                raise error
            retried = True

    async def _send(self, call: _Call) -> aiohttp.ClientResponse:
        headers = dict(call.headers)
        authorization = await self._authorization()
        if authorization:
            headers["Authorization"] = authorization
        try:
            return await self._session.request(
                call.method,
                self._configuration.host + call.path,
                params=call.query,
                data=call.data,
                headers=headers,
                timeout=call.limit,
                **self._extra,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error) from error

    async def _authorization(self) -> str | None:
        """The header's value; the package re-reads a projected token each minute."""
        from kubernetes.aio.config import ConfigException  # noqa: PLC0415 - see kube.config

        try:
            value = await self._configuration.get_api_key_with_prefix("BearerToken")
        except (ConfigException, OSError) as error:
            message = f"the operator's own token cannot be read: {error}"
            raise errors.Unauthorized(0, "NoCredentials", message) from error
        return str(value).strip() if value else None

    async def _reload(self) -> bool:
        """Read the credentials again (a rotated token, an exec plugin); False when that was just done."""
        asked = time.monotonic()
        async with self._reload_lock:
            if self._reloaded > asked:
                return True  # somebody else did while we waited
            if time.monotonic() - self._reloaded < _RELOAD_SECONDS:
                return False
            self._reloaded = time.monotonic()
            try:
                fresh = await config.load(*self._source)
            except errors.ConfigurationError:
                return False
            self._configuration.api_key = fresh.api_key
            self._configuration.refresh_api_key_hook = fresh.refresh_api_key_hook
            return True


def _end(response: aiohttp.ClientResponse) -> None:
    """Cut an answer that was not read to its end; a finished one is back in the pool already.

    Aborted, because TLS's own farewell waits half a minute for a server that may be frozen.
    """
    if response.connection is not None and response.connection.transport is not None:
        response.connection.transport.abort()
    response.close()


async def _read(response: aiohttp.ClientResponse, most: int | None) -> bytes | None:
    """The body, None when it is longer than `most` bytes."""
    parts = []
    size = 0
    try:
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if most is not None and size > most:
                return None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise unreachable(error) from error
    return b"".join(parts)


def as_yaml(data: bytes) -> bytes:
    """JSON text that is YAML as well: what only JSON lets stand in a text is escaped."""
    return _YAML_UNPRINTABLE.sub(_escaped, data)


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(found[0].decode())


def parse(data: bytes) -> Any:
    """JSON of the API server; what nests too deeply for the parser is cut (see `core.shallow`).

    Raises:
        JSONDecodeError: it is not JSON.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        shallow = cut(data)
        if shallow is data:
            raise
        return orjson.loads(shallow)


def _decode(response: aiohttp.ClientResponse, body: bytes | None) -> Any:
    if not body:
        return None
    try:
        return parse(body)
    except orjson.JSONDecodeError as error:
        message = f"the answer to {response.method} {response.url.path} is not JSON"
        raise errors.Unavailable(response.status, "NotJSON", message) from error
