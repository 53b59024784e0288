"""What `./dev lint` checks of dependencies and secrets; it asks nobody, so that it works offline.

Dependencies: each requirement is pinned to one version with its hashes and comes from the index alone, the pins of
production are those of development, what `pyproject.toml` asks for and what is installed agree with them, and each
direct one has its reason in docs/dependencies.md. Whether a version has a known weakness cannot be told offline:
`./dev audit` asks for that.

Secrets: texts of the checkout that look like credentials. A line with `not-a-secret` is passed over: say why there.
"""

from __future__ import annotations

import importlib.metadata
import math
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parent.parent
MARK: Final = "not-a-secret"
_LARGE: Final = 2_000_000
"""Bytes of a file above which it is no source text."""

_HASHES: Final = re.compile(r"(go\.sum|requirements/.*\.txt)$")
"""Files that are made of hashes: random texts are their purpose."""

PATTERNS: Final = {
    "private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s*\\?n?\s*[A-Za-z0-9+/=]{16}"),
    "private key in base64": re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]{40}"),
    "AWS key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40})"),
    "GitLab token": re.compile(r"\bglpat-[A-Za-z0-9_-]{20}"),
    "PyPI token": re.compile(r"\bpypi-AgE[A-Za-z0-9_-]{40}"),
    "Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{20}"),
    "Google key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}"),
    "JSON web token": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16}"),
    "password in a URL": re.compile(
        r"\b[a-z][a-z0-9+]{2,}://[^\s/:@\"'`{}<>$]+:[^\s/:@\"'`{}<>$]{8,}@[a-z0-9]"
    ),
}
ASSIGNED: Final = re.compile(
    r"(?i)(?:passw(?:or)?d|secret|token|api_?key|credential)[a-z_-]{0,16}[\"']?\s*[:=]\s*[\"']?"
    r"(?:Bearer )?(?P<value>[A-Za-z0-9+/_=-]{20,})"
)
RANDOM_BITS: Final = 4.0
"""Bits for each character above which a value is random rather than a name."""


def secrets_in(text: str) -> Iterator[tuple[int, str]]:
    """Line (from 1) and kind of each finding."""
    for number, line in enumerate(text.splitlines(), 1):
        if MARK in line:
            continue
        for kind, pattern in PATTERNS.items():
            if pattern.search(line):
                yield number, kind
        for found in ASSIGNED.finditer(line):
            value = found["value"]
            if any(map(str.isdigit, value)) and entropy(value) >= RANDOM_BITS:
                yield number, "value that looks random"
    for found in PATTERNS["private key"].finditer(text):
        if "\n" in found[0]:
            yield text.count("\n", 0, found.start()) + 1, "private key"


def entropy(text: str) -> float:
    """Shannon's, in bits for each character."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """The texts that are in the repository or would be with the next commit: name and content."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, capture_output=True, check=True)
    for name in sorted({*done.stdout.decode().split("\0")} - {""}):
        path = root / name
        if _HASHES.search(name) or not path.is_file() or path.is_symlink() or path.stat().st_size > _LARGE:
            continue
        data = path.read_bytes()
        if b"\0" not in data:
            yield name, data.decode(errors="replace")


def pins(text: str) -> tuple[dict[str, str], list[str]]:
    """Names and versions of a compiled requirements file, and what is wrong with it."""
    found: dict[str, str] = {}
    wrong = []
    for logical in text.replace("\\\n", " ").splitlines():
        line = logical.strip()
        if not line or line.startswith("#"):
            continue
        head, *hashes = re.split(r"\s+--hash=", line)
        try:
            requirement = Requirement(head)
        except InvalidRequirement:
            wrong.append(f"{line[:60]}: is no pin; options, indexes and files do not belong here")
            continue
        specifiers = list(requirement.specifier)
        if requirement.url or [each.operator for each in specifiers] != ["=="]:
            wrong.append(f"{requirement.name}: must be pinned with == to one version from the index")
            continue
        if not hashes or any(not re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes):
            wrong.append(f"{requirement.name}: must have sha256 hashes")
        found[canonicalize_name(requirement.name)] = specifiers[0].version
    return found, wrong


def direct(text: str) -> list[Requirement]:
    """The requirements that a .in file names itself."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def dependency_faults(root: Path, installed: Iterable[tuple[str, str]]) -> Iterator[str]:
    """What is wrong with the requirements, in words."""
    run, wrong_run = pins((root / "requirements/run.txt").read_text(encoding="utf-8"))
    dev, wrong_dev = pins((root / "requirements/dev.txt").read_text(encoding="utf-8"))
    yield from (f"requirements/run.txt: {each}" for each in wrong_run)
    yield from (f"requirements/dev.txt: {each}" for each in wrong_dev)
    for name, version in run.items():
        if dev.get(name) != version:
            yield f"requirements/dev.txt: {name} is {dev.get(name)}, and {version} in run.txt: tests must run with that"
    reasons = (root / "docs/dependencies.md").read_text(encoding="utf-8")
    for file, pinned in (("run", run), ("dev", dev)):
        for requirement in direct((root / f"requirements/{file}.in").read_text(encoding="utf-8")):
            if canonicalize_name(requirement.name) not in pinned:
                yield f"requirements/{file}.txt: {requirement.name} is missing: compile {file}.in again"
            if f"| `{requirement.name}` |" not in reasons:
                yield f"docs/dependencies.md: has no row `{requirement.name}` with the reason for it"
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(each) for each in project["dependencies"]]
    for requirement in wanted:
        version = run.get(canonicalize_name(requirement.name), "")
        if not version or not requirement.specifier.contains(version):
            yield f"pyproject.toml: asks for {requirement}, and run.txt has {version or 'nothing'}"
    named = direct((root / "requirements/run.in").read_text(encoding="utf-8"))
    if {canonicalize_name(each.name) for each in named} != {canonicalize_name(each.name) for each in wanted}:
        yield "requirements/run.in: must name the same packages as pyproject.toml"
    for name, version in installed:
        pinned_version = dev.get(canonicalize_name(name))
        if pinned_version is not None and pinned_version != version:
            yield f"installed: {name} {version}, and dev.txt pins {pinned_version}: run ./dev setup"


def main() -> int:
    """Prints the findings; the exit code."""
    installed = [(each.name, each.version) for each in importlib.metadata.distributions() if each.name]
    found = list(dependency_faults(ROOT, installed))
    for name, text in texts(ROOT):
        found += [
            f"{name}:{line}: {kind}; take it out, or mark the line {MARK}" for line, kind in secrets_in(text)
        ]
    for each in found:
        print(each)
    print(
        f"{len(found)} findings in requirements and texts"
        if found
        else "pins, reasons and texts are in order"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
