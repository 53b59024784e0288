"""What the two transports have apart from each other; the rest is in the contract suite."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

from eventsource_operator.argo import ArgoClient, AsyncArgoClient, ServerConfig
from eventsource_operator.argo.errors import InvalidArgument, Unreachable
from eventsource_operator.argo.protocol import event_request
from tests.support.controlplane import wait_for_async
from tests.support.fake_argo import FakeArgo, Reply


@pytest.fixture
def fake() -> Iterator[FakeArgo]:
    with FakeArgo({"good": ("*",)}) as server:
        yield server


async def good() -> str:
    return "good"


async def test_an_awaitable_token(fake: FakeArgo) -> None:
    async with AsyncArgoClient(ServerConfig(fake.url, token=good)) as client:
        assert await client.receive_event("ns", body={}) == {}
        assert await client.reload_token()


def test_an_awaitable_token_is_not_for_the_synchronous_client(fake: FakeArgo) -> None:
    with (
        ArgoClient(ServerConfig(fake.url, token=good)) as client,
        pytest.raises(InvalidArgument, match="awaitable"),
    ):
        client.receive_event("ns", body={})


async def test_many_tasks_share_one_client(fake: FakeArgo) -> None:
    async with AsyncArgoClient(ServerConfig(fake.url, token="good"), connection_limit=4) as client:
        results = await asyncio.gather(*(client.receive_event("ns", body=number) for number in range(50)))
    assert results == [{}] * 50
    assert sorted(int(seen.body) for seen in fake.seen) == list(range(50))


async def test_a_request_can_be_cancelled(fake: FakeArgo) -> None:
    fake.reply(Reply(hold=True))
    async with AsyncArgoClient(ServerConfig(fake.url, token="good")) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.receive_event("ns", body={})
        assert await client.receive_event("ns", body={}) == {}


async def test_closing_ends_what_is_under_way(fake: FakeArgo) -> None:
    fake.reply(Reply(hold=True))
    client = AsyncArgoClient(ServerConfig(fake.url, token="good"))
    sending = asyncio.create_task(client.post_event(event_request("ns"), b"{}", {}))
    await wait_for_async(lambda: fake.seen, 10, "the request")
    async with asyncio.timeout(10):
        await client.close()
        with pytest.raises(Unreachable):
            await sending


async def test_a_client_that_never_sent_can_be_closed() -> None:
    await AsyncArgoClient(ServerConfig()).close()


def test_a_client_can_be_made_outside_of_a_loop(fake: FakeArgo) -> None:
    client = AsyncArgoClient(ServerConfig(fake.url, token="good"))

    async def use() -> object:
        async with client:
            return await client.receive_event("ns", body={})

    assert asyncio.run(use()) == {}


@pytest.mark.parametrize(("name", "absent"), [("ArgoClient", "httptools"), ("AsyncArgoClient", "requests")])
def test_one_client_does_not_load_the_others_library(name: str, absent: str) -> None:
    code = f"import sys; from eventsource_operator.argo import {name}; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
