"""The command `eventsource-operator`: which commands there are, and what `version` says."""

from __future__ import annotations

import json
import platform
from importlib import metadata

import click

from eventsource_operator import __version__
from eventsource_operator.cli.lazy import CONTEXT_SETTINGS, Lazy, LazyGroup

_HERE = "eventsource_operator.cli"
_COMMANDS = {
    "run": Lazy(f"{_HERE}.run", "run", "Run the operator."),
    "check": Lazy(f"{_HERE}.check", "check", "Show what an EventSource would do; nothing is sent."),
    "send": Lazy(f"{_HERE}.send", "send", "Send an event by hand."),
    "bindings": Lazy(f"{_HERE}.bindings", "bindings", "List the WorkflowEventBindings of a namespace."),
}
_PARTS = ("kopf", "kubernetes", "aiohttp", "common-expression-language")


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings=CONTEXT_SETTINGS,
    epilog="""\b
Examples:
  eventsource-operator run --all-namespaces --argo-server https://argo-server.argo:2746
  eventsource-operator check app-config.yaml
  eventsource-operator check team-a/app-config --object team-a/app
  eventsource-operator send argo '{"message": "hello"}'
  eventsource-operator bindings argo

\b
Exit codes: 0 all is well, 1 something is wrong with what was asked about, 2 the command could not be carried out.
Shell completion: eval "$(_EVENTSOURCE_OPERATOR_COMPLETE=bash_source eventsource-operator)"; zsh_source and
fish_source work alike.""",
)
@click.version_option(
    __version__, "--version", prog_name="eventsource-operator", message="%(prog)s %(version)s"
)
def cli() -> None:
    """Turn changes of Kubernetes objects into Argo Workflows events."""


@cli.command(
    epilog="""\b
Examples:
  eventsource-operator version
  eventsource-operator version -o json"""
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def version(output: str) -> None:
    """Show the version; as JSON also those of Python and of what the operator is built on."""
    if output == "text":
        click.echo(f"eventsource-operator {__version__}")
        return
    parts = {name: metadata.version(name) for name in _PARTS}
    click.echo(
        json.dumps({"version": __version__, "python": platform.python_version(), "dependencies": parts})
    )
