"""Building: what is there is used, what is missing is built, and an interrupt costs one binary at most."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.controlplane import wait_for
from tools.controlplane import build, pins

GO = """#!/bin/sh
# A stand-in for Go: tells a version, "builds" a script that tells one.
case $1 in
  env) echo go9.99.0 ;;
  build)
    while [ "$1" != -o ]; do shift; done
    echo "$2" >>"$GO_LOG"
    [ -z "${GO_WAIT:-}" ] || { echo half >"$2"; exec sleep 60; }
    [ -z "${GO_FAIL:-}" ] || { echo "main.go:1: no such thing"; exit 1; }
    printf '#!/bin/sh\\necho built\\n' >"$2"; chmod +x "$2" ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and our stand-in for Go; returns the directory that is on PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    script(programs / "go", GO)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("GO_LOG", str(tmp_path / "go.log"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return programs


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def built(tmp_path: Path) -> list[str]:
    log = tmp_path / "go.log"
    return [Path(line).name for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []


@pytest.mark.usefixtures("machine")
def test_a_group_is_built_once(tmp_path: Path) -> None:
    directory = build.ensure(["helm"])
    again = build.ensure(["helm"])

    assert (directory / "helm").is_file()
    assert again == directory
    assert built(tmp_path) == [".helm.partial"]


@pytest.mark.usefixtures("machine")
def test_a_failed_build_tells_what_the_compiler_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GO_FAIL", "1")

    with pytest.raises(build.BuildError, match=r"helm could not be built.*\n.*main.go:1: no such thing"):
        build.ensure(["helm"])

    assert not (build.bin_dir() / "helm").exists()


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_no_half_binary(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tools.controlplane", "build", "helm"]
    waiting: Mapping[str, str] = os.environ | {"GO_WAIT": "1"}
    with subprocess.Popen(command, cwd=pins.CHECKOUT, env=waiting, stderr=subprocess.DEVNULL) as interrupted:
        half = build.bin_dir() / ".helm.partial"
        wait_for(lambda: half.exists() and half.read_text(encoding="ascii"), 20, "the build to begin")
        interrupted.send_signal(number)

    assert not (build.bin_dir() / "helm").exists()
    assert (build.ensure(["helm"]) / "helm").is_file()
    assert not half.exists()
    assert built(tmp_path) == [".helm.partial"] * 2


@pytest.mark.parametrize("where", ["KUBEBUILDER_ASSETS", "PATH"])
def test_a_fitting_binary_of_the_machine_is_used(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    found = (machine if where == "PATH" else tmp_path / "assets") / "helm"
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    version = pins.pinned_version(pins.GROUPS["helm"][0])
    script(found, f"#!/bin/sh\necho {version}+g1234567\n")

    assert (build.ensure(["helm"]) / "helm").resolve() == found
    assert built(tmp_path) == []

    script(found, "#!/bin/sh\necho v2.0.0\n")  # it was replaced by another version: no longer used
    assert (build.ensure(["helm"]) / "helm").resolve() != found
    assert built(tmp_path) == [".helm.partial"]


def test_a_binary_of_another_minor_is_not_used(machine: Path, tmp_path: Path) -> None:
    script(machine / "helm", "#!/bin/sh\necho v3.1.0\n")

    assert not (build.ensure(["helm"]) / "helm").is_symlink()
    assert built(tmp_path) == [".helm.partial"]


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        ("1.35.0", "v1.35.4", True),
        ("v1.35.9", "v1.35.4", True),
        ("1.34.4", "v1.35.4", False),
        ("3.6.1", "v3.6.16", True),
    ],
)
def test_a_version_fits_when_its_minor_is_the_pinned_one(found: str, wanted: str, expected: bool) -> None:
    assert pins.fits(found, wanted) is expected


def test_every_binary_has_a_pinned_version() -> None:
    versions = {
        binary.name: pins.pinned_version(binary) for group in pins.GROUPS.values() for binary in group
    }

    assert versions["kube-apiserver"] == versions["kubectl"] == "v1.35.4"
    assert versions["argo"] == versions["workflow-controller"] == "v3.7.18"
