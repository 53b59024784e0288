"""Creates, changes and deletes ConfigMaps at full speed and notes what the API server acknowledged."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import requests

from tools.controlplane.plane import ControlPlane

TRY_AGAIN_SECONDS = 0.2
GIVE_UP_SECONDS = 90.0
STEPS_OF_A_LIFE = 10
"""Of so many steps the first creates the object, the last deletes it, the others change it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One acknowledged change. A deletion is known by the uid: the API server does not tell its version."""

    type: str
    key: str
    uid: str
    version: int
    at: float

    @property
    def identity(self) -> tuple[str, str, int]:
        """What tells it from every other change."""
        return self.type, self.uid, self.version


class Writer:
    """Works in threads, each with objects of its own, so that the order per object is the order of its requests.

    A request whose answer was lost is repeated: a patch with the same number changes nothing, a creation that
    exists is read, a deletion of what is gone is done. So each change is noted exactly once.

    Args:
        plane: where.
        namespace: of the ConfigMaps, which are named `cm-<thread>-<number>`.
        total: changes in all.
        rate: changes a second in all; 0 as fast as they go.
        threads: at once.
        objects: per thread.
    """

    def __init__(
        self,
        plane: ControlPlane,
        namespace: str,
        total: int,
        rate: float = 0,
        threads: int = 4,
        objects: int = 8,
    ) -> None:
        self._base = f"{plane.server}/api/v1/namespaces/{namespace}/configmaps"
        self._plane = plane
        self._pause = threads / rate if rate else 0.0
        self._objects = objects
        self._stop = threading.Event()
        self._failures: list[Exception] = []
        self._done: list[list[Change]] = [[] for _ in range(threads)]
        share = total // threads
        self._threads = [
            threading.Thread(target=self._run, args=(number, share), daemon=True) for number in range(threads)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(GIVE_UP_SECONDS)

    @property
    def running(self) -> bool:
        """Whether there is something left to write."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def changes(self) -> list[Change]:
        """What was acknowledged so far, in order per object.

        Raises:
            AssertionError: a request was refused, so that the test has no base.
        """
        assert not self._failures, self._failures
        return [change for done in list(self._done) for change in list(done)]

    def stop(self) -> None:
        """Ends after the request that is under way."""
        self._stop.set()

    def join(self, seconds: float = 120) -> None:
        """Waits until all is written.

        Raises:
            AssertionError: it is not, after that many seconds.
        """
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert not self.running, f"the writer did not end within {seconds:g} s"

    def _run(self, number: int, share: int) -> None:
        with requests.Session() as session:
            session.trust_env = False  # a CA bundle of the environment would take the place of this one
            session.verify = str(self._plane.ca)
            session.headers["Authorization"] = f"Bearer {self._plane.admin_token}"
            uids: dict[str, str] = {}
            began = time.monotonic()
            try:
                for step in range(share):
                    if self._stop.wait(max(0.0, began + step * self._pause - time.monotonic())):
                        return
                    key = f"cm-{number}-{step % self._objects}"
                    phase = (
                        step // self._objects + step
                    ) % STEPS_OF_A_LIFE  # not all in the same step of life
                    self._done[number].append(self._step(session, key, step, phase, uids))
            except (requests.RequestException, TimeoutError) as error:
                self._failures.append(error)

    def _step(
        self, session: requests.Session, key: str, step: int, phase: int, uids: dict[str, str]
    ) -> Change:
        url = f"{self._base}/{key}"
        if key not in uids:
            return self._create(session, key, step, uids)
        if phase == STEPS_OF_A_LIFE - 1:
            self._ask(lambda: session.delete(url, timeout=10), 404)
            return Change("Deleted", key, uids.pop(key), 0, time.monotonic())
        patch = {"data": {"seq": str(step)}}
        headers = {"Content-Type": "application/merge-patch+json"}
        found = self._ask(lambda: session.patch(url, json=patch, headers=headers, timeout=10))
        return _change("Modified", found)

    def _create(self, session: requests.Session, key: str, step: int, uids: dict[str, str]) -> Change:
        manifest = {"metadata": {"name": key}, "data": {"seq": str(step), "fill": "x" * 500}}
        found = self._ask(lambda: session.post(self._base, json=manifest, timeout=10), 409)
        if "uid" not in found["metadata"]:
            found = self._ask(lambda: session.get(f"{self._base}/{key}", timeout=10))
        uids[key] = found["metadata"]["uid"]
        return _change("Added", found)

    def _ask(self, send: Callable[[], requests.Response], also: int = 200) -> dict[str, Any]:
        """Repeats until the API server answered."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                answer = send()
            except (requests.ConnectionError, requests.Timeout):
                if time.monotonic() > deadline:
                    raise
            else:
                if answer.ok or answer.status_code == also:
                    found: dict[str, Any] = answer.json()
                    return found
                # a server that just started refuses what its authorizer has not loaded yet
                if answer.status_code not in {401, 403, 429, 500, 503, 504} or time.monotonic() > deadline:
                    answer.raise_for_status()
            time.sleep(TRY_AGAIN_SECONDS)


def _change(kind: str, found: dict[str, Any]) -> Change:
    meta = found["metadata"]
    return Change(kind, meta["name"], meta["uid"], int(meta["resourceVersion"]), time.monotonic())
