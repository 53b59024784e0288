"""One clock tells all sources when their positions are due."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from eventsource_operator.api.eventsource import parse_event_source
from eventsource_operator.api.status import Status
from eventsource_operator.kube.errors import Unavailable
from eventsource_operator.observability.metrics import Metrics
from eventsource_operator.sources.loop import SourceLoop

INTERVAL = 2.0
OBJECT = {
    "apiVersion": "eventsource-operator.dev/v1alpha1",
    "kind": "EventSource",
    "metadata": {"name": "s", "namespace": "n", "uid": "u", "generation": 1, "resourceVersion": "1"},
    "spec": {"watch": [{"kind": "ConfigMap"}]},
}


class Keeper:
    """Takes writes; each waits for `go_on`."""

    def __init__(self) -> None:
        self.writes = 0
        self.saves = 0
        self.failing = False
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def save(self, *_arguments: Any, **_options: Any) -> None:
        self.saves += 1
        await self.go_on.wait()
        if self.failing:
            raise Unavailable(503, "Away", "the API server is away")


@pytest.fixture
def loop() -> SourceLoop:
    settings = SimpleNamespace(position_interval=INTERVAL, ledger_interval=30.0)
    services = SimpleNamespace(metrics=Metrics(), store=None, settings=settings, may_send=lambda: True)
    made = SourceLoop(cast("Any", services), parse_event_source(OBJECT), Status())
    made.keeper = cast("Any", Keeper())
    made._save_at = 0.0
    return made


def keeper(loop: SourceLoop) -> Keeper:
    return cast("Keeper", loop.keeper)


async def ticked(loop: SourceLoop, now: float) -> int:
    """Tells the time and lets what follows from it happen; how often was written so far."""
    loop.tick(now)
    for _ in range(5):
        await asyncio.sleep(0)
    return keeper(loop).saves


async def test_nothing_is_written_while_there_is_nothing_to_tell(loop: SourceLoop) -> None:
    assert await ticked(loop, 1.0) == 0


async def test_it_is_written_when_it_is_due_and_not_sooner(loop: SourceLoop) -> None:
    loop.source.book.unsaved = True
    loop._save_at = 5.0
    assert await ticked(loop, 4.9) == 0
    assert await ticked(loop, 5.0) == 1
    assert await ticked(loop, 5.1) == 1, "nothing is unsaved any more"


async def test_what_comes_after_an_idle_time_is_written_soon(loop: SourceLoop) -> None:
    """Not after another whole interval: until then a kill would repeat all of it."""
    assert await ticked(loop, 1.0) == 0
    loop.source.book.unsaved = True
    assert await ticked(loop, 1.5) == 1


async def test_a_write_that_takes_long_is_not_joined_by_a_second_one(loop: SourceLoop) -> None:
    keeper(loop).go_on.clear()
    loop.source.book.unsaved = True
    assert await ticked(loop, 1.0) == 1
    loop.source.book.unsaved = True
    assert await ticked(loop, 100.0) == 1
    keeper(loop).go_on.set()
    await ticked(loop, 100.0)
    loop._save_at = 101.0
    assert await ticked(loop, 101.0) == 2


async def test_a_write_that_failed_is_followed_by_another(loop: SourceLoop) -> None:
    keeper(loop).failing = True
    loop.source.book.unsaved = True
    assert await ticked(loop, 1.0) == 1
    keeper(loop).failing = False
    loop.source.book.unsaved = True
    loop._save_at = 2.0
    assert await ticked(loop, 2.0) == 2


async def test_who_does_not_lead_writes_nothing(loop: SourceLoop) -> None:
    loop.services.may_send = lambda: False
    loop.source.book.unsaved = True
    assert await ticked(loop, 1.0) == 0
