"""The kubectl plugin `kubectl evs`: EventSources as people look at them.

The module is long because the verbs share one way of naming sources, and each is only a few lines beyond it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from eventsource_operator.api.eventsource import REPLAY_ANNOTATION
from eventsource_operator.api.status import DeliveriesStatus
from eventsource_operator.cli.check import check
from eventsource_operator.cli.cluster import (
    SOURCES,
    cluster_options,
    connected,
    own_namespace,
    run_async,
    settings_of,
)
from eventsource_operator.cli.deliveries import Line, new_lines
from eventsource_operator.cli.follow import changes, sources, status_of
from eventsource_operator.cli.lazy import CONTEXT_SETTINGS
from eventsource_operator.cli.output import (
    FORMATS,
    CannotError,
    WrongError,
    aligned,
    one_line,
    print_data,
    print_table,
    say,
    widths_of,
)
from eventsource_operator.core.text import clean, in_namespace
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.settings import Settings

_TITLES = (
    "NAMESPACE",
    "NAME",
    "READY",
    "REASON",
    "WATCHES",
    "BINDINGS",
    "DELIVERED",
    "FAILED",
    "PENDING",
    "LAST",
    "AGE",
)
_REPLAY = re.compile(r"failed|[0-9a-f]{32}|[A-Z][A-Za-z0-9]{0,62}(?:/[a-z0-9][-a-z0-9]{0,62})?/[^/\s]{1,253}")
_POLL = 0.25
"""Seconds between looks whether a replay was taken."""

C = TypeVar("C", bound=Callable[..., Any])


def _place(command: C) -> C:
    """Add `-n` and `-A`."""
    for option in (
        click.option("-A", "--all-namespaces", is_flag=True, help="Those of every namespace."),
        click.option("-n", "--namespace", metavar="NS", help="Default: the context's."),
    ):
        command = option(command)
    return command


@click.group(
    context_settings=CONTEXT_SETTINGS,
    epilog="""\b
Examples:
  kubectl evs status -A
  kubectl evs status app-config -n team-a -w
  kubectl evs tail
  kubectl evs check app-config.yaml
  kubectl evs replay app-config failed -n team-a

Where to look can be said before the command or after it: kubectl evs -n team-a status is the same as
kubectl evs status -n team-a.

\b
Shell completion: eval "$(_KUBECTL_EVS_COMPLETE=bash_source kubectl-evs)"; zsh_source and fish_source work alike.""",
)
@_place
@cluster_options
@click.pass_context
def cli(ctx: click.Context, /, **flags: Any) -> None:
    """Look at EventSources, follow their deliveries, send again what failed."""
    given = {name: value for name, value in flags.items() if value not in (None, False)}
    command = cli.get_command(ctx, ctx.invoked_subcommand or "")
    if command is None:
        return
    known = {parameter.name for parameter in command.params}
    for name in given:
        if name not in known:
            flag = f"--{name.replace('_', '-')}"
            raise CannotError(
                f"{flag}: {ctx.invoked_subcommand} looks into one namespace; give -n or nothing"
            )
    ctx.default_map = {str(ctx.invoked_subcommand): given}


def main() -> None:
    """Run the plugin; ends the process with its exit code."""
    cli(prog_name="kubectl evs")


cli.add_command(check)


def _where(settings: Settings, namespace: str | None, all_namespaces: bool, name: str | None) -> str | None:
    """The namespace to look in; None for all."""
    if all_namespaces and (namespace or name):
        raise CannotError("--all-namespaces: cannot be combined with --namespace or NAME; give one of them")
    if all_namespaces:
        return None
    if namespace == "":
        raise CannotError("--namespace: must not be empty; --all-namespaces looks everywhere")
    return namespace or own_namespace(settings)


@cli.command(
    epilog="""\b
