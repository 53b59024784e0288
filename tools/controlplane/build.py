"""Builds the pinned binaries once into the user's cache, or takes those of the machine whose versions fit.

Everything of one set of pins ends up in one directory, `bin-<key>`: built files, or links to fitting ones
found through `KUBEBUILDER_ASSETS` or PATH. A file appears there only by rename, so that an interrupt leaves
either a whole binary or none, and the next run goes on where this one stopped. A lock keeps two runs from
doing the same work.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.controlplane.pins import ARGO, BUILD_ENV, GOMOD, GROUPS, Binary, fits, key, ldflags, pinned_version
from tools.controlplane.processes import Supervisor
from tools.controlplane.progress import Step
from tools.controlplane.toolchain import cache_dir, find_go

ARGO_CRDS = "argo-crds"
"""Directory beside the binaries with Argo's own CRDs, which its module carries.

The `minimal` ones: they are what Argo's released manifests of this version install, so what users have. With
the `full` schemas the API server needs six seconds more until it serves them.
"""
BINARIES = {binary.name: binary for binaries in GROUPS.values() for binary in binaries}
LOG_TAIL = 30
POLL_SECONDS = 0.1


class BuildError(RuntimeError):
    """A binary could not be built; the message ends with what the compiler said."""


def bin_dir() -> Path:
    """Directory in which the binaries of the current pins live."""
    path = cache_dir() / f"bin-{key()}"
    path.mkdir(parents=True, exist_ok=True)
    return path


def ensure(groups: Iterable[str] = ("plane",)) -> Path:
    """Makes sure that every binary of the groups is there; returns their directory.

    Raises:
        BuildError: a build failed.
        ToolchainError: there is no Go and none could be installed.
    """
    groups = tuple(groups)
    target = bin_dir()
    if _missing(groups, target):
        with _locked(target):
            for name in _missing(groups, target):  # another run may have built them while this one waited
                if name in BINARIES:
                    _link_from_machine(BINARIES[name], target)
            missing = _missing(groups, target)
            if missing:
                _build(missing, target)
    return target


def _missing(groups: Iterable[str], target: Path) -> list[str]:
    names = [
        binary.name
        for group in groups
        for binary in GROUPS[group]
        if not _usable(binary, target / binary.name)
    ]
    if "plane" in groups and not (target / ARGO_CRDS).is_dir():
        names.append(ARGO_CRDS)
    return names


def _usable(binary: Binary, path: Path) -> bool:
    if path.is_symlink():  # the machine's own: it may have been upgraded since
        return _version_fits(binary, path)
    return path.is_file()


def _version_fits(binary: Binary, program: Path) -> bool:
    if not binary.version_args or not os.access(program, os.X_OK):
        return False
    try:
        done = subprocess.run(
            [program, *binary.version_args],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
            env=_plain_env(),
        )
    except (OSError, subprocess.SubprocessError):
        return False
    found = re.search(r"\bv?(\d+\.\d+\.\d+)", done.stdout)
    return found is not None and fits(found[1], pinned_version(binary))


def _plain_env() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ARGO_")}


def _link_from_machine(binary: Binary, target: Path) -> None:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    on_path = shutil.which(binary.name)
    for candidate in [Path(assets) / binary.name if assets else None, Path(on_path) if on_path else None]:
        if candidate is not None and _version_fits(binary, candidate):
            link = target / f".{binary.name}.link-{os.getpid()}"
            link.symlink_to(candidate.resolve())
            link.rename(target / binary.name)
            print(f"  {binary.name}: {candidate} fits", file=sys.stderr, flush=True)
            return


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[None]:
    with (target / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with Step("waiting for another build of the same binaries"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        for left_over in target.glob(".*.partial"):  # of a run that was killed: its lock is gone
            left_over.unlink()
        yield


def _build(wanted: list[str], target: Path) -> None:
    go = find_go()
    print(
        f"building {len(wanted)} parts of the control plane, once, into {target}", file=sys.stderr, flush=True
    )
    supervisor = Supervisor()  # ends the compilers with this process, and holds the scratch directory
    try:
        for number, name in enumerate(wanted, 1):
            with Step(f"  [{number}/{len(wanted)}] {name}"):
                if name == ARGO_CRDS:
                    _copy_argo_crds(go, target)
                else:
                    _build_one(_Compiler(go, supervisor), BINARIES[name], target)
    finally:
        supervisor.end()


class _Compiler:
    """Runs Go commands under the supervisor, gently: whoever waits for a build also works on the machine."""

    def __init__(self, go: Path, supervisor: Supervisor) -> None:
        self.scratch = supervisor.data
        self._go = go
        self._supervisor = supervisor

    def run(self, args: list[str], module: Path, what: str) -> None:
        """Runs one Go command; raises BuildError with the end of its output."""
        log = self.scratch / "go.log"
        log.unlink(missing_ok=True)
        command = [*(["nice"] if shutil.which("nice") else []), str(self._go), *args]
        self._supervisor.start("go", command, env={**os.environ, **BUILD_ENV}, cwd=module, log=log)
        while (code := self._supervisor.exit_code("go")) is None:
            time.sleep(POLL_SECONDS)
        if code != 0:
            tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL:])
            raise BuildError(f"{what} could not be built: `go {args[0]}` ended with {code}\n{tail}")


def _build_one(compiler: _Compiler, binary: Binary, target: Path) -> None:
    module, flags = GOMOD / binary.module, ["-trimpath", f"-ldflags={ldflags(binary)}"]
    if binary.pinned == ARGO:
        module, flags = _argo_vendored(compiler), [*flags, "-mod=vendor"]
    partial = target / f".{binary.name}.partial"
    compiler.run(["build", *flags, "-o", str(partial), binary.package], module, binary.name)
    partial.rename(target / binary.name)


def _argo_vendored(compiler: _Compiler) -> Path:
    """A scratch copy of the argo module with a stand-in for the web UI that its Go module does not carry.

    `ui/embed.go` embeds `dist/app`, which only upstream's release build makes, and neither an overlay nor an
    edit can add it inside the module cache. A vendor directory is ours to complete.
    """
    module = compiler.scratch / "argo"
    if not module.exists():
        shutil.copytree(GOMOD / "argo", module)
        with contextlib.suppress(BuildError):  # complains about the missing embed, having written everything
            compiler.run(["mod", "vendor"], module, "argo's vendor directory")
        page = module / "vendor" / ARGO / "ui" / "dist" / "app" / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text("<!doctype html><title>No user interface in this build</title>\n", encoding="utf-8")
    return module


def _copy_argo_crds(go: Path, target: Path) -> None:
    version = pinned_version(BINARIES["argo"])
    done = subprocess.run(
        [go, "mod", "download", "-json", f"{ARGO}@{version}"],
        cwd=GOMOD / "argo",
        env={**os.environ, **BUILD_ENV},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"argo's module could not be downloaded\n{done.stdout}{done.stderr}")
    source = Path(json.loads(done.stdout)["Dir"]) / "manifests" / "base" / "crds" / "minimal"
    partial = target / f".{ARGO_CRDS}.partial-directory"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for crd in sorted(source.glob("argoproj.io_*.yaml")):
        shutil.copyfile(crd, partial / crd.name)  # not its mode: the module cache is read-only
    partial.rename(target / ARGO_CRDS)
