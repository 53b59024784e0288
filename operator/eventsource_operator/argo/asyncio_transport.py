"""The asynchronous client: the operator's hot path.

What travels is made here, how it travels is `http1`'s. Its exceptions are turned into `ArgoError`s outside of their
`except` blocks, so that not even the context of a traceback leads to a request with its token and body.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from eventsource_operator.argo import http1, protocol
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

_DONE = b"{}"
"""What the real server answers to an event."""

_PORTS = {"http": 80, "https": 443}
_WANTED = frozenset(name.encode() for name in protocol.WANTED_HEADERS)


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
        parts = urlsplit(config.base)
        self._path = parts.path
        self._head = (
            f"Host: {parts.netloc}\r\nUser-Agent: {config.user_agent}\r\n"
            "Accept: application/json\r\nAccept-Encoding: identity\r\n"
        )
        self._pool = http1.Pool(
            http1.Address(
                parts.hostname or "",
                parts.port or _PORTS[parts.scheme],
                tls_context(config),
                config.connect_timeout,
                config.timeout,
            )
        )
        self._places: AbstractAsyncContextManager[None] = (
            asyncio.Semaphore(connection_limit) if connection_limit else nullcontext()
        )
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
        await self._pool.close()

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
        request = self._request(call, authorization)
        try:
            async with self._places:
                reply = await self._pool.exchange(request, call.most, repeatable=call.body is None)
        except http1.WireError as error:
            failure = _failure(error, self._config)
        else:
            if reply.body == _DONE and reply.status == HTTPStatus.OK:
                return Answer(reply.status, reply.body)
            kept = {
                name.decode(): value.decode("latin-1") for name, value in reply.headers if name in _WANTED
            }
            return Answer(reply.status, reply.body, kept, call.secrets(authorization))
        raise failure

    def _request(self, call: Call, authorization: str | None) -> bytes:
        """Head and body, as bytes.

        Raises:
            InvalidArgument: a header that HTTP cannot carry, above all one that would become two.
        """
        extra = "".join([f"{name}: {value}\r\n" for name, value in call.headers.items()])
        lines = len(call.headers)
        if not extra.isascii() or "\0" in extra or extra.count("\n") != lines or extra.count("\r") != lines:
            raise InvalidArgument("headers", "hold what HTTP cannot carry")
        head = f"{call.method} {self._path}{call.target} HTTP/1.1\r\n{self._head}{extra}"
        if authorization is not None:
            head += f"Authorization: {authorization}\r\n"
        if call.body is None:
            return f"{head}\r\n".encode("ascii")
        head += f"Content-Type: application/json\r\nContent-Length: {len(call.body)}\r\n\r\n"
        return head.encode("ascii") + call.body


def _failure(error: http1.WireError, config: ServerConfig) -> ArgoError:
    """What a failed exchange means; its text is the system's, and holds nothing but the address."""
    match error:
        case http1.TimeoutWireError(connecting=True):
            return Unreachable(f"no connection within {config.connect_timeout:g} s", timeout=True)
        case http1.TimeoutWireError():
            return Unreachable(f"no answer within {config.timeout:g} s", timeout=True)
        case http1.ConnectError(tls=True):
            return Unreachable(f"TLS: {error}", tls=True)
        case http1.ConnectError():
            return Unreachable(f"cannot connect: {error}")
        case http1.MalformedError():
            return Unavailable("the answer is not HTTP as the Argo Server speaks it")
        case _:
            return Unreachable("the connection was closed before the whole answer came")
