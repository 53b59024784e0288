"""Writes docs/captures: what the commands print in a real run, on a real control plane with the quickstart sample.

    .venv/bin/python -m tools.captures

Each file holds the command as typed and its output as it came, except for the server's address: the control plane's
ports are free ones, and are shown as the operator's default.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tools.controlplane.argo import create_namespace
from tools.controlplane.pins import CHECKOUT
from tools.controlplane.plane import ControlPlane
from tools.controlplane.supervisor import death_signal

FOLDER: Final = CHECKOUT / "docs" / "captures"
NAMESPACE: Final = "team-a"
SHOWN_SERVER: Final = "http://localhost:2746"
SECONDS: Final = 60
STOP_SECONDS: Final = 30.0
MORE: Final = f"""
apiVersion: eventsource-operator.dev/v1alpha1
kind: EventSource
metadata: {{name: releases, namespace: {NAMESPACE}}}
spec:
  watch: [{{apiVersion: apps/v1, kind: Deploymnt}}]
---
apiVersion: eventsource-operator.dev/v1alpha1
kind: EventSource
metadata: {{name: nightly, namespace: {NAMESPACE}}}
spec:
  suspend: true
  watch: [{{names: [report]}}]
---
apiVersion: eventsource-operator.dev/v1alpha1
kind: EventSource
metadata: {{name: notify, namespace: {NAMESPACE}}}
spec:
  watch: [{{names: [app], events: [Modified], fields: [data.GREETING]}}]
  event: {{discriminator: notify}}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowEventBinding
metadata: {{name: notify, namespace: {NAMESPACE}}}
spec:
  event: {{selector: discriminator == "notify"}}
  submit: {{workflowTemplateRef: {{name: not-there}}}}
"""
"""One source that is broken, one that is suspended, and one whose binding fails."""


class CaptureError(RuntimeError):
    """A command failed, or what it should show did not happen."""


class Stage:
    """An operator on a control plane, and a shell to type into.

    Args:
        plane: Running, with Argo.
        folder: For the operator's token and log.
    """

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self._log = folder / "operator.log"
        self._token = folder / "token"
        programs = f"{Path(sys.executable).parent}:{plane.binaries}"
        self._environment = plane.environment() | {
            "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}",
            "KUBECONFIG": str(plane.kubeconfig),
            "EVENTSOURCE_OPERATOR_ARGO_SERVER": plane.argo_url,
            "EVENTSOURCE_OPERATOR_ARGO_TOKEN_FILE": str(self._token),
            "COLUMNS": "120",
        }
        self._before_exec = death_signal()

    def type(self, line: str) -> str:
        """Runs a line; returns it with what it printed.

        Raises:
            CaptureError: it failed.
        """
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            env=self._environment,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CaptureError(f"{line}: ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return f"$ {line}\n{done.stdout}"

    def wait(self, what: str) -> None:
        """`kubectl wait` in the namespace."""
        self.type(f"kubectl -n {NAMESPACE} wait {what} --timeout={SECONDS}s")

    def background(self, line: str, output: Path) -> subprocess.Popen[bytes]:
        """Starts a line whose output goes to a file."""
        with output.open("wb") as out:
            return subprocess.Popen(
                ["/bin/sh", "-c", f"exec {line}"],
                env=self._environment,
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=self._before_exec,  # noqa: PLW1509 - nothing of ours holds a lock while it starts
            )

    def play(self, folder: Path) -> dict[str, str]:
        """The main job with its sources good and bad; the captures by name.

        Raises:
            CaptureError: something did not happen; with the end of the operator's log.
        """
        create_namespace(self.plane.api, NAMESPACE)
        self.type(f"kubectl -n {NAMESPACE} apply -f manifests/samples/quickstart")
        self._token.write_text(self.plane.token(NAMESPACE, "event-sender"), encoding="utf-8")
        run = f"eventsource-operator run --namespace {NAMESPACE} --no-leader-elect --metrics-port 0"
        operator = self.background(run, self._log)
        try:
            return self._captures(folder)
        except CaptureError as error:
            log = self._log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise CaptureError(f"{error}\n--- operator\n{log}") from error
        finally:
            _end(operator)

    def _captures(self, folder: Path) -> dict[str, str]:
        self.plane.apply(MORE)
        for name in ("app-config", "notify"):
            self.wait(f"--for=condition=Ready evs/{name}")
        self.wait("--for=condition=Watching evs/nightly")
        self.wait("--for=condition=Watching=false evs/releases")
        follow = f"kubectl evs tail -n {NAMESPACE}"
        output = folder / "tail.out"
        tail = self.background(follow, output)
        try:
            _until(lambda: b"Following" in output.read_bytes(), "tail follows")
            for count, (field, value) in enumerate((("LOG_LEVEL", "debug"), ("GREETING", "good evening"))):
                patch = f'{{"data":{{"{field}":"{value}"}}}}'
                self.type(f"kubectl -n {NAMESPACE} patch configmap app --type merge -p '{patch}'")
                delivered = f"{NAMESPACE}/app-config delivered".encode()
                _until(lambda: output.read_bytes().count(delivered) > count, "tail shows it")  # noqa: B023
            _until(lambda: b"notify failed" in output.read_bytes(), "tail shows a failure")
        finally:
            _end(tail)
        shown = {
            "get": f"kubectl -n {NAMESPACE} get evs",
            "status": f"kubectl evs -n {NAMESPACE} status",
            "check": f"kubectl evs check {NAMESPACE}/app-config --object {NAMESPACE}/app --show-body",
            "describe": f"kubectl -n {NAMESPACE} describe evs app-config",
        }
        found = {name: self.type(line) for name, line in shown.items()}
        found["tail"] = f"$ {follow}\n{output.read_text(encoding='utf-8')}"
        return {name: text.replace(self.plane.argo_url, SHOWN_SERVER) for name, text in found.items()}


def form(text: str) -> str:
    """The capture without what differs from run to run: ids, times, ages, figures, the width of columns."""
    for pattern, word in (
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b", "<uid>"),
        (r"\b[0-9a-f]{32}\b", "<id>"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>"),
        (r"\b\d+[smhd](?:\d+[smhd])?\b", "<age>"),
        (r"\b\d+(?:\.\d+)?\b", "<n>"),
        (r"<none>|\S+@\S+", "<word>"),
        (r"[ \t]+", " "),
        (r"-{3,}", "---"),
    ):
        text = re.sub(pattern, word, text)
    return text


def _until(seen: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not seen():
        if time.monotonic() > deadline:
            raise CaptureError(f"waited {SECONDS} s: {what}")
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> int:
    """Writes the files; the exit code."""
    with tempfile.TemporaryDirectory() as name, ControlPlane() as plane:
        try:
            found = Stage(plane, Path(name)).play(Path(name))
        except CaptureError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    FOLDER.mkdir(exist_ok=True)
    for capture, text in found.items():
        (FOLDER / f"{capture}.txt").write_text(text, encoding="utf-8")
        print(f"docs/captures/{capture}.txt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
