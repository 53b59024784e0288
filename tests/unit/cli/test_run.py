"""`run`, `version` and what is imported for them."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from eventsource_operator import __version__, app
from eventsource_operator.cli.main import cli
from eventsource_operator.settings import Settings


def invoke(*args: str, **environment: str) -> Result:
    return CliRunner().invoke(cli, args, env={"KUBECONFIG": "/nowhere/kubeconfig"} | environment)


def test_version() -> None:
    assert invoke("version").output == f"eventsource-operator {__version__}\n"
    assert invoke("--version").output == f"eventsource-operator {__version__}\n"
    told = json.loads(invoke("version", "-o", "json").output)
    assert told["version"] == __version__
    assert "kopf" in told["dependencies"]


@pytest.mark.parametrize(
    "args", [("--help",), ("version",), ("send", "--help"), ("check", "--help"), ("run", "-h")]
)
def test_kopf_and_the_kubernetes_package_are_not_imported(args: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom eventsource_operator.__main__ import main\n"
        f"sys.argv[1:] = {args!r}\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "sys.exit(str(sorted({'kopf', 'kubernetes'} & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr.strip() == "[]"
    assert done.stdout


@pytest.mark.parametrize("command", [(), ("run",), ("check",), ("version",)])
def test_help_has_examples(command: tuple[str, ...]) -> None:
    result = invoke(*command, "-h")
    assert result.exit_code == 0
    assert "Examples:" in result.output


@pytest.mark.parametrize(
    ("args", "environment", "says"),
    [
        (("--metrics-port", "x"), {}, "--metrics-port: 'x' is not a whole number"),
        (("--namespace", "Team"), {}, "--namespace: "),
        (("-A", "--namespace", "a"), {}, "--all-namespaces: cannot be combined"),
        (("--argo-server", "x:1"), {}, "--argo-server: "),
        (("--log-format", "xml"), {}, "--log-format: 'xml' is not one of text, json"),
        ((), {"EVENTSOURCE_OPERATOR_METRICS_PORT": "99999"}, "EVENTSOURCE_OPERATOR_METRICS_PORT: "),
        (("--metrics-port", "a\x1b[2J\nb"), {}, "--metrics-port: "),
    ],
)
def test_wrong_settings_end_with_one_line(
    args: tuple[str, ...], environment: dict[str, str], says: str
) -> None:
    result = invoke("run", *args, **environment)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert "\x1b" not in result.stderr


def test_an_unknown_flag() -> None:
    assert invoke("run", "--nope").exit_code == 2


def test_flags_and_variables_become_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    def take(settings: Settings) -> int:
        seen.append(settings)
        return 7

    monkeypatch.setattr(app, "run_operator", take)
    result = invoke(
        "run", "--namespace", "a", "--namespace", "b", "--no-leader-elect", "--allow-server", "http://x:1",
        EVENTSOURCE_OPERATOR_LOG_FORMAT="json", EVENTSOURCE_OPERATOR_LEADER_ELECT="true",
    )  # fmt: skip
    assert result.exit_code == 7
    (settings,) = seen
    assert settings.namespaces == ("a", "b")
    assert settings.allow_servers == ("http://x:1",)
    assert (settings.leader_elect, settings.log_format) == (False, "json")


def test_an_operator_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_settings: Settings) -> int:
        raise app.StartupError("no way to a Kubernetes API server:\n\x1b[31mnone")

    monkeypatch.setattr(app, "run_operator", refuse)
    result = invoke("run")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: no way to a Kubernetes API server: ")
    assert "\x1b" not in result.stderr
    assert result.stderr.count("\n") == 1
