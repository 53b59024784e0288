"""The launcher's side of the supervisor, and ports that nobody else takes."""

import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.controlplane.pins import HERE

PREFIX = "eventsource-operator-"
ABANDONED_SECONDS = 60.0
"""A data directory younger than this may belong to a launcher whose supervisor has not locked it yet."""
END_SECONDS = 20.0
LOWEST_PORT = 15_000
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
EPHEMERAL_DEFAULT = 32_768


class ProcessError(RuntimeError):
    """A process could not be started or signalled."""


class Supervisor:
    """Starts processes that end when this process ends, whatever ends it (see `supervisor.py`)."""

    def __init__(self) -> None:
        remove_abandoned()
        self.data = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(HERE / "supervisor.py"), str(os.getpid()), str(self.data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def start(self, name: str, argv: list[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> int:
        """Starts a process under a name; returns its id."""
        answer = self._ask("start", name=name, argv=argv, env=dict(env), cwd=str(cwd), log=str(log))
        return int(answer["pid"])

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to a process; one that has ended is left alone."""
        self._ask("signal", name=name, number=int(number))

    def status(self) -> dict[str, tuple[int, int | None]]:
        """Process id and exit code (None: running) of every process that was started."""
        answer = self._ask("status")["status"]
        return {name: (int(pid), code) for name, (pid, code) in answer.items()}

    def exit_code(self, name: str) -> int | None:
        """Exit code of a process, or None while it runs."""
        return self.status()[name][1]

    def end(self) -> None:
        """Kills everything and removes the data directory; harmless when repeated."""
        with self._lock:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None and not pipe.closed:
                    try:
                        pipe.close()  # the end of the pipe is the request to end
                    except BrokenPipeError:
                        continue
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.data, ignore_errors=True)

    def _ask(self, operation: str, **arguments: Any) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None or stdin.closed:
            raise ProcessError("the control plane was stopped")
        with self._lock:
            try:
                stdin.write(json.dumps({"op": operation, **arguments}).encode() + b"\n")
                stdin.flush()
                line = stdout.readline()
            except OSError as error:
                raise ProcessError(f"the supervisor is gone: {error}") from error
        if not line:
            raise ProcessError("the supervisor is gone")
        answer = json.loads(line)
        if "error" in answer:
            raise ProcessError(answer["error"])
        return answer


def remove_abandoned() -> None:
    """Removes data directories whose supervisor was killed: nobody holds their lock any more."""
    for data in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if data.stat().st_uid != os.getuid() or time.time() - data.stat().st_mtime < ABANDONED_SECONDS:
                continue
            with (data / ".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(data, ignore_errors=True)
        except OSError:  # locked: in use; or somebody else removes it right now
            continue


class Ports:
    """Ports that stay ours while a server is down.

    Below the range that the kernel gives to outgoing connections: else a client that retries while a server
    restarts could be given the very port that the server is about to take again. Claimed through an abstract
    socket (Linux), so that control planes side by side do not choose the same.
    """

    def __init__(self) -> None:
        self._claims: list[socket.socket] = []

    def take(self) -> int:
        """A port of the loopback interface on which nothing listens."""
        try:
            top = int(EPHEMERAL_RANGE.read_text(encoding="ascii").split()[0])
        except (OSError, ValueError):
            top = EPHEMERAL_DEFAULT
        if top < LOWEST_PORT + 1000:
            top = EPHEMERAL_DEFAULT
        for port in random.sample(range(LOWEST_PORT, top), k=1000):
            if self._claim(port):
                return port
        raise ProcessError("no free port found")

    def release(self) -> None:
        """Gives all ports back."""
        for claim in self._claims:
            claim.close()
        self._claims.clear()

    def _claim(self, port: int) -> bool:
        if sys.platform == "linux":
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                claim.bind(f"\0{PREFIX}port-{port}")
            except OSError:
                claim.close()
                return False
            self._claims.append(claim)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))  # every interface: argo-server listens on all
            except OSError:
                return False
        return True
