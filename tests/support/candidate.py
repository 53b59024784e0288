"""A process that takes part in a leader election, for tests that stop and kill it.

Usage: candidate.py KUBECONFIG NAMESPACE LEASE. Prints `started`, `stopped`, and each 50 ms
`leader <monotonic seconds>` while it may send; SIGTERM makes it release and end.
"""

import asyncio
import signal
import sys
import time

from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.leader import Leadership


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def main(kubeconfig: str, namespace: str, lease: str) -> None:
    client = await KubeClient.connect(kubeconfig)

    async def started() -> None:
        say("started", time.monotonic())

    async def stopped() -> None:
        say("stopped", time.monotonic())

    leadership = Leadership(client, namespace=namespace, name=lease, on_started=started, on_stopped=stopped)
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    running = asyncio.create_task(leadership.run())
    while not end.is_set():
        if leadership.is_leader:
            say("leader", time.monotonic())
        await asyncio.sleep(0.05)
    await leadership.release()
    await running
    say("released", time.monotonic())
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
