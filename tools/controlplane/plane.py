"""A control plane of local processes: start it, break its parts one at a time, stop it without a trace."""

import contextlib
import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.controlplane import argo, build, components, crds
from tools.controlplane.access import Access, ControlPlaneError
from tools.controlplane.components import Component
from tools.controlplane.pins import CHECKOUT
from tools.controlplane.processes import Ports, Supervisor
from tools.controlplane.rest import Client, write_kubeconfig

__all__ = ["ArgoServer", "ControlPlane", "ControlPlaneError"]

START_SECONDS = 60.0
"""Five are normal; a busy machine with two cores may need many more."""
POLL_SECONDS = 0.05
TERMINATION_SECONDS = 15.0
ATTEMPTS = 3
LOG_TAIL = 40
FATAL = frozenset({signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


@dataclass(frozen=True)
class ArgoServer:
    """A running argo-server: its name for `restart`, `kill` and `pause`, and where it listens."""

    name: str
    url: str


class ControlPlane(Access):
    """etcd, kube-apiserver, kube-controller-manager, argo-server and workflow-controller on free ports.

    A component keeps its port and its data over a restart. Everything lives in one temporary directory and
    ends with this process, whatever ends it.
    """

    def __init__(
        self,
        *,
        controller_manager: bool = True,
        argo: bool = True,
        workflow_controller: bool = True,
        audit: bool = False,
        crds_from: Path | None = CHECKOUT / "crds",
    ) -> None:
        self._with_controller_manager = controller_manager
        self._with_argo = argo
        self._with_workflow_controller = workflow_controller and argo
        self._audit = audit
        self._crds = crds_from
        self._components: dict[str, Component] = {}
        self._ports = Ports()
        self._supervisor: Supervisor | None = None
        super().__init__()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Builds what is missing, starts everything and returns once all of it serves.

        Raises:
            ControlPlaneError: a component ended or did not become ready.
            BuildError, ToolchainError: the binaries could not be made.
        """
        self.binaries = build.ensure()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._start()
            except ControlPlaneError as error:
                self.stop()
                if attempt == ATTEMPTS or "address already in use" not in str(error):
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                break
        return self

    def stop(self) -> None:
        """Ends every process and removes the data; harmless when repeated."""
        if self._supervisor is not None:
            self._supervisor.end()
        self._ports.release()
        self._components.clear()

    @property
    def processes(self) -> dict[str, int]:
        """Process ids of the components that run."""
        return {name: pid for name, (pid, code) in self._running().status().items() if code is None}

    def start_component(self, name: str) -> None:
        """Starts a component that was killed, on its old port and data, and waits until it serves."""
        self._launch(self._components[name])
        self._wait_ready(name)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal; after one that ends a process, returns when it has ended."""
        self._running().signal(name, number)
        if number not in FATAL:
            return
        deadline = time.monotonic() + TERMINATION_SECONDS
        while self._running().exit_code(name) is None:
            if time.monotonic() > deadline:
                self._running().signal(name, signal.SIGKILL)
            time.sleep(POLL_SECONDS)

    def restart(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends a component (SIGKILL: as a crash) and starts it again; returns when it serves."""
        self.kill(name, number)
        self.start_component(name)

    def pause(self, name: str) -> None:
        """Freezes a component (SIGSTOP): connections stay open and nothing answers."""
        self.kill(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Lets a frozen component go on."""
        self.kill(name, signal.SIGCONT)

    def compact_etcd(self) -> int:
        """Makes etcd forget its history, as a real cluster's does every few minutes; returns the revision.

        Lists at an older version answer 410 from then on. Watches do not as long as the API server's own
        cache still holds the events: see `forget_history`.
        """
        etcd = Client(self.etcd_url)
        revision = int(etcd.request("POST", "/v3/maintenance/status", {})["header"]["revision"])
        etcd.request("POST", "/v3/kv/compaction", {"revision": str(revision), "physical": True})
        return revision

    def forget_history(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Compacts etcd and restarts the API server: a watch from an older version then gets a real 410."""
        revision = self.compact_etcd()
        self.restart("kube-apiserver", number)
        return revision

    def start_argo(self, extra_args: list[str] | None = None, name: str = "") -> ArgoServer:
        """Starts one more argo-server, such as with `--auth-mode=server` or `--event-async-dispatch`."""
        port = self._ports.take()
        server = name or f"argo-server-{port}"
        arguments = list(extra_args or [])
        component = components.argo_server(
            self.binaries, server, port, self.kubeconfig, self.admin_token, arguments
        )
        self._components[server] = component
        self.start_component(server)
        scheme = "https" if {"--secure", "--secure=true"} & set(arguments) else "http"
        return ArgoServer(server, f"{scheme}://127.0.0.1:{port}")

    def log(self, name: str) -> Path:
        """File with everything that a component printed."""
        return self.data / f"{name}.log"

    def evidence(self, lines: int = LOG_TAIL) -> str:
        """End of every component's log and what runs, for the report of a failed test."""
        parts = [f"running: {self.processes}"]
        parts += [f"--- {name}\n{self._tail(name, lines)}" for name in self._components]
        return "\n".join(parts)

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise ControlPlaneError("the control plane was not started")
        return self._supervisor

    def _start(self) -> None:
        self._supervisor = Supervisor()
        self.data = self._supervisor.data
        self._add_kubernetes()
        for name in ("etcd", "kube-apiserver"):
            self.start_component(name)
        write_kubeconfig(self.kubeconfig, self.server, self.admin_token, self.ca)
        self.api = Client(self.server, self.admin_token, self.ca)
        self._install()
        self._add_clients()
        names = [name for name in self._components if name not in self.processes]
        for name in names:
            self._launch(self._components[name])
        for name in names:
            self._wait_ready(name)
        if self._with_controller_manager:
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            self._wait(
                lambda: self.api.answers(account), "default ServiceAccounts", "kube-controller-manager"
            )
        if self._with_argo:
            self.argo_token = self.token(argo.NAMESPACE, argo.SENDER)

    def _add_kubernetes(self) -> None:
        etcd_port, api_port = self._ports.take(), self._ports.take()
        self.etcd_url, self.server = f"http://127.0.0.1:{etcd_port}", f"https://127.0.0.1:{api_port}"
        self.admin_token = secrets.token_hex(16)
        self.kubeconfig, self.ca = self.data / "kubeconfig", self.data / "certs" / "apiserver.crt"
        self.audit_log = self.data / "audit.log"
        for component in (
            components.etcd(self.binaries, self.data, etcd_port, self._ports.take()),
            components.api_server(
                self.binaries, self.data, api_port, self.etcd_url, self.admin_token,
                self.audit_log if self._audit else None,
            ),
        ):  # fmt: skip
            self._components[component.name] = component

    def _add_clients(self) -> None:
        if self._with_controller_manager:
            name = "kube-controller-manager"
            self._components[name] = components.controller_manager(
                self.binaries, self.data, self._ports.take(), self.kubeconfig
            )
        if self._with_argo:
            port = self._ports.take()
            self.argo_url = f"http://127.0.0.1:{port}"
            self._components["argo-server"] = components.argo_server(
                self.binaries, "argo-server", port, self.kubeconfig, self.admin_token, []
            )
        if self._with_workflow_controller:
            name = "workflow-controller"
            self._components[name] = components.workflow_controller(
                self.binaries, self.log(name), self.kubeconfig
            )

    def _install(self) -> None:
        """CRDs and Argo's objects; before kube-controller-manager, which looks for new kinds every 30 s."""
        directories = [self.binaries / build.ARGO_CRDS] if self._with_argo else []
        directories += [self._crds] if self._crds is not None else []
        names = crds.install(self.api, directories)
        if self._with_argo:
            argo.prepare(self.api)
        self._wait(
            lambda: all(crds.served(self.api, name) for name in names),
            "the CRDs to be served",
            "kube-apiserver",
        )

    def _launch(self, component: Component) -> None:
        log = self.log(component.name)
        with log.open("a", encoding="utf-8") as out:
            out.write(f"{components.START_MARK}{time.strftime('%H:%M:%S')}\n")
        environment = self.environment() | component.env
        self._running().start(component.name, component.argv, env=environment, cwd=self.data, log=log)

    def _wait_ready(self, name: str) -> None:
        self._wait(self._components[name].ready, f"{name} to serve", name)

    def _wait(self, condition: Callable[[], bool], what: str, component: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not condition():
            code = self._running().exit_code(component)
            if code is not None:
                raise ControlPlaneError(f"{component} ended with {code}\n{self._tail(component)}")
            if time.monotonic() > deadline:
                raise ControlPlaneError(f"waited {START_SECONDS:.0f} s for {what}\n{self._tail(component)}")
            time.sleep(POLL_SECONDS)

    def _tail(self, name: str, lines: int = LOG_TAIL) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(
                self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
            )
        return "(no log)"
