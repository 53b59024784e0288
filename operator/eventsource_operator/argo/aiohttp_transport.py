"""The asynchronous client: the operator's hot path.

Nothing of aiohttp leaves this module: its exceptions are turned into `ArgoError`s outside of their `except`
blocks, so that not even the context of a traceback leads to a request with its token and body.
"""

import inspect
import io
import time
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from eventsource_operator.argo import protocol
from eventsource_operator.argo.config import ServerConfig, tls_context
from eventsource_operator.argo.errors import (
    ArgoError,
    Expired,
    InvalidArgument,
    Unavailable,
    Unreachable,
)
from eventsource_operator.argo.protocol import (
    Answer,
    BindingPage,
    Call,
    EventRequest,
    JSONValue,
    OnExpired,
    WorkflowEventBinding,
)

KEEPALIVE_SECONDS = 20.0
"""Idle connections are closed after this, before the proxies that commonly stand in between close theirs
(60 s); the Argo Server itself closes none."""

_DONE = b"{}"
"""What the real server answers to an event."""

_BIG_BODY = 1 << 20
"""Bytes; larger bodies are handed to aiohttp as a stream, which it then sends in pieces."""


class AsyncArgoClient:
    """The seed page's two methods, asynchronously, on one connection pool.

    Safe for any number of tasks of one event loop. To be closed with `close` or `async with`.

    Args:
        config: the server and the identity.
        connection_limit: connections at a time; 0 leaves the bound to the caller's concurrency.

    Raises:
        InvalidArgument: TLS files that cannot be read.
    """

    def __init__(self, config: ServerConfig, *, connection_limit: int = 0) -> None:
        self._config = config
        self._base = config.base
        self._limit = connection_limit
        self._tls = tls_context(config)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._fixed_authorization: str | None = None
        self._token = config.token if callable(config.token) else None
        if not callable(config.token):
            self._fixed_authorization = protocol.authorization(config.token, config.prefix)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. Requests under way end with `Unreachable`; new ones are refused."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def invalidate(self) -> None:
        """Tell the token's callable, if it caches, that its token was refused."""
        invalidate = getattr(self._token, "invalidate", None)
        if callable(invalidate):
            invalidate()

    async def reload_token(self) -> bool:
        """Drop a cached token and ask for a new one; returns whether there is one."""
        self.invalidate()
        return await self._authorization() is not None

    async def receive_event(
        self,
        namespace: str,
        discriminator: str = "",
        body: JSONValue = None,
        *,
        headers: Mapping[str, str] | None = None,
        unchecked: bool = False,
    ) -> JSONValue:
        """Send an event to the bindings of a namespace; arguments, result and errors of `ArgoClient.receive_event`."""
        request = protocol.event_request(namespace, discriminator, unchecked=unchecked)
        extra = protocol.event_headers(headers, unchecked=unchecked)
        answered: JSONValue = await self._post(request, protocol.encode_body(body), extra)
        return answered

    async def post_event(self, request: EventRequest, body: bytes, headers: Mapping[str, str]) -> None:
        """Send an event that is ready, as `ArgoClient.post_event`: the hot path, which checks and encodes nothing."""
        await self._post(request, body, headers)

    async def list_bindings_page(
        self, namespace: str, *, unchecked: bool = False, **list_options: Any
    ) -> BindingPage:
        """One page of bindings, as `ArgoClient.list_bindings_page`."""
        options = protocol.checked_options(unchecked=unchecked, **list_options)
        return await self._page(protocol.list_target(namespace, options, unchecked=unchecked))

    async def list_workflow_event_bindings(
        self,
        namespace: str,
        *,
        on_expired: OnExpired = "restart",
        unchecked: bool = False,
        **list_options: Any,
    ) -> AsyncIterator[WorkflowEventBinding]:
        """All bindings, page by page, each once, as `ArgoClient.list_workflow_event_bindings`."""
        pager = protocol.Pager(namespace, on_expired=on_expired, unchecked=unchecked, **list_options)
        while pager.target is not None:
            try:
                page = await self._page(pager.target)
            except Expired as error:
                pager.expired(error)
                continue
            for binding in pager.accept(page):
                yield binding

    async def _page(self, target: str) -> BindingPage:
        answer = await self._exchange(Call("GET", target, protocol.MAX_LIST_ANSWER))
        return protocol.read_page(protocol.read_answer(answer, time.time()))

    async def _post(self, request: EventRequest, body: bytes, headers: Mapping[str, str]) -> Any:
        """The answer's value; the usual one is not worth parsing."""
        answer = await self._exchange(Call("POST", request.path, protocol.MAX_EVENT_ANSWER, body, headers))
        if answer.status == HTTPStatus.OK and answer.body == _DONE:
            return {}
        return protocol.read_answer(answer, time.time())

    async def _exchange(self, call: Call) -> Answer:
        """Send, and once more with a new token when the server refused a token that can be renewed."""
        used = await self._authorization()
        answer = await self._send(call, used)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._token is not None:
            self.invalidate()
            renewed = await self._authorization()
            if renewed != used:
                answer = await self._send(call, renewed)
        return answer

    async def _authorization(self) -> str | None:
        if self._token is None:
            return self._fixed_authorization
        token = self._token()
        return protocol.authorization(
            await token if inspect.isawaitable(token) else token, self._config.prefix
        )

    async def _send(self, call: Call, authorization: str | None) -> Answer:
        if self._closed:
            raise RuntimeError("the client is closed")
        session = self._session or self._open()
        headers = dict(call.headers)
        body = call.body
        if authorization is not None:
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with session.request(
                call.method,
                URL(self._base + call.target, encoded=True),
                data=io.BytesIO(body) if body is not None and len(body) > _BIG_BODY else body,
                headers=headers,
                allow_redirects=False,
            ) as response:
                content = await _read(response, call.most)
                if content == _DONE and response.status == HTTPStatus.OK:
                    return Answer(response.status, content)
                kept = {
                    name: response.headers[name]
                    for name in protocol.WANTED_HEADERS
                    if name in response.headers
                }
                return Answer(response.status, content, kept, call.secrets(authorization))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            failure = _failure(error, self._config)
        raise failure

    def _open(self) -> aiohttp.ClientSession:
        """Made at the first request, inside of the event loop that uses it."""
        config = self._config
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._limit,
                keepalive_timeout=KEEPALIVE_SECONDS,
                ssl=self._tls if self._tls is not None else True,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": config.user_agent, "Accept": "application/json"},
            timeout=aiohttp.ClientTimeout(total=config.timeout, sock_connect=config.connect_timeout),
            trust_env=False,
        )
        return self._session


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, bounded: what answers may not be an Argo Server."""
    length = response.content_length
    if length is not None and length <= most and "content-encoding" not in response.headers:
        return await response.read()
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > most:
            response.close()
            return bytes(content[:most])  # cut off, hence no JSON, hence not the Argo Server's
    return bytes(content)


def _failure(error: Exception, config: ServerConfig) -> ArgoError:
    """What a failed exchange means. Texts of the library are used where they hold nothing but the address."""
    if isinstance(error, TimeoutError):
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return Unreachable(f"no connection within {config.connect_timeout:g} s", timeout=True)
        return Unreachable(f"no answer within {config.timeout:g} s", timeout=True)
    if isinstance(error, aiohttp.ClientSSLError):
        return Unreachable(f"TLS: {getattr(error, 'certificate_error', None) or error}", tls=True)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unreachable(f"cannot connect: {error.os_error}")
    if isinstance(
        error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | aiohttp.ClientPayloadError
    ):
        return Unreachable("the connection was closed before the whole answer came")
    if isinstance(error, aiohttp.ClientResponseError):
        return Unavailable("the answer is not HTTP as the Argo Server speaks it")
    if isinstance(error, ValueError):
        return InvalidArgument("headers", "hold what HTTP cannot carry")
    return Unreachable(f"the request failed: {type(error).__name__}")
