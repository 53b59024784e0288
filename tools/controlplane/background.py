"""`./dev up` and `./dev down`: a control plane that outlives the command that started it.

The control plane belongs to a detached process, one per checkout. That process holds a lock on a file as
long as it lives and has written its process id into it: whoever finds the file locked knows that the id
is that of our own process, and nobody else's; an unlocked file is history. What `up` prints is read from
a second file, written when everything serves. A third is locked by `up` and `down`, so that two of them
take turns.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from tools.controlplane import build
from tools.controlplane.pins import CHECKOUT
from tools.controlplane.plane import ControlPlane
from tools.controlplane.progress import Step
from tools.controlplane.rest import Client
from tools.controlplane.toolchain import cache_dir

START_SECONDS = 120.0
END_SECONDS = 30.0
POLL_SECONDS = 0.05
LOG_CHARACTERS = 4000
VARIABLES = ("KUBECONFIG", "ARGO_SERVER", "ARGO_TOKEN")


class BackgroundError(RuntimeError):
    """The control plane in the background did not start or did not end; the message holds its log."""


class State:
    """The files that describe this checkout's control plane in the background."""

    def __init__(self) -> None:
        runtime = os.environ.get("XDG_RUNTIME_DIR")
        directory = Path(runtime) / "eventsource-operator" if runtime else cache_dir()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:12]
        self.lock = directory / f"up-{name}.lock"
        self.turn = directory / f"up-{name}.turn"
        self.ready = directory / f"up-{name}.json"
        self.log = directory / f"up-{name}.log"

    def owner(self) -> int | None:
        """Process id of the running control plane's owner, or None."""
        try:
            with self.lock.open("r+") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return int(file.read() or 0) or None
        except FileNotFoundError:
            pass
        return None

    def settings(self) -> dict[str, str] | None:
        """What a user exports, once the control plane serves; None before."""
        try:
            settings: dict[str, str] = json.loads(self.ready.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return settings

    def remove(self) -> None:
        """Forgets everything but the locked files, which others may be waiting for."""
        self.ready.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)


def up() -> str:
    """Starts the control plane unless it runs and serves; returns the `export` line.

    Raises:
        BackgroundError: it did not start.
    """
    build.ensure()
    state = State()
    with _locked(state.turn):
        settings = state.settings()
        if state.owner() is None or settings is None or not _serves(settings):
            _end(state)
            settings = _start(state)
    print(
        f"The control plane is up. `./dev down` ends it. Its kubectl and argo: {build.bin_dir()}",
        file=sys.stderr,
        flush=True,
    )
    return "export " + " ".join(f"{name}={shlex.quote(settings[name])}" for name in VARIABLES)


def down() -> bool:
    """Ends this checkout's control plane; returns whether one was running.

    Raises:
        BackgroundError: it does not end.
    """
    state = State()
    with _locked(state.turn):
        return _end(state)


def _end(state: State) -> bool:
    pid = state.owner()
    if pid is None:
        state.remove()
        return False
    deadline = time.monotonic() + END_SECONDS
    number = signal.SIGTERM
    while state.owner() == pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        time.sleep(POLL_SECONDS)
        if time.monotonic() > deadline:
            if number is signal.SIGKILL:
                raise BackgroundError(f"process {pid} does not end")
            number, deadline = signal.SIGKILL, time.monotonic() + END_SECONDS
    state.remove()
    return True


def serve() -> None:
    """Runs in the detached process: owns the control plane until SIGTERM."""
    state = State()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with _locked(state.lock) as lock:
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        plane = ControlPlane()
        try:
            plane.start()
            settings = {
                "KUBECONFIG": str(plane.kubeconfig),
                "ARGO_SERVER": plane.argo_url,
                "ARGO_TOKEN": plane.argo_token,
                "server": plane.server,
                "ca": str(plane.ca),
                "admin_token": plane.admin_token,
            }
            partial = state.ready.with_suffix(".partial")
            partial.touch(mode=0o600)
            partial.write_text(json.dumps(settings), encoding="utf-8")
            partial.rename(state.ready)
            ended.wait()
        finally:
            state.ready.unlink(missing_ok=True)
            plane.stop()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[TextIO]:
    with path.open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _start(state: State) -> dict[str, str]:
    state.remove()
    with state.log.open("w") as log, Step("starting etcd, Kubernetes and Argo"):
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.controlplane", "serve"],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a Ctrl-C later in this terminal is not meant for it
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while (settings := state.settings()) is None:
                _check_start(process, deadline, state.log)
                time.sleep(POLL_SECONDS)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    return settings


def _check_start(process: subprocess.Popen[bytes], deadline: float, log: Path) -> None:
    if process.poll() is not None or time.monotonic() > deadline:
        tail = log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]
        raise BackgroundError(f"the control plane did not start\n{tail}")


def _serves(settings: dict[str, str]) -> bool:
    kubernetes = Client(settings["server"], settings["admin_token"], Path(settings["ca"]))
    argo = Client(settings["ARGO_SERVER"], settings["ARGO_TOKEN"])
    return kubernetes.answers("/readyz") and argo.answers("/api/v1/version")
