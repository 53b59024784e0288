"""Changes ConfigMaps, each with a marker of its own, and notes when the API server acknowledged it.

Runs as a process of its own, so that it does not take turns with what is measured:
`python -m tools.bench.load KUBECONFIG NAMESPACE OBJECTS CHANGES WRITERS RATE` prints `{marker: unix seconds}`.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
import yaml


async def change(
    config: dict[str, Any], namespace: str, objects: int, changes: int, writers: int, rate: float
) -> dict[str, float]:
    """Changes objects in turn.

    Args:
        config: a kubeconfig, with a token.
        namespace: where the ConfigMaps are.
        objects: how many there are, named `cm-0` and so on.
        changes: how many changes.
        writers: how many at once.
        rate: changes a second; 0 as fast as they go.
    """
    server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    run = f"{time.time_ns():x}"
    done: dict[str, float] = {}
    numbers = iter(range(changes))
    began = time.monotonic()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"}
    async with aiohttp.ClientSession(
        headers=headers, connector=aiohttp.TCPConnector(ssl=tls, limit=0)
    ) as session:

        async def write() -> None:
            for number in numbers:
                if rate:
                    await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                marker = f"{run}-{number}"
                url = f"{server}/api/v1/namespaces/{namespace}/configmaps/cm-{number % objects}"
                body = json.dumps({"data": {"marker": marker}})
                async with session.patch(url, data=body) as response:
                    response.raise_for_status()
                    done[marker] = time.time()

        await asyncio.gather(*(write() for _ in range(writers)))
    return done


def main() -> None:
    """Prints what was written."""
    kubeconfig, namespace, *numbers = sys.argv[1:]
    objects, changes, writers = (int(n) for n in numbers[:3])
    config = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(change(config, namespace, objects, changes, writers, float(numbers[3])))))


if __name__ == "__main__":
    main()