Examples:
  kubectl evs status
  kubectl evs status app-config -n team-a
  kubectl evs status -A -w
  kubectl evs status -A -o json"""
)
@click.argument("name", required=False)
@_place
@click.option("-w", "--watch", is_flag=True, help="Show each change, until interrupted.")
@click.option("-o", "--output", type=FORMATS, default="table", show_default=True)
@cluster_options
def status(
    name: str | None, namespace: str | None, all_namespaces: bool, watch: bool, output: str, **flags: Any
) -> None:
    """Show EventSources with what is wrong with them; of one NAME all conditions.

    Exit code 1 when NAME does not exist. Whether a source is Ready does not change the exit code; kubectl wait
    is made for that.
    """
    settings = settings_of(**flags)
    where = _where(settings, namespace, all_namespaces, name)
    run_async(_status(settings, where, name, watch, output))


async def _status(settings: Settings, where: str | None, name: str | None, watch: bool, output: str) -> None:
    async with connected(settings) as client:
        found, version = await sources(client, where, name)
        if name and not found:
            raise WrongError(one_line(f"there is no EventSource {where}/{name}"))
        if output == "table":
            _show(found, name, where)
        elif watch:
            for obj in found:
                _print_one(obj, output)
        else:
            print_data(found[0] if name else {"items": found}, output)
        if not watch:
            return
        widths = widths_of([_TITLES, *(_row(obj) for obj in found)])
        shown = {obj["metadata"]["uid"]: _row(obj) for obj in found}
        async for kind, obj in changes(client, where, name, version):
            row = _row(obj) if kind != "DELETED" else (*_row(obj)[:2], "deleted", *[""] * 8)
            if output != "table":
                _print_one(obj, output)
            elif shown.get(obj["metadata"]["uid"], ())[:9] != row[:9]:  # ages are no change
                shown[obj["metadata"]["uid"]] = row
                click.echo(aligned(row, widths))


def _print_one(obj: dict[str, Any], output: str) -> None:
    if output == "yaml":
        click.echo("---")
    print_data(obj, output)


def _show(found: list[dict[str, Any]], name: str | None, where: str | None) -> None:
    if not found:
        say(f"No EventSources {in_namespace(where) if where else 'in any namespace'}.")
        return
    print_table(_TITLES, [_row(obj) for obj in found])
    rows = [
        (
            f"{obj['metadata']['namespace']}/{obj['metadata']['name']}",
            each.type,
            each.status,
            each.reason,
            each.message,
        )
        for obj in found
        for each in status_of(obj).conditions
        if name or each.status != "True"
    ]
    if rows:
        click.echo()
        print_table(("EVENTSOURCE", "CONDITION", "STATUS", "REASON", "MESSAGE"), rows)


def _row(obj: dict[str, Any]) -> tuple[str, ...]:
    meta, told = obj["metadata"], status_of(obj)
    ready = told.condition("Ready")
    live = sum(each.live for each in told.watches)
    sent = told.deliveries
    cells = (
        meta["namespace"],
        meta["name"],
        ready.status if ready else "Unknown",
        ready.reason if ready else "NotSeenYet",
        f"{live}/{len(told.watches)}" if told.watches else "-",
        told.bindings.count if told.bindings else "-",
        sent.delivered,
        sent.failed,
        sent.pending,
        _age(sent.last.time) if sent.last else "-",
        _age(meta.get("creationTimestamp") or ""),
    )
    return tuple(clean(str(cell), 253) for cell in cells)


def _age(time: str) -> str:
    """How long ago, in the largest unit that gives two digits where that is possible."""
    try:
        seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()))
    except (ValueError, TypeError):
        return "-"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


@cli.command(
    epilog="""\b
