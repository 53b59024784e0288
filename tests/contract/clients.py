"""Both transports behind one synchronous face, so that every contract test runs for both."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import uvloop

from eventsource_operator.argo import ArgoClient, ArgoError, AsyncArgoClient, ServerConfig
from eventsource_operator.argo.protocol import BindingPage, EventRequest, WorkflowEventBinding

Outcome = object | ArgoError


class Client(Protocol):
    """What contract tests use of a transport; `client` is the transport itself."""

    @property
    def client(self) -> Any: ...

    def receive_event(
        self, namespace: str, discriminator: str = "", body: Any = None, **options: Any
    ) -> Any: ...
    def post_event(self, request: EventRequest, body: bytes, headers: Mapping[str, str]) -> None: ...
    def page(self, namespace: str, **options: Any) -> BindingPage: ...
    def bindings(self, namespace: str, **options: Any) -> Iterator[WorkflowEventBinding]: ...
    def burst(self, events: list[dict[str, Any]], at_once: int) -> list[Outcome]: ...
    def reload_token(self) -> bool: ...
    def close(self) -> None: ...


class RequestsClient:
    def __init__(self, config: ServerConfig) -> None:
        self.client = ArgoClient(config, connection_limit=64)

    def receive_event(self, namespace: str, discriminator: str = "", body: Any = None, **options: Any) -> Any:
        return self.client.receive_event(namespace, discriminator, body, **options)

    def post_event(self, request: EventRequest, body: bytes, headers: Mapping[str, str]) -> None:
        self.client.post_event(request, body, headers)

    def page(self, namespace: str, **options: Any) -> BindingPage:
        return self.client.list_bindings_page(namespace, **options)

    def bindings(self, namespace: str, **options: Any) -> Iterator[WorkflowEventBinding]:
        return self.client.list_workflow_event_bindings(namespace, **options)

    def reload_token(self) -> bool:
        return self.client.reload_token()

    def close(self) -> None:
        self.client.close()

    def burst(self, events: list[dict[str, Any]], at_once: int) -> list[Outcome]:
        def send(event: dict[str, Any]) -> Outcome:
            try:
                return self.client.receive_event(**event)
            except ArgoError as error:
                return error

        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(send, events))


class AsyncioClient:
    def __init__(self, config: ServerConfig) -> None:
        self.client = AsyncArgoClient(config)
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)  # the operator's loop

    def receive_event(self, namespace: str, discriminator: str = "", body: Any = None, **options: Any) -> Any:
        return self._runner.run(self.client.receive_event(namespace, discriminator, body, **options))

    def post_event(self, request: EventRequest, body: bytes, headers: Mapping[str, str]) -> None:
        self._runner.run(self.client.post_event(request, body, headers))

    def page(self, namespace: str, **options: Any) -> BindingPage:
        return self._runner.run(self.client.list_bindings_page(namespace, **options))

    def bindings(self, namespace: str, **options: Any) -> Iterator[WorkflowEventBinding]:
        listing = self.client.list_workflow_event_bindings(namespace, **options)

        async def one() -> WorkflowEventBinding | None:
            return await anext(listing, None)

        while (binding := self._runner.run(one())) is not None:
            yield binding

    def burst(self, events: list[dict[str, Any]], at_once: int) -> list[Outcome]:
        async def every() -> list[Outcome]:
            gate = asyncio.Semaphore(at_once)

            async def send(event: dict[str, Any]) -> Outcome:
                async with gate:
                    try:
                        return await self.client.receive_event(**event)
                    except ArgoError as error:
                        return error

            return list(await asyncio.gather(*(send(event) for event in events)))

        return self._runner.run(every())

    def reload_token(self) -> bool:
        return self._runner.run(self.client.reload_token())

    def close(self) -> None:
        self._runner.run(self.client.close())
        self._runner.close()


TRANSPORTS: dict[str, Callable[[ServerConfig], Client]] = {
    "requests": RequestsClient,
    "asyncio": AsyncioClient,
}
