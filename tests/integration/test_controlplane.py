"""The ground that other tests stand on: the control plane starts, breaks as told, leaves nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.controlplane import PlaneFactory, wait_for
from tools.controlplane.argo import service_account_token
from tools.controlplane.pins import CHECKOUT
from tools.controlplane.plane import ControlPlane
from tools.controlplane.rest import Client, HttpError

BINDING = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: wait}
spec:
  entrypoint: wait
  templates: [{name: wait, suspend: {duration: "0"}}]
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowEventBinding
metadata: {name: wait}
spec:
  event: {selector: "true"}
  submit:
    metadata: {name: '"wait-" + payload.id'}
    workflowTemplateRef: {name: wait}
"""
LAUNCHER = """
import sys, time
from tools.controlplane.plane import ControlPlane
plane = ControlPlane(argo=False, controller_manager=False).start()
print(plane.data, *plane.processes.values(), plane._supervisor._process.pid, flush=True)
sys.stdin.read()
plane.stop()
"""


def test_an_event_becomes_a_workflow(
    plane: ControlPlane, namespace: str, kubectl: Callable[..., str]
) -> None:
    kubectl("apply", "--server-side", "-f", "-", stdin=BINDING)

    Client(plane.argo_url, plane.argo_token).request("POST", f"/api/v1/events/{namespace}/", {"id": "a1"})

    wait_for(
        lambda: kubectl("get", "workflow", "wait-a1", "-o", "jsonpath={.status.phase}") == "Succeeded",
        30,
        "the Workflow to succeed",
    )


def test_the_argo_token_has_a_senders_rights_only(plane: ControlPlane) -> None:
    sender = Client(plane.server, plane.argo_token, plane.ca)

    assert sender.answers("/apis/argoproj.io/v1alpha1/namespaces/argo/workfloweventbindings")
    with pytest.raises(HttpError, match="403"):
        sender.request("GET", "/api/v1/namespaces/argo/secrets")


def test_the_audit_log_tells_who_wrote(plane: ControlPlane, namespace: str) -> None:
    token = service_account_token(plane.api, namespace, "writer", 3600)

    with pytest.raises(HttpError, match="403"):
        Client(plane.server, token, plane.ca).request("DELETE", "/api/v1/namespaces/default")

    user = f"system:serviceaccount:{namespace}:writer"
    # requests that were not authenticated have no username
    assert [e["verb"] for e in plane.audit_events() if e["user"].get("username") == user] == ["delete"]


def test_a_namespace_ends_with_what_is_in_it(plane: ControlPlane, namespace: str) -> None:
    plane.kubectl("delete", "namespace", namespace, "--wait=true", "--timeout=60s")

    assert namespace not in plane.kubectl("get", "namespaces", "-o", "name")


def test_a_component_restarts_where_it_was(fresh_plane: PlaneFactory) -> None:
    plane = fresh_plane(argo=False, controller_manager=False)
    plane.kubectl("create", "configmap", "kept")

    for name, number in [
        ("kube-apiserver", signal.SIGKILL),
        ("etcd", signal.SIGKILL),
        ("kube-apiserver", signal.SIGTERM),
    ]:
        before = plane.processes[name]
        plane.restart(name, number)
        assert plane.processes[name] != before

    wait_for(lambda: plane.api.answers("/readyz"), 30, "the API server to find etcd again", plane.evidence)
    assert "kept" in plane.kubectl("get", "configmaps", "-o", "name")


def test_a_paused_component_does_not_answer_until_it_is_resumed(fresh_plane: PlaneFactory) -> None:
    plane = fresh_plane(controller_manager=False, workflow_controller=False)
    plane.pause("argo-server")

    with pytest.raises(TimeoutError):
        Client(plane.argo_url, plane.argo_token, timeout=0.5).request("GET", "/api/v1/version")

    plane.resume("argo-server")
    wait_for(lambda: Client(plane.argo_url, plane.argo_token).answers("/api/v1/version"), 10, "an answer")


def test_a_forgotten_version_gives_410(fresh_plane: PlaneFactory) -> None:
    plane = fresh_plane(argo=False, controller_manager=False)
    path = "/api/v1/namespaces/default/configmaps"
    version = plane.api.request("GET", path)["metadata"]["resourceVersion"]
    for number in range(3):
        plane.kubectl("create", "configmap", f"later-{number}")

    plane.forget_history()

    watch = str(plane.api.request("GET", f"{path}?watch=true&timeoutSeconds=1&resourceVersion={version}"))
    assert "410" in watch, watch


def test_further_argo_servers_take_other_flags(fresh_plane: PlaneFactory) -> None:
    plane = fresh_plane(controller_manager=False, workflow_controller=False)
    server_mode = plane.start_argo(["--auth-mode=server", "--event-async-dispatch"])
    with_tls = plane.start_argo(["--secure"])

    path = "/api/v1/workflow-event-bindings/argo"  # a fresh server's gateway answers 503 for up to a second
    wait_for(lambda: Client(server_mode.url).answers(path), 15, "the server mode's gateway")
    wait_for(lambda: Client(with_tls.url, plane.argo_token).answers(path), 15, "the TLS server's gateway")
    assert not Client(with_tls.url).answers("/api/v1/workflow-event-bindings/argo")


@pytest.mark.parametrize("victim", ["launcher", "supervisor"])
def test_nothing_is_left_when_the_launcher_is_killed(victim: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as launcher:
        assert launcher.stdout is not None
        data, *pids = launcher.stdout.readline().split()
        assert Path(data).is_dir()
        os.kill(launcher.pid if victim == "launcher" else int(pids[-1]), signal.SIGKILL)

        wait_for(lambda: not [pid for pid in pids if _runs(pid)], 10, f"processes {pids} to end")
        if victim == "supervisor":
            launcher.communicate()  # the launcher lives on, and removes the data itself
        wait_for(lambda: not Path(data).exists(), 10, f"{data} to be removed")


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
