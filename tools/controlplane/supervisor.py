"""Parent of every process that a control plane starts; run as a script, never imported by the launcher.

The launcher (a test session, the demo, a build) can end in ways that run no clean-up: SIGKILL, a closed
terminal, a crashed interpreter. So the servers are children of this small process, which reads its requests
from a pipe: when the launcher ends, however it ends, the pipe closes, and the supervisor kills every process
group that it started and removes the data directory. Should the supervisor itself be killed, the kernel
kills its children (`PR_SET_PDEATHSIG`, Linux; it has one thread, so "parent death" means what it says); its
lock on the data directory is then free, and the next launcher removes what was left.

Protocol: one JSON object per line on standard input, one as the answer on standard output.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
ORPHAN_CHECK_SECONDS = 1.0
"""A launcher that forked may have left the pipe open in a child: its death then shows in our parent's id."""
REMOVAL_SECONDS = 10.0


def death_signal() -> Callable[[], None] | None:
    """What a child runs before exec to die with this process; built once, as a fork should do little."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Children:
    """The processes by name, each in a process group of its own."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._before_exec = death_signal()

    def start(self, name: str, argv: list[str], env: dict[str, str], cwd: str, log: str) -> dict[str, Any]:
        """Starts a process; its name must be free or its predecessor ended."""
        running = self._processes.get(name)
        if running is not None and running.poll() is None:
            raise ValueError(f"{name} is already running")
        with Path(log).open("ab") as out:
            self._processes[name] = subprocess.Popen(
                argv,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self._before_exec,  # noqa: PLW1509 - this process has one thread
            )
        return {"pid": self._processes[name].pid}

    def signal(self, name: str, number: int) -> dict[str, Any]:
        """Sends a signal to one process, unless it has ended."""
        process = self._processes[name]
        if process.poll() is None:
            process.send_signal(number)
        return {}

    def status(self) -> dict[str, Any]:
        """Process ids and exit codes (None: running)."""
        return {"status": {name: [child.pid, child.poll()] for name, child in self._processes.items()}}

    def end(self) -> None:
        """Kills all and removes the data directory. SIGKILL: nothing here is worth an orderly shutdown."""
        for process in self._processes.values():
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        for process in self._processes.values():
            process.wait()
        deadline = time.monotonic() + REMOVAL_SECONDS
        while self._data.exists() and time.monotonic() < deadline:  # a grandchild may still be writing
            shutil.rmtree(self._data, ignore_errors=True)


def requests(launcher: int) -> Any:
    """Yields requests until the launcher is gone."""
    buffer = b""
    while True:
        if not select.select([0], [], [], ORPHAN_CHECK_SECONDS)[0]:
            if os.getppid() != launcher:
                return
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            return
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            yield json.loads(line)


def main() -> None:
    """Serves one launcher until it is gone."""
    launcher, data = int(sys.argv[1]), Path(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's to handle: it closes the pipe
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    lock = (data / ".lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    children = Children(data)
    try:
        for request in requests(launcher):
            operation = request.pop("op")
            if operation == "end":
                break
            try:
                answer = getattr(children, operation)(**request)
            except (OSError, ValueError, LookupError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            try:
                os.write(1, json.dumps(answer).encode() + b"\n")
            except BrokenPipeError:  # interrupted while it waited for the answer
                break
    finally:
        children.end()


if __name__ == "__main__":
    main()
