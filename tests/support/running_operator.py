"""The operator as a process of its own, and what tests do to a cluster beside it."""

import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.support.controlplane import delete_namespace, new_namespace, wait_for
from tests.support.sink import Sink
from tools.controlplane.plane import ControlPlane
from tools.controlplane.rest import Client

STOP_SECONDS = 30.0
READY_SECONDS = 60.0
"""Until a source is what it should be. The start of an operator on a busy machine counts into it."""
GROUP = "eventsource-operator.dev/v1alpha1"
SOURCES = f"/apis/{GROUP}"


class Operator:
    """`eventsource-operator run` as a user runs it, without an election; use it as a context manager.

    Args:
        plane: the cluster.
        server: the default Argo Server's url.
        folder: for its log and token.
        namespaces: whose EventSources it serves; empty: all.
        allowed: further servers.
        kubeconfig: who it is; None: the cluster's administrator.
        options: further flags.
    """

    def __init__(
        self,
        plane: ControlPlane,
        server: str,
        folder: Path,
        *,
        namespaces: tuple[str, ...] = (),
        allowed: tuple[str, ...] = (),
        kubeconfig: Path | None = None,
        options: tuple[str, ...] = (),
    ) -> None:
        token = folder / "argo.token"
        token.write_text(plane.argo_token or "made-up", encoding="utf-8")
        self.log = folder / "operator.log"
        scope = [f"--namespace={each}" for each in namespaces] or ["--all-namespaces"]
        self._command = [sys.executable, "-m", "eventsource_operator", "run", *scope]
        self._command += ["--argo-server", server, "--metrics-port", "0", "--no-leader-elect"]
        self._command += [*(f"--allow-server={each}" for each in allowed), *options]
        self._env = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig or plane.kubeconfig),
            "POD_NAMESPACE": namespaces[0] if namespaces else "default",
            "EVENTSOURCE_OPERATOR_ARGO_TOKEN_FILE": str(token),
        }
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None and self._child.poll() is None:
            self.stop()

    def start(self) -> None:
        """Starts it; does not wait until it works."""
        with self.log.open("ab") as out:
            self._child = subprocess.Popen(self._command, env=self._env, stdout=out, stderr=out)

    def stop(self) -> int:
        """SIGTERM; the exit code. One that does not end in time is killed, and that is an error."""
        child = self._running()
        child.send_signal(signal.SIGTERM)
        try:
            return child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise AssertionError(f"still there {STOP_SECONDS:g} s after SIGTERM\n{self.tail()}") from error

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more."""
        self._running().kill()
        self._running().wait(STOP_SECONDS)

    def metrics(self) -> str:
        """A scrape of its metrics, in Prometheus' text format."""
        found = re.findall(r"health and metrics on port (\d+)", self.log.read_text(encoding="utf-8"))
        assert found, f"it does not serve metrics yet\n{self.tail()}"
        return str(Client(f"http://127.0.0.1:{found[-1]}").request("GET", "/metrics"))

    def tail(self) -> str:
        """The end of its log, beside a failure."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-6000:]

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._child is not None, "not started"
        return self._child


class Team:
    """A namespace of its own and short ways to its objects."""

    def __init__(self, plane: ControlPlane, prefix: str = "team") -> None:
        self.plane = plane
        self.name = new_namespace(plane, prefix)

    def put(self, name: str, data: dict[str, str], labels: dict[str, str] | None = None) -> dict[str, Any]:
        """Creates a ConfigMap; the object as the server has it."""
        manifest = {"metadata": {"name": name, "labels": labels or {}}, "data": data}
        return self.request("POST", "configmaps", manifest)

    def patch(self, name: str, change: dict[str, Any]) -> dict[str, Any]:
        """Changes a ConfigMap by a merge patch."""
        return self.request("PATCH", f"configmaps/{name}", change)

    def delete(self, name: str) -> None:
        """Deletes a ConfigMap."""
        self.request("DELETE", f"configmaps/{name}")

    def request(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """A request below the namespace's core objects."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        where = f"/api/v1/namespaces/{self.name}/{path}"
        answer: dict[str, Any] = self.plane.api.request(method, where, body, content_type=kind)
        return answer

    def source(self, name: str, spec: dict[str, Any], *, ready: bool = True) -> str:
        """Creates an EventSource, waits until it is Ready unless told otherwise; its uid."""
        manifest = {"apiVersion": GROUP, "kind": "EventSource", "metadata": {"name": name}, "spec": spec}
        found = self.plane.api.request("POST", f"{SOURCES}/namespaces/{self.name}/eventsources", manifest)
        if ready:
            self.until(name, "Ready", "True")
        return str(found["metadata"]["uid"])

    def edit_source(self, name: str, spec: dict[str, Any]) -> int:
        """Merges into an EventSource's spec; the new generation."""
        found = self.plane.api.request(
            "PATCH", self._path(name), {"spec": spec}, content_type="application/merge-patch+json"
        )
        return int(found["metadata"]["generation"])

    def delete_source(self, name: str) -> None:
        """Deletes an EventSource."""
        self.plane.api.request("DELETE", self._path(name))

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """A condition of an EventSource; empty while it has none."""
        status = self.plane.api.request("GET", self._path(name)).get("status", {})
        return next((each for each in status.get("conditions", []) if each["type"] == kind), {})

    def until(
        self, name: str, kind: str, status: str, *, generation: int = 0, timeout: float = READY_SECONDS
    ) -> dict[str, Any]:
        """Waits for a condition; returns it."""

        def holds() -> bool:
            found = self.condition(name, kind)
            return found.get("status") == status and found.get("observedGeneration", 0) >= generation

        wait_for(holds, timeout, f"{kind}={status} of {self.name}/{name}", lambda: self.condition(name, kind))
        return self.condition(name, kind)

    def checkpoints(self) -> list[dict[str, Any]]:
        """The namespace's EventSourceCheckpoints."""
        path = f"{SOURCES}/namespaces/{self.name}/eventsourcecheckpoints"
        items: list[dict[str, Any]] = self.plane.api.request("GET", path)["items"]
        return items

    def each(self, method: str, *arguments: tuple[Any, ...], **more: Any) -> list[Any]:
        """Calls a method of this object once per arguments, four at a time."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda each: getattr(self, method)(*each, **more), arguments))

    def settled(
        self, sink: Sink, source: str, labels: dict[str, str] | None = None, timeout: float = 10.0
    ) -> list[tuple[str, str]]:
        """Waits until what was caused before now has arrived; type and name of all events but its own.

        Makes two marker objects that the source selects, the second once the first was delivered: what a stream
        hands over before the first one has had a whole round trip to arrive.
        """
        full = f"{self.name}/{source}"
        for _ in range(2):
            name = f"marker-{secrets.token_hex(4)}"
            self.put(name, {}, labels)

            def arrived(name: str = name) -> bool:
                return ("Added", name) in sink.whats(full)

            wait_for(arrived, timeout, f"marker for {full}", lambda: sink.whats(full)[-20:])
        return [what for what in sink.whats(full) if not what[1].startswith("marker-")]

    def end(self) -> None:
        """Deletes the namespace with all that is in it."""
        delete_namespace(self.plane, self.name)

    def _path(self, name: str) -> str:
        return f"{SOURCES}/namespaces/{self.name}/eventsources/{name}"


@pytest.fixture
def team(plane: ControlPlane) -> Iterator[Team]:
    """A namespace in which `argo_token` may send events."""
    made = Team(plane)
    yield made
    made.end()


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    """The default Argo Server of the module's operator."""
    with Sink() as serving:
        yield serving


@pytest.fixture(scope="module")
def other_sink() -> Iterator[Sink]:
    """A second server that the module's operator allows."""
    with Sink() as serving:
        yield serving


@pytest.fixture(scope="module")
def operator(
    plane: ControlPlane, sink: Sink, other_sink: Sink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """One operator for a module, for all namespaces; the real argo-server is on its allow-list."""
    allowed = (other_sink.url, plane.argo_url)
    with Operator(plane, sink.url, tmp_path_factory.mktemp("operator"), allowed=allowed) as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the end of an operator's log to a failed test's report."""
    report = yield
    if report.failed:
        operators = [each for each in getattr(item, "funcargs", {}).values() if isinstance(each, Operator)]
        report.sections += [("operator", each.tail()) for each in operators if each.log.exists()]
    return report
