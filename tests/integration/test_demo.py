"""`./dev demo` as its user meets it: it proves the main job, stays up, ends without a trace, and tells a failure."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.controlplane import PlaneFactory, wait_for
from tools.controlplane.pins import CHECKOUT
from tools.controlplane.plane import ControlPlane
from tools.demo import Demo, DemoError

SECONDS = 120.0


class Running:
    """A demo in a process of its own; what it printed, and its processes."""

    def __init__(self, out: Path, *arguments: str) -> None:
        self._out = out
        with out.open("wb") as sink:
            self.process = subprocess.Popen(
                [sys.executable, "tools/demo.py", *arguments],
                cwd=CHECKOUT,
                env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )

    def said(self) -> str:
        return self._out.read_text(encoding="utf-8", errors="replace")

    def environment(self) -> dict[str, str]:
        """What it says that a person should export in another terminal."""
        lines = [line.strip() for line in self.said().splitlines()]
        exports = dict(
            line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export ")
        )
        return os.environ | exports | {"PATH": exports["PATH"].replace("$PATH", os.environ["PATH"])}

    def shell(self, line: str) -> str:
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=SECONDS,
        )
        return done.stdout

    def until(self, text: str) -> None:
        def there() -> bool:
            assert self.process.poll() is None, self.said()
            return text in self.said()

        wait_for(there, SECONDS, f"the demo to say {text!r}", self.said)


@pytest.fixture
def staying(tmp_path: Path) -> Iterator[Running]:
    """A demo that has proven its job and stays up."""
    demo = Running(tmp_path / "demo.log")
    try:
        demo.until("Ctrl-C ends all of it.")
        yield demo
    finally:
        demo.process.kill()
        demo.process.wait()


def test_once_proves_the_main_job_and_ends(tmp_path: Path) -> None:
    demo = Running(tmp_path / "demo.log", "--once")

    assert demo.process.wait(SECONDS) == 0, demo.said()

    lines = demo.said().splitlines()
    assert [line.split()[1] for line in lines if line.startswith("app-config-")] == ["Succeeded"]
    assert 'changed=["data.LOG_LEVEL"]' in lines
    assert [line.split()[1:3] for line in lines if line.startswith("app-config ")] == [["True", "Ready"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_stays_up_to_play_on_and_leaves_nothing(staying: Running, number: signal.Signals) -> None:
    workflows = "kubectl -n demo get workflows -o name"
    assert len(staying.shell(workflows).splitlines()) == 1
    staying.shell("""kubectl -n demo patch configmap app --type merge -p '{"data":{"GREETING":"again"}}'""")
    wait_for(lambda: len(staying.shell(workflows).splitlines()) == 2, 30, "a second Workflow", staying.said)
    data = Path(staying.environment()["DEMO"])
    assert len(_processes_of(data)) >= 6  # five servers and the operator

    staying.process.send_signal(number)

    assert staying.process.wait(SECONDS) == (-number if number == signal.SIGKILL else 0), staying.said()
    wait_for(lambda: not _processes_of(data), 30, "every process to end", lambda: _processes_of(data))
    wait_for(lambda: not data.exists(), 30, f"{data} to be removed")


def test_an_operator_that_ends_is_told_at_once_with_its_log(
    fresh_plane: PlaneFactory, tmp_path: Path
) -> None:
    broken = tmp_path / "broken-operator"
    broken.write_text("#!/bin/sh\necho 'error: out of order' >&2\nexit 3\n", encoding="ascii")
    broken.chmod(0o755)
    demo = Demo(fresh_plane(), operator=str(broken))

    with pytest.raises(DemoError, match="the operator ended with 3"):
        demo.prove()

    assert "error: out of order" in demo.evidence()
    assert "name: app-config" in demo.evidence()


def test_a_workflow_of_another_event_is_no_proof(fresh_plane: PlaneFactory) -> None:
    demo = Demo(fresh_plane())
    try:
        demo.prove()
        demo.run('kubectl -n demo patch configmap app --type merge -p \'{"data":{"GREETING":"x"}}\'')
        demo.wait("--for=jsonpath='{.status.deliveries.delivered}'=2 evs/app-config")

        with pytest.raises(DemoError, match="expected the Workflow of the delivered event"):
            demo._check()
    finally:
        demo.stop()


def test_the_example_of_the_readme_is_accepted(plane: ControlPlane, namespace: str) -> None:
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    examples = [block.split("```")[0] for block in text.split("```yaml\n")[1:]]
    assert len(examples) == 1

    example = examples[0].replace("namespace: team-a", f"namespace: {namespace}")

    assert "app-config" in plane.apply(example, "--dry-run=server")


def _processes_of(data: Path) -> list[str]:
    """Process ids whose environment names the demo's directory, as its servers' and its operator's do."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if str(data).encode() in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:  # it ended, or is somebody else's
            continue
    return found
