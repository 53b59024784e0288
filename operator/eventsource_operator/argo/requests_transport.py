"""The synchronous client: for the command line and for library users.

Nothing of requests leaves this module: its exceptions hold the request with its headers and body, so they are
turned into `ArgoError`s outside of their `except` blocks, where not even a traceback's context keeps them.
The module is long because it is one client, with the adapter that keeps its connections
honest and the translation of what they raise.
"""

import inspect
import ssl
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import Any, Self

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from eventsource_operator.argo import protocol
from eventsource_operator.argo.config import ServerConfig, tls_context
from eventsource_operator.argo.errors import ArgoError, Expired, InvalidArgument, Unavailable, Unreachable
from eventsource_operator.argo.protocol import (
    Answer,
    BindingPage,
    Call,
    EventRequest,
    JSONValue,
    OnExpired,
    WorkflowEventBinding,
)

_CHUNK = 1 << 16
"""Bytes read at a time."""


class ArgoClient:
    """The seed page's two methods on one connection pool; the twin of `AsyncArgoClient`.

    May be shared by threads. To be closed with `close` or `with`.

    Args:
        config: the server and the identity; its token may not be awaitable.
        connection_limit: idle connections kept for reuse; 0 means 10.

    Raises:
        InvalidArgument: TLS files that cannot be read.
    """

    def __init__(self, config: ServerConfig, *, connection_limit: int = 0) -> None:
        self._config = config
        self._base = config.base
        self._token = config.token if callable(config.token) else None
        self._fixed_authorization = (
            None if callable(config.token) else protocol.authorization(config.token, config.prefix)
        )
        self._closed = False
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy, netrc or CA of the environment
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.headers.clear()
        self._session.headers.update(
            {
                "User-Agent": config.user_agent,
                "Accept": "application/json",
                "Accept-Encoding": "gzip, deflate",
            }
        )
        adapter = _Adapter(tls_context(config), connection_limit or requests.adapters.DEFAULT_POOLSIZE)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. New requests are refused."""
        self._closed = True
        self._session.close()

    def invalidate(self) -> None:
        """Tell the token's callable, if it caches, that its token was refused."""
        invalidate = getattr(self._token, "invalidate", None)
        if callable(invalidate):
            invalidate()

    def reload_token(self) -> bool:
        """Drop a cached token and ask for a new one; returns whether there is one."""
        self.invalidate()
        return self._authorization() is not None

    def receive_event(
        self,
        namespace: str,
        discriminator: str = "",
        body: JSONValue = None,
        *,
        headers: Mapping[str, str] | None = None,
        unchecked: bool = False,
    ) -> JSONValue:
        """Send an event to the bindings of a namespace (the seed page's `receive_event`).

        Args:
            namespace: whose bindings see it.
            discriminator: what they see as `discriminator`; without slash and colon.
            body: what they see as `payload`: any JSON value; dates become RFC 3339 strings.
            headers: what they see as `metadata["x-…"]`; names begin with `X-`.
            unchecked: send what the Argo Server is known to refuse.

        Returns:
            The server's answer, `{}` in practice: every binding was evaluated.

        Raises:
            InvalidArgument: before anything is sent.
            ArgoError: the class that says what to do.
        """
        request = protocol.event_request(namespace, discriminator, unchecked=unchecked)
        extra = protocol.event_headers(headers, unchecked=unchecked)
        answered: JSONValue = self._post(request, protocol.encode_body(body), extra)
        return answered

    def post_event(self, request: EventRequest, body: bytes, headers: Mapping[str, str]) -> None:
        """Send an event that is ready; nothing is checked or encoded.

        Args:
            request: of `protocol.event_request`, prepared once.
            body: JSON.
            headers: extra ones, checked by the caller (`protocol.event_headers`) or made of safe text.

        Raises:
            ArgoError: the class that says what to do.
        """
        self._post(request, body, headers)

    def list_bindings_page(
        self, namespace: str, *, unchecked: bool = False, **list_options: Any
    ) -> BindingPage:
        """One page of bindings (the seed page's `list_workflow_event_bindings`).

        Args:
            namespace: whose bindings; empty for all namespaces.
            unchecked: send options that the Argo Server is known not to honour.
            **list_options: the attributes of `protocol.ListOptions`.

        Raises:
            InvalidArgument: before anything is sent.
            Expired: the continue token or resourceVersion is too old.
            ArgoError: the class that says what to do.
        """
        options = protocol.checked_options(unchecked=unchecked, **list_options)
        return self._page(protocol.list_target(namespace, options, unchecked=unchecked))

    def list_workflow_event_bindings(
        self,
        namespace: str,
        *,
        on_expired: OnExpired = "restart",
        unchecked: bool = False,
        **list_options: Any,
    ) -> Iterator[WorkflowEventBinding]:
        """All bindings, page by page (`limit`, 500 by default), each once.

        Args:
            namespace: whose bindings; empty for all namespaces.
            on_expired: when the server's history no longer reaches back to the listing's beginning:
                `restart` it, or `continue` behind the last page with the newest state.
            unchecked: send options that the Argo Server is known not to honour.
            **list_options: the attributes of `protocol.ListOptions`.

        Raises:
            InvalidArgument: before anything is sent.
            ArgoError: the class that says what to do.
        """
        pager = protocol.Pager(namespace, on_expired=on_expired, unchecked=unchecked, **list_options)
        while pager.target is not None:
            try:
                page = self._page(pager.target)
            except Expired as error:
                pager.expired(error)
                continue
            yield from pager.accept(page)

    def _page(self, target: str) -> BindingPage:
        answer = self._exchange(Call("GET", target, protocol.MAX_LIST_ANSWER))
        return protocol.read_page(protocol.read_answer(answer, time.time()))

    def _post(self, request: EventRequest, body: bytes, headers: Mapping[str, str]) -> Any:
        answer = self._exchange(Call("POST", request.path, protocol.MAX_EVENT_ANSWER, body, headers))
        return protocol.read_answer(answer, time.time())

    def _exchange(self, call: Call) -> Answer:
        """Send, and once more with a new token when the server refused a token that can be renewed."""
        used = self._authorization()
        answer = self._send(call, used)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._token is not None:
            self.invalidate()
            renewed = self._authorization()
            if renewed != used:
                answer = self._send(call, renewed)
        return answer

    def _authorization(self) -> str | None:
        if self._token is None:
            return self._fixed_authorization
        token = self._token()
        if inspect.iscoroutine(token):
            token.close()
        if inspect.isawaitable(token):
            raise InvalidArgument("token", "is awaitable: use AsyncArgoClient, or a plain callable")
        return protocol.authorization(token, self._config.prefix)

    def _send(self, call: Call, authorization: str | None) -> Answer:
        if self._closed:
            raise RuntimeError("the client is closed")
        headers = dict(call.headers)
        if authorization is not None:
            headers["Authorization"] = authorization
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        deadline = time.monotonic() + self._config.timeout
        try:
            with self._session.request(
                call.method,
                self._base + call.target,
                data=call.body,
                headers=headers,
                timeout=(min(self._config.connect_timeout, self._config.timeout), self._config.timeout),
                allow_redirects=False,
                stream=True,  # read below, bounded in size and time
            ) as response:
                content = _read(response, call.most, deadline)
                kept = {
                    name: response.headers[name]
                    for name in protocol.WANTED_HEADERS
                    if name in response.headers
                }
                return Answer(response.status_code, content, kept, call.secrets(authorization))
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            failure = _failure(error, self._config)
        raise failure


