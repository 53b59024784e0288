"""`./dev up` and `./dev down`, as a user types them."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.controlplane import wait_for
from tools.controlplane.pins import CHECKOUT

UP = re.compile(r"export KUBECONFIG=(\S+) ARGO_SERVER=(http://127\.0\.0\.1:\d+) ARGO_TOKEN=(\S+)\n")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keeps away from a control plane that the developer has up, and ends ours."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    yield
    command("down")


def command(name: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tools.controlplane", name],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def up() -> str:
    printed = UP.fullmatch(command("up"))
    assert printed is not None
    return printed[1]


def test_up_is_repeatable_and_down_leaves_nothing() -> None:
    kubeconfig = up()
    assert up() == kubeconfig
    assert Path(kubeconfig).exists()

    command("down")

    assert not Path(kubeconfig).parent.exists()
    assert command("down") == ""


def test_up_replaces_a_control_plane_that_no_longer_serves(tmp_path: Path) -> None:
    kubeconfig = up()
    owner = int(next((tmp_path / "eventsource-operator").glob("*.lock")).read_text(encoding="ascii"))
    os.kill(owner, signal.SIGKILL)

    assert up() != kubeconfig
    wait_for(lambda: not Path(kubeconfig).exists(), 10, "the killed one's data to be removed")
