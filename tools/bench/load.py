"""Makes and changes objects as fast as the API server takes them, as a process of its own.

So it does not take turns with what is measured. `python -m tools.bench.load JOB`, a job being the JSON of `Job`;
prints JSON: for each marker that was written, when the API server acknowledged it (unix seconds), and the share of a
core that the driver itself took, which shows that it is not what limits.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
import yaml


@dataclass(frozen=True, slots=True)
class Job:
    """What to write.

    Attributes:
        kubeconfig: with a token.
        path: of the collection.
        objects: how many there are, or shall be, named `cm-0` and so on.
        template: JSON of an object to create, `%d` standing for its number; empty: change the ones that exist.
        changes: how many changes.
        writers: how many at once.
        rate: changes a second; 0 as fast as they go.
    """

    kubeconfig: str
    path: str
    objects: int
    template: str = ""
    changes: int = 0
    writers: int = 8
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: acknowledgements by marker, and the driver's share of a core (%)."""

    acknowledged: dict[str, float]
    busy: float

    @property
    def seconds(self) -> float:
        """From the first acknowledgement to the last."""
        times = self.acknowledged.values()
        return max(times, default=0.0) - min(times, default=0.0)


def run(job: Job, seconds: float = 900.0) -> Written:
    """Runs the driver in its own process.

    Raises:
        RuntimeError: it failed; the message ends with what it said.
    """
    command = [sys.executable, "-m", "tools.bench.load", json.dumps(asdict(job))]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"the driver was not done with {job.path} after {seconds:g} s") from error
    if done.returncode:
        raise RuntimeError(f"the driver failed on {job.path}: {done.stderr.strip()[-2000:]}")
    found = json.loads(done.stdout)
    return Written(found["acknowledged"], found["busy"])


def _requests(job: Job, run_id: str) -> Iterator[tuple[str, str, str, str]]:
    """Method, path, body and marker of each request."""
    if job.template:
        for number in range(job.objects):
            yield "POST", job.path, job.template.replace("%d", str(number)), ""
        return
    for number in range(job.changes):
        marker = f"{run_id}-{number}"
        body = json.dumps({"data": {"marker": marker}})
        yield "PATCH", f"{job.path}/cm-{number % job.objects}", body, marker


async def write(job: Job, config: dict[str, Any]) -> dict[str, float]:
    """Writes; when each marker was acknowledged."""
    server, token = config["clusters"][0]["cluster"]["server"], config["users"][0]["user"]["token"]
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    done: dict[str, float] = {}
    todo = enumerate(_requests(job, f"{time.time_ns():x}"))
    kind = "application/json" if job.template else "application/merge-patch+json"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        began = time.monotonic()

        async def writer() -> None:
            for number, (method, path, body, marker) in todo:
                if job.rate:
                    await asyncio.sleep(max(0.0, began + number / job.rate - time.monotonic()))
                async with session.request(method, server + path, data=body) as response:
                    if response.status >= 300:  # noqa: PLR2004 - HTTP
                        raise RuntimeError(f"{method} {path}: {response.status} {await response.text()}")
                    done[marker] = time.time()
                    await response.read()

        async with asyncio.TaskGroup() as group:
            for _ in range(job.writers):
                group.create_task(writer())
    return done


def main() -> None:
    """Prints what was written."""
    job = Job(**json.loads(sys.argv[1]))
    began, cpu = time.monotonic(), time.process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        acknowledged = runner.run(
            write(job, yaml.safe_load(Path(job.kubeconfig).read_text(encoding="utf-8")))
        )
    busy = 100 * (time.process_time() - cpu) / max(time.monotonic() - began, 1e-9)
    acknowledged.pop("", None)
    print(json.dumps({"acknowledged": acknowledged, "busy": busy}))


if __name__ == "__main__":
    main()
