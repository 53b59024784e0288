"""`eventsource-operator bindings`: list_workflow_event_bindings by hand."""

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eventsource_operator.argo.errors import InvalidArgument
from eventsource_operator.argo.protocol import OnExpired, WorkflowEventBinding
from eventsource_operator.argo.requests_transport import ArgoClient
from eventsource_operator.cli.connection import Connection, connection_options
from eventsource_operator.core.text import clean

_COLUMNS = ("NAMESPACE", "NAME", "SUBMITS", "SELECTOR")


@click.command(
    epilog="""\b
Examples:
  eventsource-operator bindings argo
  eventsource-operator bindings --all-namespaces --selector team=a -o json"""
)
@click.argument("namespace", required=False)
@click.option("-A", "--all-namespaces", is_flag=True, help="Of every namespace; needs cluster-wide rights.")
@click.option("-l", "--selector", default=None, help="Label selector.")
@click.option("--field-selector", default=None, help="Field selector, such as metadata.name=deploy.")
@click.option("--limit", type=int, default=500, show_default=True, help="Bindings per request; 0 for all.")
@click.option(
    "--on-expired",
    type=click.Choice(["restart", "continue"]),
    default="restart",
    show_default=True,
    help="When the listing outlives the server's history.",
)
@connection_options
def bindings(
    connection: Connection,
    namespace: str | None,
    all_namespaces: bool,
    selector: str | None,
    field_selector: str | None,
    limit: int,
    on_expired: OnExpired,
) -> None:
    """List the WorkflowEventBindings of NAMESPACE: what listens to the events sent there."""
    if (namespace is None) != all_namespaces:
        raise InvalidArgument("NAMESPACE", "give one, or --all-namespaces")
    with ArgoClient(connection.config) as client:
        found = list(
            client.list_workflow_event_bindings(
                namespace or "",
                label_selector=selector,
                field_selector=field_selector,
                limit=limit,
                on_expired=on_expired,
            )
        )
    if connection.output == "json":
        click.echo(json.dumps({"items": [binding.raw for binding in found]}))
    elif not found:
        click.echo(f"No bindings in {f'namespace {namespace}' if namespace else 'any namespace'}.", err=True)
    else:
        _show(found)


def _show(found: list[WorkflowEventBinding]) -> None:
    rows = [tuple(map(clean, _row(binding))) for binding in found]
    console = Console()
    if console.is_terminal:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in _COLUMNS:
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
        return
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    for row in (_COLUMNS, *rows):
        click.echo("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _row(binding: WorkflowEventBinding) -> tuple[str, ...]:
    template: Any = binding.template
    kind = "clusterworkflowtemplate" if template and template.cluster_scope else "workflowtemplate"
    submits = f"{kind}/{template.name}" if template else "-"
    return binding.namespace, binding.name, submits, binding.selector or "-"
