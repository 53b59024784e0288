"""`./dev demo`: the main job on a real control plane, told as the commands that a person would type.

Every line that begins with `$` is run by a shell exactly as it is printed, and what follows is what it printed:
the page cannot show anything that did not happen. The only shortcut is that the demo waits for its own background
operator, so that one that ends early is told at once instead of after a deadline. The module is long because the demo
is one story, read from top to bottom.

Exit codes: 0 after the proof (`--once`) or when a person ends the demo after it; 1 when something did not happen,
with the evidence; 130 when it was interrupted before the proof.
"""

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tools.controlplane import build
from tools.controlplane.crds import CrdError
from tools.controlplane.pins import CHECKOUT
from tools.controlplane.plane import ControlPlane, ControlPlaneError
from tools.controlplane.processes import ProcessError
from tools.controlplane.supervisor import death_signal
from tools.controlplane.toolchain import ToolchainError

NAMESPACE = "demo"
SOURCE = "app-config"
SAMPLE = "manifests/samples/quickstart"
MADE_HERE = "example.com/configmap=app"
"""Label that the sample's binding puts on each Workflow."""
WAIT_SECONDS = 60
"""Each wait takes one to three seconds; a busy machine may need many more."""
STOP_SECONDS = 30.0
"""The operator drains for up to 20 s by itself."""
POLL_SECONDS = 0.1
LOG_LINES = 60


class DemoError(RuntimeError):
    """A step did not do what it shows."""


