"""What is built, from which pinned module, and how a binary found elsewhere is judged.

The versions live in `gomod/*/go.mod` and `go.sum`; this module only says which package of which module makes
which binary. A change of any of them, or of the build flags, changes `key()` and so the cache directory.
"""

import hashlib
import platform
import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
GOMOD = HERE / "gomod"

BUILD_ENV = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}
"""Static binaries, no surprise from the user's own Go settings, no toolchain downloaded behind our back."""

KUBERNETES = "k8s.io/kubernetes"
COREDNS = "github.com/coredns/coredns"
SHORT = ("version", "--short")
ARGO = "github.com/argoproj/argo-workflows/v3"


@dataclass(frozen=True)
class Binary:
    """One program: where it comes from and how it tells its version."""

    name: str
    module: str
    """Directory under `gomod/`."""
    package: str
    pinned: str
    """Go module whose required version is the binary's version; also where `-X` flags take it from."""
    version_args: tuple[str, ...] = ("--version",)


def _kubernetes(name: str, *version_args: str) -> Binary:
    return Binary(name, "kubernetes", f"{KUBERNETES}/cmd/{name}", KUBERNETES, version_args or ("--version",))


GROUPS: dict[str, tuple[Binary, ...]] = {
    "plane": (
        Binary("etcd", "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
        _kubernetes("kube-apiserver"),
        _kubernetes("kubectl", "version", "--client"),
        _kubernetes("kube-controller-manager"),
        Binary("argo", "argo", f"{ARGO}/cmd/argo", ARGO, SHORT),
        Binary("workflow-controller", "argo", f"{ARGO}/cmd/workflow-controller", ARGO, SHORT),
    ),
    "e2e": (
        _kubernetes("kube-scheduler"),
        _kubernetes("kubelet"),
        _kubernetes("kube-proxy"),
        Binary(
            "coredns", "coredns", "eventsource-operator.dev/tools/coredns", COREDNS, ("-version",)
        ),
    ),
    "helm": (Binary("helm", "helm", "helm.sh/helm/v3/cmd/helm", "helm.sh/helm/v3", SHORT),),
    "knative": (
        Binary(
            "apiserver_receive_adapter", "knative", "knative.dev/eventing/cmd/apiserver_receive_adapter",
            "knative.dev/eventing", ()),
    ),
}  # fmt: skip
"""`plane` is what every suite needs; the others are built only when asked for."""


def pinned_version(binary: Binary) -> str:
    """Version that the module's go.mod requires, such as `v1.35.4`."""
    text = (GOMOD / binary.module / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^(?:require\s+|\s+){re.escape(binary.pinned)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise LookupError(f"gomod/{binary.module}/go.mod does not require {binary.pinned}")
    return found[1]


def ldflags(binary: Binary) -> str:
    """Linker flags: stripped, and with the version that upstream's release build would stamp."""
    version = pinned_version(binary)
    stamps: list[str] = []
    if binary.pinned == KUBERNETES:
        major, minor = version.lstrip("v").split(".")[:2]
        base = "k8s.io/component-base/version"
        stamps = [f"{base}.gitVersion={version}", f"{base}.gitMajor={major}", f"{base}.gitMinor={minor}"]
    elif binary.pinned == ARGO:
        stamps = [f"{ARGO}.version={version}"]
    elif binary.name == "helm":
        stamps = [f"helm.sh/helm/v3/internal/version.version={version}"]
    return " ".join(["-s -w", *(f"-X {stamp}" for stamp in stamps)])


def minimum_go() -> tuple[int, ...]:
    """Highest `go` line of the modules: the oldest Go that builds them all."""
    lines = [
        re.search(r"^go (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        for path in GOMOD.glob("*/go.mod")
    ]
    return max(tuple(int(part) for part in line[1].split(".")) for line in lines if line)


def key() -> str:
    """Name of the cache directory's contents: changes with every pin and flag, and with the platform."""
    digest = hashlib.sha256()
    digest.update(f"{platform.system()} {platform.machine()} {sorted(BUILD_ENV.items())}".encode())
    for binaries in GROUPS.values():
        for binary in binaries:
            digest.update(f"{binary} {ldflags(binary)}".encode())
    for path in sorted(GOMOD.glob("*/*")):
        if path.is_file():
            digest.update(path.relative_to(GOMOD).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def fits(version: str, wanted: str) -> bool:
    """Whether a version found on the machine is of the pinned minor (patch releases behave alike)."""
    return version.lstrip("v").split(".")[:2] == wanted.lstrip("v").split(".")[:2]
