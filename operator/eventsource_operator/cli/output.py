"""What commands print: tables for people, JSON and YAML for scripts, one line for what went wrong.

Cells come from clusters and files; they are made printable here, in one place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click
import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eventsource_operator.core.text import clean

FORMATS = click.Choice(["table", "json", "yaml"])
_GAP = "   "
_COLOURS = {"True": "green", "yes": "green", "False": "red", "no": "red", "Unknown": "yellow"}


class CannotError(click.ClickException):
    """The command could not be carried out: wrong flags, no such file, no way to the cluster."""

    exit_code = 2


class WrongError(click.ClickException):
    """The command was carried out, and what was asked about is wrong."""

    exit_code = 1


def one_line(text: str) -> str:
    """A message, printable and on one line."""
    return clean(text, 2000)


def print_data(value: Any, output: str) -> None:
    """A value as JSON or YAML; both are plain ASCII, so that nothing in it reaches a terminal."""
    if output == "json":
        click.echo(json.dumps(value))
    else:
        click.echo(yaml.safe_dump(value, sort_keys=False, default_flow_style=False), nl=False)


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table without lines: folded to the terminal's width there, in columns of one width elsewhere."""
    cells = [[clean(str(cell), 500) for cell in row] for row in rows]
    console = Console()
    if console.is_terminal:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in titles:  # an id is there to be copied: on one line
            table.add_column(title, overflow="fold", no_wrap=title.endswith(" ID"))
        for row in cells:
            table.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
        console.print(table)
        return
    widths = widths_of([list(titles), *cells])
    for row in ([*titles], *cells):
        click.echo(aligned(row, widths))


def widths_of(rows: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """One row in columns of these widths."""
    return _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def say(text: str) -> None:
    """A line that is no data, to standard error."""
    click.echo(clean(text, 2000), err=True)