class Demo:
    """One run: a shell whose environment knows this control plane, and the operator in its background.

    Args:
        plane: A running control plane, with Argo.
        operator: The operator's command.
    """

    def __init__(self, plane: ControlPlane, operator: str = "eventsource-operator") -> None:
        self.plane = plane
        self.log = plane.data / "operator.log"
        self._command = operator
        self._operator: subprocess.Popen[bytes] | None = None
        self._before_exec = death_signal()
        programs = f"{Path(sys.executable).parent}:{plane.binaries}"
        self._exports = {
            "DEMO": str(plane.data),
            "KUBECONFIG": str(plane.kubeconfig),
            "EVENTSOURCE_OPERATOR_ARGO_SERVER": plane.argo_url,
            "EVENTSOURCE_OPERATOR_ARGO_TOKEN_FILE": str(plane.data / "sender-token"),
        }
        inherited = plane.environment()
        self._environment = inherited | self._exports | {"PATH": f"{programs}:{inherited['PATH']}"}
        self.exports = [f"export {name}={shlex.quote(value)}" for name, value in self._exports.items()]
        self.exports.append(f"export PATH={shlex.quote(programs)}:$PATH")

    def prove(self) -> None:
        """From an empty namespace to a Workflow that a ConfigMap's change made.

        Raises:
            DemoError: a command failed, the operator ended, or something else than exactly that Workflow is there.
        """
        for line in self.exports:
            print(f"$ {line}", flush=True)
        print()
        self._say("What to watch, what to run, and what a sender of events may do:")
        self.run(f"kubectl create namespace {NAMESPACE}")
        self.run(f"kubectl -n {NAMESPACE} apply -f {SAMPLE}")
        self._say("The operator, sending as that service account:")
        self.run(
            f"kubectl -n {NAMESPACE} create token event-sender --duration=24h > $DEMO/sender-token",
        )
        self._start_operator()
        self.wait(f"--for=condition=Ready evs/{SOURCE}")
        self._say("The ConfigMap changes:")
        patch = '{"data":{"LOG_LEVEL":"debug"}}'
        self.run(f"kubectl -n {NAMESPACE} patch configmap app --type merge -p '{patch}'")
        self.wait(f"--for=create workflow -l {MADE_HERE}")
        self.wait(f"--for=jsonpath='{{.status.phase}}'=Succeeded workflow -l {MADE_HERE}")
        self.wait(f"--for=jsonpath='{{.status.deliveries.delivered}}'=1 evs/{SOURCE}")
        self._say("What is there now, and what the Workflow was given:")
        self.run(f"kubectl -n {NAMESPACE} get evs")
        self.run(f"kubectl -n {NAMESPACE} get workflows")
        parameters = '{range .items[*].spec.arguments.parameters[*]}{.name}={.value}{"\\n"}{end}'
        self.run(f"kubectl -n {NAMESPACE} get workflows -o jsonpath='{parameters}'")
        self.run(f"kubectl -n {NAMESPACE} describe evs {SOURCE} | sed -n '/^  Deliveries:/,$p'")
        self._check()

    def run(self, line: str) -> None:
        """Prints a command as typed and runs it in the checkout; its output goes where ours goes.

        Raises:
            DemoError: it failed, or the operator ended meanwhile.
        """
        print(f"$ {line}", flush=True)
        with subprocess.Popen(
            ["/bin/sh", "-c", line],
            env=self._environment,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            preexec_fn=self._before_exec,  # noqa: PLW1509 - this process has one thread
        ) as shell:
            try:
                code = self._end_of(shell)
            finally:
                shell.kill()
        print(flush=True)
        if code != 0:
            raise DemoError(f"ended with {code}: {line}")

    def wait(self, what: str) -> None:
        """`kubectl wait`, with a deadline.

        Raises:
            DemoError: the deadline passed.
        """
        self.run(f"kubectl -n {NAMESPACE} wait {what} --timeout={WAIT_SECONDS}s")

    def stay(self) -> NoReturn:
        """Tells how to play on, and stays until a signal ends the demo.

        Raises:
            DemoError: the operator ended.
        """
        print("Everything stays up. To play on, in another terminal, from this directory:\n")
        on = f"kubectl -n {NAMESPACE}"
        for line in [
            *self.exports,
            f"""{on} patch configmap app --type merge -p '{{"data":{{"GREETING":"good evening"}}}}'""",
            f"{on} get workflows,evs",
            f"{on} label configmap app hello=world     # no data changed: no Workflow",
            "kubectl explain evs.spec.watch.fields",
            f"kubectl evs tail -n {NAMESPACE}                 # what is delivered, until Ctrl-C",
            f"eventsource-operator check {NAMESPACE}/{SOURCE}  # what it would send; sends nothing",
            "cat $DEMO/operator.log",
        ]:
            print(f"    {line}")
        print("\nCtrl-C ends all of it.", flush=True)
        while True:
            self._alive()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Ends the operator: in order if it can, by force if it does not; harmless when repeated."""
        if self._operator is None:
            return
        self._operator.terminate()
        try:
            self._operator.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._operator.kill()
            self._operator.wait()
        self._operator = None

    def evidence(self) -> str:
        """What tells why a step failed: the sources, the Workflows, the operator's log, the components' logs."""
        parts = ["--- kubectl get evs -o yaml", self._kubectl("get", "evs", "-o", "yaml")]
        parts += ["--- kubectl get workflows,events", self._kubectl("get", "workflows,events")]
        with contextlib.suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            parts += ["--- operator", *lines[-LOG_LINES:]]
        try:
            parts.append(self.plane.evidence())
        except (ControlPlaneError, ProcessError) as error:
            parts.append(f"--- control plane\n{error}")
        return "\n".join(parts)

    def _start_operator(self) -> None:
        line = (
            f"{self._command} run --namespace {NAMESPACE} --argo-server {self.plane.argo_url}"
            " --metrics-port 0 --no-leader-elect"
        )
        print(f"$ {line} 2> $DEMO/operator.log &\n", flush=True)
        with self.log.open("wb") as log:
            self._operator = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {line}"],
                env=self._environment,
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours: the operator ends before its servers do
                preexec_fn=self._before_exec,  # noqa: PLW1509 - this process has one thread
            )

    def _end_of(self, shell: subprocess.Popen[bytes]) -> int:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return shell.wait(POLL_SECONDS)
            self._alive()

    def _alive(self) -> None:
        code = None if self._operator is None else self._operator.poll()
        if code is not None:
            raise DemoError(f"the operator ended with {code}")

    def _check(self) -> None:
        """The outputs were for people; this is the proof."""
        status: dict[str, Any] = self._object("evs", SOURCE)["status"]
        items: list[dict[str, Any]] = self._object("workflows")["items"]
        found = {item["metadata"]["name"]: item["status"].get("phase") for item in items}
        expected = {f"{SOURCE}-{status['deliveries']['last']['id']}": "Succeeded"}
        if found != expected:
            raise DemoError(f"expected the Workflow of the delivered event, {expected}, and found {found}")

    def _object(self, *what: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(
            self.plane.kubectl("-n", NAMESPACE, "get", *what, "-o", "json"),
        )
        return answer

    def _kubectl(self, *args: str) -> str:
        return self.plane.kubectl("-n", NAMESPACE, "--request-timeout=10s", *args, check=False).strip()

    @staticmethod
    def _say(text: str) -> None:
        print(f"# {text}", flush=True)


def main() -> int:
    """Runs the demo; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="./dev demo",
        description="A ConfigMap changes, and the operator has the Argo Server run a Workflow; all of it real.",
    )
    parser.add_argument("--once", action="store_true", help="end after the proof instead of staying up")
    once = parser.parse_args().once
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    proven = False
    started = time.monotonic()
    try:
        with _control_plane() as plane, _running(plane) as demo:
            demo.prove()
            proven = True
            print(
                f"Proven in {time.monotonic() - started:.0f} s: the change became a Workflow that succeeded.\n"
            )
            if not once:
                demo.stay()
    except KeyboardInterrupt:
        print("\nended" if proven else "\ninterrupted", file=sys.stderr)
        return 0 if proven else 130
    except (
        DemoError, ControlPlaneError, ProcessError, CrdError, build.BuildError, ToolchainError,
    ) as error:  # fmt: skip
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def _control_plane() -> Iterator[ControlPlane]:
    print(
        "Starting etcd, kube-apiserver, kube-controller-manager, argo-server and workflow-controller",
        flush=True,
    )
    started = time.monotonic()
    plane = ControlPlane()
    try:
        plane.start()
        print(
            f"ready after {time.monotonic() - started:.1f} s; the CRDs of crds/ are installed\n", flush=True
        )
        yield plane
    finally:
        _ignore_signals()
        plane.stop()


@contextlib.contextmanager
def _running(plane: ControlPlane) -> Iterator[Demo]:
    """A demo whose operator ends with the block; a failure is told with evidence while there still is some."""
    demo = Demo(plane)
    try:
        yield demo
    except (DemoError, ControlPlaneError) as error:
        print(f"\n{demo.evidence()}\n", file=sys.stderr)
        raise DemoError(str(error)) from error
    finally:
        _ignore_signals()
        demo.stop()


def _ignore_signals() -> None:
    """An impatient second Ctrl-C must not leave servers behind; the clean-up has deadlines of its own."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM and a closed terminal unwind like Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # `./dev demo | head`: everything has ended by now, and nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