Examples:
  kubectl evs tail -A
  kubectl evs tail app-config -n team-a -o json"""
)
@click.argument("name", required=False)
@_place
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@cluster_options
def tail(name: str | None, namespace: str | None, all_namespaces: bool, output: str, **flags: Any) -> None:
    """Follow deliveries and failures until interrupted, one line each.

    They are read from the statuses, which name the last delivery every other second: (+N) counts those between.
    """
    settings = settings_of(**flags)
    where = _where(settings, namespace, all_namespaces, name)
    run_async(_tail(settings, where, name, output))


async def _tail(settings: Settings, where: str | None, name: str | None, output: str) -> None:
    async with connected(settings) as client:
        found, version = await sources(client, where, name)
        if name and not found:
            raise WrongError(one_line(f"there is no EventSource {where}/{name}"))
        known = {obj["metadata"]["uid"]: status_of(obj).deliveries for obj in found}
        one = f"{where}/{name}" if name else f"{len(found)} EventSources {in_namespace(where)}"
        say(f"Following {one} until interrupted.")  # from here on nothing is missed
        async for kind, obj in changes(client, where, name, version):
            uid = obj["metadata"]["uid"]
            now = status_of(obj).deliveries
            if kind == "DELETED":
                known.pop(uid, None)
                continue
            for line in new_lines(known.get(uid, DeliveriesStatus()), now):
                _print_line(f"{obj['metadata']['namespace']}/{obj['metadata']['name']}", line, output)
            known[uid] = now


def _print_line(source: str, line: Line, output: str) -> None:
    if output == "json":
        click.echo(json.dumps({"source": source, **line._asdict()}))
        return
    more = f" (+{line.more})" if line.more else ""
    text = f"{line.time} {source} {line.result}{more} {line.type} {line.resource} {line.id} {line.detail}"
    click.secho(one_line(text), fg="red" if line.result == "failed" else None)


@cli.command(
    epilog="""\b
Examples:
  kubectl evs replay app-config failed
  kubectl evs replay app-config 3f9c2a7be2d14c5fa0b1c2d3e4f50617 -n team-a
  kubectl evs replay app-config ConfigMap/team-a/app --wait 10"""
)
@click.argument("name")
@click.argument("what", metavar="EVENT_ID|failed|KIND/NAMESPACE/NAME")
@click.option("-n", "--namespace", metavar="NS", help="Default: the context's.")
@click.option(
    "--wait", type=click.FloatRange(0), default=0, metavar="SECONDS", help="Until the operator took it."
)
@cluster_options
def replay(name: str, what: str, namespace: str | None, wait: float, **flags: Any) -> None:
    """Have the EventSource NAME send again: a failed event, all failed events, or an object as it is now.

    An object without a namespace is called KIND/NAME. The operator tells by a Warning event when it has nothing
    to send.
    """
    if not _REPLAY.fullmatch(what):
        raise CannotError(
            one_line(f"{what}: is neither an event's id (32 hex digits), failed, nor KIND/NAMESPACE/NAME")
        )
    settings = settings_of(**flags)
    where = _where(settings, namespace, all_namespaces=False, name=name) or ""
    run_async(_replay(settings, where, name, what, wait))


async def _replay(settings: Settings, namespace: str, name: str, what: str, wait: float) -> None:
    path = SOURCES.path(namespace, name)
    async with connected(settings) as client:
        waiting = _annotation(await client.request("GET", path))
        if waiting:
            raise WrongError(
                one_line(
                    f"{namespace}/{name}: a replay of {waiting} was not taken yet; is the operator running?"
                )
            )
        patch = {"metadata": {"annotations": {REPLAY_ANNOTATION: what}}}
        await client.request("PATCH", path, body=patch, content_type="application/merge-patch+json")
        if wait and not await _taken(client, path, wait):
            raise WrongError(
                one_line(f"{namespace}/{name}: not taken within {wait:g} s; is the operator running?")
            )
    click.echo(one_line(f"{namespace}/{name}: replay of {what} {'taken' if wait else 'requested'}."))


async def _taken(client: KubeClient, path: str, seconds: float) -> bool:
    """Whether the operator removed the annotation in time: it does so when it begins."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while _annotation(await client.request("GET", path)):
        if loop.time() >= end:
            return False
        await asyncio.sleep(_POLL)
    return True


def _annotation(obj: dict[str, Any]) -> str:
    return str((obj["metadata"].get("annotations") or {}).get(REPLAY_ANNOTATION) or "").strip()
