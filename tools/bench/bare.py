"""A bare client that saturates an Argo Server: aiohttp, a body of the operator's own, as many at once as is best.

Runs as a process of its own: `python -m tools.bench.bare URL NAMESPACE EVENTS SENDERS`, the token in `TOKEN`;
prints `{marker: unix seconds of the acknowledgement}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from typing import Any

import aiohttp
import uvloop

from eventsource_operator.api.eventsource import ChangeType, EventSpec
from eventsource_operator.core.event import Change, Event, EventBuilder

_SECONDS = 600.0
UID = "00000000-0000-4000-8000-000000000000"


def events(namespace: str, count: int, run_id: str) -> list[tuple[str, Event]]:
    """Events as the operator makes them of changed ConfigMaps of 1 KiB, each with a marker."""
    builder = EventBuilder(namespace, "bench-0", UID, EventSpec(), None)
    made = []
    for number in range(count):
        marker, name = f"{run_id}-{number}", f"cm-{number}"
        meta = {"name": name, "namespace": namespace, "uid": UID, "resourceVersion": str(number + 1)}
        obj: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
        obj["data"] = {"fill": "x" * 900, "marker": marker}
        change = Change(
            ChangeType.MODIFIED, "v1", "ConfigMap", "configmaps", namespace, name, UID, str(number + 1),
            "2026-01-01T00:00:00.000Z", obj, None, None,
        )  # fmt: skip
        made.append((marker, builder.build(change)))
    return made


async def send(url: str, namespace: str, count: int, senders: int, token: str) -> dict[str, float]:
    """Sends all; when each was acknowledged.

    Raises:
        RuntimeError: an answer other than 200.
    """
    acknowledged: dict[str, float] = {}
    todo = iter(events(namespace, count, f"{time.time_ns():x}"))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    target = f"{url}/api/v1/events/{namespace}/"
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def sender() -> None:
            for marker, event in todo:
                async with session.post(target, data=event.body, headers=dict(event.headers)) as response:
                    text = await response.read()
                    if response.status != 200:  # noqa: PLR2004 - HTTP
                        raise RuntimeError(f"{response.status} {text[:300]!r}")
                acknowledged[marker] = time.time()

        async with asyncio.TaskGroup() as group:
            for _ in range(senders):
                group.create_task(sender())
    return acknowledged


def run(url: str, namespace: str, count: int, senders: int, token: str) -> dict[str, float]:
    """Sends in a process of its own.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "tools.bench.bare", url, namespace, str(count), str(senders)]
    environment = {**os.environ, "TOKEN": token}
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_SECONDS, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"the bare client was not done after {_SECONDS:g} s") from error
    if done.returncode:
        raise RuntimeError(f"the bare client failed: {done.stderr.strip()[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Prints what was acknowledged."""
    url, namespace, count, senders = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(send(url, namespace, int(count), int(senders), os.environ["TOKEN"]))))


if __name__ == "__main__":
    main()
