"""Fixtures of the contract suite: a client of each transport, a real server and its stand-in."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from eventsource_operator.argo import ServerConfig
from tests.contract.clients import TRANSPORTS, Client
from tests.contract.objects import Cluster, wait_until_sender_allowed
from tests.support.fake_argo import FakeArgo
from tools.controlplane.plane import ControlPlane


class Connect(Protocol):
    """Opens a client that ends with the test; arguments are those of `ServerConfig`."""

    def __call__(self, url: str, token: Any = None, **config: Any) -> Client: ...


@pytest.fixture(params=list(TRANSPORTS))
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    opened: list[Client] = []
    transport: Callable[[ServerConfig], Client] = TRANSPORTS[request.param]

    def make(url: str, token: Any = None, **config: Any) -> Client:
        client = transport(ServerConfig(url, token=token, **config))
        opened.append(client)
        return client

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def namespace(namespace: str, plane: ControlPlane) -> str:
    """The suite's namespace of the test, once its sender's rights count."""
    wait_until_sender_allowed(plane.api, namespace)
    return namespace


@pytest.fixture
def client(connect: Connect, plane: ControlPlane) -> Client:
    """A sender of the real server: rights in the test's namespace and in `argo`."""
    return connect(plane.argo_url, plane.argo_token)


@pytest.fixture
def cluster(plane: ControlPlane, namespace: str) -> Cluster:
    return Cluster(plane.api, namespace, plane.argo_token)


@pytest.fixture
def fake() -> Iterator[FakeArgo]:
    with FakeArgo({"good": ("*",)}) as server:
        yield server
