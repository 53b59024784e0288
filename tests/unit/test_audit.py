"""What lint says of secrets and requirements: each kind of fault is found, and what is no fault is not."""

import base64
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import audit

KEY = f"-----BEGIN {'EC '}PRIVATE KEY-----"
PLANTED = {
    "private key": f"{KEY}\n" + "MHcCAQEEIBx" * 4,
    "private key in base64": base64.b64encode(f"{KEY}\n{'MHcC' * 20}".encode()).decode(),
    "AWS key": "AKIA" + "ABCDEFGHIJKLMNOP",
    "GitHub token": "ghp_" + "a1B2" * 9,
    "GitLab token": "glpat-" + "a1B2c3D4e5" * 2,
    "PyPI token": "pypi-AgE" + "a1B2" * 10,
    "Slack token": "xoxb-" + "1234567890-" * 3,
    "Google key": "AIza" + "a1B2c" * 7,
    "JSON web token": "eyJ" + "hbGciOiJIUzI1." + "eyJ" + "zdWIiOiIxMjM0." + "c2lnbmF0dXJl" * 2,
    "password in a URL": "https://user:" + "pa55word99" + "@example.com",
    "value that looks random": "token: " + "q7Rk2Vx9Lm4Tz8Wb1Yc6",
}


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("around", ["%s", "x = '%s'", "{'data': \"%s\"}", "# %s"])
def test_a_planted_secret_is_found(kind: str, around: str) -> None:
    assert kind in {found for _, found in audit.secrets_in(f"\n{around % PLANTED[kind]}\n")}


def test_a_random_token_is_found_whatever_it_is() -> None:
    missed = [
        token
        for token in (secrets.token_urlsafe(24) for _ in range(200))
        if not list(audit.secrets_in(f'API_TOKEN="{token}"'))
    ]
    assert len(missed) <= 10, missed  # those without a digit, or of few different characters


@pytest.mark.parametrize(
    "text",
    [
        "secretRef: {name: argo-token, key: token}",
        "token = self.token_of_the_service_account_for_2",
        "caRef: eventsource-operator-credentials",
        "password = os.environ['ARGO_TOKEN']",
        "https://user:password@",
        "Authorization: Bearer $ARGO_TOKEN",
        "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUe1",
        f"{PLANTED['AWS key']}  # {audit.MARK}: made up",
    ],
)
def test_what_is_no_secret_is_not_found(text: str) -> None:
    assert not list(audit.secrets_in(text))


def test_lines_are_named() -> None:
    assert list(audit.secrets_in(f"a\nb\n{PLANTED['AWS key']}\n")) == [(3, "AWS key")]


PIN = f"six==1.17.0 --hash=sha256:{'0' * 64}\n"


def _edit(file: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        path = root / file
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")

    return edit


FAULTS = {
    "not pinned": (_edit("requirements/run.txt", lambda t: t + "six>=1\n"), "six: must be pinned"),
    "an address": (
        _edit("requirements/run.txt", lambda t: t + "six @ https://x.example\n"),
        "six: must be pinned",
    ),
    "no hash": (_edit("requirements/dev.txt", lambda t: t + "six==1\n"), "six: must have sha256"),
    "a weak hash": (
        _edit("requirements/dev.txt", lambda t: t + "six==1 --hash=md5:00\n"),
        "six: must have sha256",
    ),
    "another index": (
        _edit("requirements/dev.txt", lambda t: "--index-url https://x.example\n" + t),
        "is no pin",
    ),
    "not tested": (_edit("requirements/run.txt", lambda t: t + PIN), "six is None, and 1.17.0 in run.txt"),
    "not compiled": (_edit("requirements/run.in", lambda t: t + "six\n"), "run.txt: six is missing"),
    "no reason": (
        _edit("docs/dependencies.md", lambda t: t.replace("| `kopf` |", "| kopf |")),
        "no row `kopf`",
    ),
    "no reason in dev": (
        _edit("docs/dependencies.md", lambda t: t.replace("| `ruff` |", "")),
        "no row `ruff`",
    ),
    "out of range": (
        _edit("pyproject.toml", lambda t: t.replace('"click>=8.1"', '"click>=99"')),
        "asks for click>=99",
    ),
    "not in run.in": (
        _edit("pyproject.toml", lambda t: t.replace('  "click>=8.1",\n', "")),
        "the same packages",
    ),
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that are judged."""
    shutil.copytree(audit.ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "docs").mkdir()
    shutil.copy(audit.ROOT / "docs/dependencies.md", tmp_path / "docs")
    shutil.copy(audit.ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_requirements_are_in_order(checkout: Path) -> None:
    """Each direct dependency has its reason in the docs, too."""
    assert list(audit.dependency_faults(checkout, [])) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_requirements_is_told(checkout: Path, fault: str) -> None:
    spoil, told = FAULTS[fault]
    spoil(checkout)
    assert any(told in each for each in audit.dependency_faults(checkout, []))


def test_another_version_that_is_installed_is_told(checkout: Path) -> None:
    found = list(audit.dependency_faults(checkout, [("Click", "0.1"), ("unheard-of", "1")]))
    assert len(found) == 1
    assert found[0].startswith("installed: Click 0.1, and dev.txt pins ")
