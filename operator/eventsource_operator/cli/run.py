"""`eventsource-operator run`: flags become settings, then the operator starts.

The flags are named after the settings, and `settings` reads and judges them together with the environment;
nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import click

from eventsource_operator.cli.lazy import CONTEXT_SETTINGS
from eventsource_operator.cli.output import CannotError, one_line
from eventsource_operator.settings import Settings, SettingsError, process_environment


class _Flag(NamedTuple):
    setting: str
    flag: str
    metavar: str
    help: str
    many: bool = False


_FLAGS = (
    _Flag(
        "namespaces",
        "--namespace",
        "NS",
        "Serve the EventSources of this namespace. Default: its own.",
        many=True,
    ),
    _Flag("argo_server", "--argo-server", "URL", "The default Argo Server. Default: http://localhost:2746."),
    _Flag(
        "allow_servers", "--allow-server", "URL", "A further server that spec.server.url may name.", many=True
    ),
    _Flag(
        "argo_token_file",
        "--argo-token-file",
        "FILE",
        "Token for the default server. Default: its own token.",
    ),
    _Flag(
        "argo_ca_file", "--argo-ca-file", "FILE", "CA bundle for the default server. Default: the system's."
    ),
    _Flag("auth_prefix", "--auth-prefix", "WORD", "Scheme in front of the token. Default: Bearer."),
    _Flag(
        "metrics_host", "--metrics-host", "ADDRESS", "Where health and metrics listen. Default: everywhere."
    ),
    _Flag("metrics_port", "--metrics-port", "PORT", "Port of health and metrics; 0 for any. Default: 8080."),
    _Flag(
        "lease_namespace", "--lease-namespace", "NS", "Where the Lease is. Default: the operator's namespace."
    ),
    _Flag("lease_name", "--lease-name", "NAME", "The Lease's name. Default: eventsource-operator."),
    _Flag(
        "operator_namespace", "--operator-namespace", "NS", "Where its configuration is. Default: the pod's."
    ),
    _Flag("log_format", "--log-format", "text|json", "Default: text."),
    _Flag("log_level", "--log-level", "LEVEL", "DEBUG, INFO, WARNING or ERROR. Default: INFO."),
    _Flag("policy", "--policy", "default|strict", "strict asks for rights also in a source's own namespace."),
    _Flag("max_concurrency", "--max-concurrency", "N", "Default of spec.delivery.maxConcurrency: 64."),
    _Flag("max_per_second", "--max-per-second", "N", "Default of spec.delivery.maxPerSecond: 0, no limit."),
    _Flag("pending_limit", "--pending-limit", "N", "Changes that may wait for delivery. Default: 10000."),
    _Flag("pending_bytes", "--pending-bytes", "BYTES", "The same in bytes. Default: 64 MiB."),
    _Flag("old_state_bytes", "--old-state-bytes", "BYTES", "Memory for old states. Default: 32 MiB."),
    _Flag("grace_seconds", "--grace-seconds", "SECONDS", "Time for draining after SIGTERM. Default: 20."),
    _Flag("kubeconfig", "--kubeconfig", "FILE", "Default: the pod's service account, else KUBECONFIG."),
    _Flag("context", "--context", "NAME", "Context in the kubeconfig. Default: its current one."),
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for each in reversed(_FLAGS):
        variable = "EVENTSOURCE_OPERATOR_" + each.flag.removeprefix("--").replace("-", "_").upper()
        repeat = "Repeatable. " if each.many else ""
        text = f"{each.help} {repeat}[{variable}]"
        command = click.option(each.flag, each.setting, metavar=each.metavar, multiple=each.many, help=text)(
            command
        )
    return command


@click.command(
    context_settings=CONTEXT_SETTINGS,
    epilog="""\b
Examples:
  eventsource-operator run --namespace team-a --namespace team-b
  eventsource-operator run --all-namespaces --argo-server https://argo-server.argo:2746 --log-format json
  EVENTSOURCE_OPERATOR_ALL_NAMESPACES=true eventsource-operator run --no-leader-elect --context kind

Each flag can also be given as the variable in brackets; the flag goes first. A list in a variable is separated
by commas. What the ConfigMap labelled eventsource-operator.dev/config=true says goes before both.""",
)
@click.option(
    "-A",
    "--all-namespaces",
    "all_namespaces",
    is_flag=True,
    default=None,
    help="Serve the EventSources of every namespace. [EVENTSOURCE_OPERATOR_ALL_NAMESPACES]",
)
@click.option(
    "--leader-elect/--no-leader-elect",
    default=None,
    help="Wait for the Lease before doing anything. Default: yes. [EVENTSOURCE_OPERATOR_LEADER_ELECT]",
)
@_options
def run(**flags: Any) -> None:
    """Run the operator until SIGTERM or SIGINT."""
    given = {name: value for name, value in flags.items() if value not in (None, ())}
    try:
        settings = Settings.from_env(process_environment(), **given)
    except SettingsError as error:
        raise CannotError(one_line(str(error))) from error
    # The composition root pulls in Kopf: the other commands, and wrong flags, do without.
    from eventsource_operator.app import StartupError, run_operator  # noqa: PLC0415

    try:
        code = run_operator(settings)
    except StartupError as error:
        raise CannotError(one_line(str(error))) from error
    raise SystemExit(code)
