"""The sender against servers that answer as no server should."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from eventsource_operator.api.eventsource import DispatchErrors
from eventsource_operator.api.spec import ChangeType
from eventsource_operator.argo.asyncio_transport import AsyncArgoClient
from eventsource_operator.argo.config import ServerConfig
from eventsource_operator.argo.errors import ArgoError, Dispatch, Unreachable
from eventsource_operator.core.budget import Budget
from eventsource_operator.core.event import Change, Event
from eventsource_operator.delivery.endpoint import Endpoint, EndpointKey
from eventsource_operator.delivery.item import Item
from eventsource_operator.delivery.sender import Policy, Sender
from tests.support.controlplane import wait_for_async

POLICY = Policy("argo", "", False, 8, 0.0, 3, 0.01, 0.1, DispatchErrors.RETRY_TRANSIENT)
KEY = EndpointKey("http://127.0.0.1:1", "Bearer", "none", "system", "", insecure=False, timeout=1.0)


@dataclass
class Told:
    """A listener that remembers."""

    names: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    absorbed: list[str] = field(default_factory=list)

    def delivered(self, item: Item, *, absorbed: bool) -> None:
        self.names.append(item.key)
        if absorbed:
            self.absorbed.append(item.key)

    def failed(self, item: Item, reason: str, message: str) -> None:  # noqa: ARG002 - the listener's shape
        self.failures.append(reason)

    def retried(self, item: Item, reason: str, message: str) -> None:
        """Not asked about."""

    def state_changed(self) -> None:
        """Not asked about."""

    def drained(self) -> None:
        """Not asked about."""

    async def broadcast_namespaces(self) -> set[str]:
        return set()


class Scripted:
    """Stands for the client: each request ends as the script says, those after it succeed."""

    def __init__(self, *script: Exception) -> None:
        self._script = list(script)

    async def post_event(self, *_: object) -> None:
        await asyncio.sleep(0)
        if self._script:
            raise self._script.pop(0)


class ScriptedEndpoint(Endpoint):
    """An endpoint with a scripted client."""

    def __init__(self, *script: Exception) -> None:
        super().__init__(KEY, self._never)
        self._scripted = Scripted(*script)

    async def client(self) -> AsyncArgoClient:
        return cast("AsyncArgoClient", self._scripted)

    async def _never(self) -> ServerConfig:
        raise NotImplementedError


def item(key: str) -> Item:
    change = Change(ChangeType.ADDED, "v1", "ConfigMap", "configmaps", "team", key, "u", "1", "")
    return Item(key, Event(key, (), b"{}", truncated=False), change, lambda: None, 0.0, 0.0)


async def test_a_probe_that_ends_in_an_unforeseen_way_does_not_keep_the_door_shut(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unreachable: ArgoError = Unreachable("connection refused")
    told, endpoint = Told(), ScriptedEndpoint(unreachable, RuntimeError("nobody thought of this"))
    sender = Sender("team/source", POLICY, endpoint, Budget(100, 10**6), told, lambda: True)
    sender.push(item("a"))
    await wait_for_async(lambda: told.names, 20, "the event delivered")
    assert (told.names, told.failures, sender.pending) == (["a"], [], 0)
    assert "unforeseen" in caplog.text
    await sender.stop(0)
    assert not endpoint.outage.closed


def name_taken(name: str) -> Dispatch:
    return Dispatch("taken", already_exists=True, transient=False, made_up=frozenset({name}))


@pytest.mark.parametrize(
    ("names", "absorbed"), [(["w-aaaaa"], []), (["w-aaaaa", "w-bbbbb"], []), (["w-aaaaa", "w-aaaaa"], ["a"])]
)
async def test_an_event_whose_workflow_got_a_taken_name_by_chance_is_sent_again(
    names: list[str], absorbed: list[str]
) -> None:
    told, endpoint = Told(), ScriptedEndpoint(*(name_taken(name) for name in names))
    sender = Sender("team/source", POLICY, endpoint, Budget(100, 10**6), told, lambda: True)
    sender.push(item("a"))
    await wait_for_async(lambda: told.names, 20, "the event delivered")
    assert (told.names, told.failures, told.absorbed) == (["a"], [], absorbed)
    await sender.stop(0)