class _Adapter(HTTPAdapter):
    """Uses our TLS settings, whatever requests and certifi would add, and never repeats a request."""

    def __init__(self, context: ssl.SSLContext | None, pool_size: int) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=pool_size, max_retries=0)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Nothing to add: requests would load certifi's authorities beside the ones that were asked for."""

    def build_connection_pool_key_attributes(
        self,
        request: requests.PreparedRequest,
        verify: Any,  # noqa: ARG002 - the base class's signature
        cert: Any = None,  # noqa: ARG002 - the same
    ) -> Any:
        """Where to connect, and with our settings in place of the base class's default ones."""
        host, _ = super().build_connection_pool_key_attributes(request, True, None)
        return host, {"ssl_context": self._context} if self._context is not None else {}


def _read(response: requests.Response, most: int, deadline: float) -> bytes:
    """The body, bounded: what answers may not be an Argo Server, and may send for ever."""
    content = bytearray()
    while chunk := response.raw.read1(_CHUNK, decode_content=True):
        content += chunk
        if len(content) > most:
            return bytes(content[:most])  # cut off, hence no JSON, hence not the Argo Server's
        if time.monotonic() > deadline:
            raise requests.ReadTimeout
    return bytes(content)


def _failure(error: Exception, config: ServerConfig) -> ArgoError:
    """What a failed exchange means; of the library's text only the system's own part is used."""
    if isinstance(error, requests.ConnectTimeout):
        return Unreachable(f"no connection within {config.connect_timeout:g} s", timeout=True)
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)):
        return Unreachable(f"no answer within {config.timeout:g} s", timeout=True)
    cause = _cause(error)
    if isinstance(cause, ssl.SSLError):
        return Unreachable(f"TLS: {cause}")
    if isinstance(cause, urllib3.exceptions.NewConnectionError | ConnectionRefusedError):
        return Unreachable("cannot connect: is the address right, and does the server run?")
    if isinstance(error, requests.exceptions.ContentDecodingError | urllib3.exceptions.DecodeError):
        return Unavailable("the answer is not HTTP as the Argo Server speaks it")
    if isinstance(error, requests.exceptions.InvalidHeader):
        return InvalidArgument("headers", "hold what HTTP cannot carry")
    if isinstance(error, requests.ConnectionError | urllib3.exceptions.HTTPError | OSError):
        return Unreachable("the connection was closed before the whole answer came")
    return Unreachable(f"the request failed: {type(error).__name__}")


def _cause(error: BaseException) -> BaseException:
    """The innermost error that requests and urllib3 wrapped."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        reason = getattr(error, "reason", None)
        inner = (
            reason
            if isinstance(reason, BaseException)
            else next((item for item in error.args if isinstance(item, BaseException)), None)
        )
        if inner is None:
            break
        error = inner
    return error
