"""What costs nothing: a restart where nothing changed, and time in which nothing changes."""

import asyncio
import os
import ssl
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chaos.conftest import Tell
from tests.chaos.kit import (
    NAMESPACE,
    PATIENCE_SECONDS,
    Operator,
    lasting,
    new_source,
    quiet,
    status,
    until_watching,
)
from tests.support.controlplane import PlaneFactory, wait_for
from tests.support.recorder import Recorder
from tests.support.writer import Writer
from tools.controlplane.plane import ControlPlane

LONG = bool(os.environ.get("CHAOS_LONG"))
OBJECTS = 10_000 if LONG else 2_000
READY_SECONDS = 5.0
IDLE_SECONDS = 180.0 if LONG else 20.0
CALM_SECONDS = 65.0 if LONG else 8.0
"""After the last write of what had changed before: longer than any pause between such writes.

A repeated Kubernetes Event is told at most once a minute; the short run leaves those out."""
WRITES = ("create", "update", "patch", "delete", "deletecollection")


@pytest.fixture
def audited(fresh_plane: PlaneFactory) -> ControlPlane:
    """A control plane whose API server notes each request, and on which nobody else works."""
    return fresh_plane(argo=False, controller_manager=False, audit=True)


def _requests(plane: ControlPlane) -> Iterator[dict[str, Any]]:
    """What others than the API server itself asked for."""
    return (each for each in plane.audit_events() if each["user"]["username"] != "system:apiserver")


def _writes(plane: ControlPlane) -> list[tuple[str, str]]:
    """Verb and resource."""
    writes = [each for each in _requests(plane) if each["verb"] in WRITES]
    found = [(each["verb"], each["objectRef"]["resource"]) for each in writes]
    return found if LONG else [each for each in found if each[1] != "events"]


async def _fill(plane: ControlPlane, count: int) -> None:
    """ConfigMaps of 1 KiB, 16 at once."""
    url = f"{plane.server}/api/v1/namespaces/{NAMESPACE}/configmaps"
    numbers = iter(range(count))
    trust = ssl.create_default_context(cafile=str(plane.ca))
    headers = {"Authorization": f"Bearer {plane.admin_token}"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=trust)) as session:

        async def work() -> None:
            for number in numbers:
                body = {"metadata": {"name": f"cm-idle-{number:05}"}, "data": {"fill": "x" * 1000}}
                async with session.post(url, json=body) as answer:
                    answer.raise_for_status()

        await asyncio.gather(*(work() for _ in range(16)))


def _watch_opened(plane: ControlPlane, after: float) -> list[float]:
    """When (wall clock) the API server began to answer a watch of the source; Kopf's own asks for no bookmarks."""
    times = [
        datetime.fromisoformat(each["stageTimestamp"]).timestamp()
        for each in _requests(plane)
        if each["verb"] == "watch"
        and each["stage"] == "ResponseStarted"
        and f"/namespaces/{NAMESPACE}/configmaps" in each["requestURI"]
        and "allowWatchBookmarks=true" in each["requestURI"]
    ]
    return [at for at in times if at >= after]


@pytest.mark.timeout(600)
def test_a_restart_with_nothing_changed_sends_nothing_and_is_ready_soon(
    audited: ControlPlane, recorder: Recorder, tmp_path: Path, tell: Tell
) -> None:
    """Ready: the watch is open again. The time that the busy machine kept the process waiting is not the product's."""
    new_source(audited)
    asyncio.run(_fill(audited, OBJECTS))
    with Operator(audited, recorder.url, tmp_path) as operator:
        until_watching(audited, operator)
        wait_for(
            lambda: status(audited)["watches"][0]["objects"] == OBJECTS,
            PATIENCE_SECONDS,
            "all objects are known",
        )
        assert operator.stop() == 0, operator.tail()
        began = time.time()
        operator.start()
        opened: list[float] = wait_for(
            lambda: _watch_opened(audited, began), PATIENCE_SECONDS, "the watch is open again", operator.tail
        )
        ran, queued = operator.scheduled
        took = opened[0] - began
        quiet(recorder, 3)
        assert recorder.received == []
        with Writer(audited, NAMESPACE, 4):
            wait_for(
                lambda: len(recorder.received) >= 4,
                PATIENCE_SECONDS,
                "what changes from now on",
                operator.tail,
            )
        quiet(recorder)
        resident = operator.resident
    tell(
        f"{OBJECTS} objects: ready after {took:.2f} s ({ran:.2f} s at work, {queued:.2f} s waiting for a processor); "
        f"{len(recorder.received)} events, {resident:.0f} MiB"
    )
    assert {event.key for event in recorder.received} == {f"cm-{n}-0" for n in range(4)}
    assert max(ran, took - queued) <= READY_SECONDS


@pytest.mark.timeout(600)
def test_nothing_is_written_while_nothing_changes(
    audited: ControlPlane, recorder: Recorder, tmp_path: Path, tell: Tell
) -> None:
    """The bindings are listed again meanwhile, and positions move with bookmarks: neither writes."""
    new_source(audited, {"resyncSeconds": 5})
    with Operator(audited, recorder.url, tmp_path) as operator:
        until_watching(audited, operator)
        with Writer(audited, NAMESPACE, 200) as writer:
            writer.join()
        wait_for(lambda: len(recorder.received) >= 200, PATIENCE_SECONDS, "all deliveries", operator.tail)
        seen = [len(_writes(audited)), time.monotonic()]

        def calm() -> bool:
            if len(_writes(audited)) != seen[0]:
                seen[:] = [len(_writes(audited)), time.monotonic()]
            return time.monotonic() - seen[1] >= CALM_SECONDS

        wait_for(calm, 240, "the writes of what had changed to end", operator.tail)
        before, asked = _writes(audited), len(list(_requests(audited)))
        lasting(IDLE_SECONDS, lambda: None)
        after = _writes(audited)
        meanwhile = len(list(_requests(audited))) - asked
        assert operator.running
    kinds = {resource for _, resource in before}
    count = len(after) - len(before)
    tell(f"{count} writes in {IDLE_SECONDS:.0f} s, {meanwhile} requests in all; {sorted(kinds)} before")
    assert {"eventsources", "eventsourcecheckpoints"} <= kinds, "the log would not show a write"
    assert after[len(before) :] == []
