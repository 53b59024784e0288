"""The bindings are listed, and credentials read again, once for all sources that ask for the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from eventsource_operator.delivery.endpoint import Endpoint
from eventsource_operator.sources.bindings import BindingsBoard


class Server:
    """Counts what it is asked; stands in for an endpoint and its client."""

    def __init__(self) -> None:
        self.key = SimpleNamespace(url="http://argo")
        self.calls: list[str] = []

    async def client(self) -> Server:
        return self

    async def list_workflow_event_bindings(self, namespace: str, **_options: Any) -> AsyncIterator[Any]:
        self.calls.append(f"list {namespace}")
        await asyncio.sleep(0)
        yield SimpleNamespace(name="one", namespace=namespace)

    async def refresh(self, endpoint: Endpoint) -> None:
        assert endpoint is cast("Any", self)
        self.calls.append("refresh")


@pytest.fixture
def server() -> Server:
    made = Server()
    made.key = cast("Any", ("http://argo",))  # part of a key: must be hashable
    return made


async def ask(
    board: BindingsBoard, server: Server, namespace: str = "a", max_age: float = 60.0
) -> tuple[str, ...]:
    found = await board.listing(cast("Any", server), namespace, "", "", max_age, server.refresh)
    return found.names


async def test_many_sources_cost_one_listing_and_one_reading_of_credentials(server: Server) -> None:
    board = BindingsBoard()
    found = await asyncio.gather(*(ask(board, server) for _ in range(100)))
    assert set(found) == {("one",)}
    assert server.calls == ["refresh", "list a"]


async def test_another_namespace_is_another_listing(server: Server) -> None:
    board = BindingsBoard()
    await ask(board, server)
    await ask(board, server, "b")
    assert server.calls == ["refresh", "list a", "refresh", "list b"]


async def test_who_wants_it_fresh_has_credentials_read_first(server: Server) -> None:
    board = BindingsBoard()
    await ask(board, server)
    await ask(board, server, max_age=0.0)
    assert server.calls == ["refresh", "list a"] * 2


async def test_what_nobody_asks_for_any_more_is_forgotten(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Namespaces come and go; what is asked for while the old go stays."""
    now = 1000.0
    monkeypatch.setattr("eventsource_operator.sources.bindings.time.monotonic", lambda: now)
    board = BindingsBoard()
    await ask(board, server, "gone")
    now += 172_000
    await ask(board, server, "stays")
    now += 900
    await ask(board, server, "new")
    assert [key.namespace for key in board._entries] == ["stays", "new"]
    await ask(board, server, "stays", max_age=86_400)
    assert server.calls.count("list stays") == 1
