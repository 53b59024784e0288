"""`check`: what an EventSource would do. The whole way of a change but its last step: nothing is sent."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from eventsource_operator.api.eventsource import ChangeType, EventSource, SpecError, parse_event_source
from eventsource_operator.cli.cluster import (
    SOURCES,
    cluster_options,
    connected,
    own_namespace,
    run_async,
    settings_of,
)
from eventsource_operator.cli.lazy import CONTEXT_SETTINGS
from eventsource_operator.cli.listeners import listeners
from eventsource_operator.cli.manifests import Document, ManifestError, read_event_sources, read_file
from eventsource_operator.cli.output import FORMATS, CannotError, WrongError, one_line, print_data
from eventsource_operator.cli.preview import Wish, preview
from eventsource_operator.cli.show import show
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.settings import Settings
from eventsource_operator.sources.plan import compile_spec

_LIVE = re.compile(r"(?P<namespace>[a-z0-9][a-z0-9-]{0,62})/(?P<name>[a-z0-9][-a-z0-9.]{0,252})")
_FILE = re.compile(r".*\.(ya?ml|json)", re.IGNORECASE)
_SHOWN = 20


@click.command(
    context_settings=CONTEXT_SETTINGS,
    epilog="""\b
Examples:
  eventsource-operator check app-config.yaml
  eventsource-operator check --offline app-config.yaml
  helm template shop | eventsource-operator check -
  eventsource-operator check team-a/app-config --object team-a/app --show-body
  eventsource-operator check team-a/app-config -o json

Exit codes: 0 valid, 1 something is wrong with the EventSource, 2 it could not be checked.""",
)
@click.argument("what", metavar="FILE|-|NAMESPACE/NAME")
@click.option("--offline", is_flag=True, help="Only validate; ask no cluster.")
@click.option("-n", "--namespace", metavar="NS", help="For objects that name none. Default: the context's.")
@click.option("--object", "only", metavar="NS/NAME", help="Say why this object matches or does not.")
@click.option(
    "--change",
    type=click.Choice([each.value for each in ChangeType], case_sensitive=False),
    help="What is supposed to happen. Default: Modified where the target asks for it.",
)
@click.option("--show-body", is_flag=True, help="Show the body of each event.")
@click.option(
    "--limit",
    type=click.IntRange(0),
    help=f"Events shown per target; 0 for all. Default: {_SHOWN} in tables.",
)
@click.option("--no-bindings", is_flag=True, help="Do not ask the Argo Server who listens.")
@click.option(
    "--argo-server",
    metavar="URL",
    envvar=["EVENTSOURCE_OPERATOR_ARGO_SERVER", "ARGO_SERVER"],
    help="The operator's default server. [EVENTSOURCE_OPERATOR_ARGO_SERVER, ARGO_SERVER]",
)
@click.option("--allow-server", "allow_servers", metavar="URL", multiple=True, help="As of run. Repeatable.")
@click.option(
    "--argo-token-file",
    metavar="FILE",
    help="Token for the default server. Default: ARGO_TOKEN, else the kubeconfig user's.",
)
@click.option("--argo-ca-file", metavar="FILE", help="CA bundle for the default server.")
@click.option("--argo-token", hidden=True, envvar="ARGO_TOKEN")
@cluster_options
@click.option("-o", "--output", type=FORMATS, default="table", show_default=True)
def check(
    what: str, offline: bool, no_bindings: bool, argo_token: str | None, output: str, **flags: Any
) -> None:
    """Show what an EventSource would do.

    Validates it, lists the objects that its targets match and the event that each would send, and the
    bindings that listen. FILE may hold several documents; - reads standard input.
    """
    wish = Wish(
        ChangeType(flags.pop("change")) if flags["change"] else flags.pop("change"),
        _limit(flags.pop("limit"), output),
        flags.pop("show_body"),
        _object(flags.pop("only")),
    )
    namespace = flags.pop("namespace")
    settings = settings_of(**flags)
    live = _live(what, namespace)
    if live is not None and offline:
        raise CannotError("--offline: a live source cannot be checked without its cluster; give a file")
    if live is None:
        context = namespace or ("default" if offline else own_namespace(settings))
        documents, others = _read(what, context)
    else:
        documents, others = [run_async(_fetch(settings, *live))], 0
    reports = [_validated(document) for document in documents]
    valid = [
        (document.source, report)
        for document, report in zip(documents, reports, strict=True)
        if report["valid"]
    ]
    if valid and not offline:
        run_async(_ask(settings, wish, valid, None if no_bindings else (argo_token,)))
    _tell(reports, others, output)


def _limit(given: int | None, output: str) -> int:
    return (_SHOWN if output == "table" else 0) if given is None else given


def _object(given: str | None) -> str:
    if given is not None and not re.fullmatch(r"(?:[^/\s]*/)?[^/\s]+", given):
        raise CannotError("--object: must be NAMESPACE/NAME, or NAME of an object without a namespace")
    return (given or "").lstrip("/")


def _live(what: str, namespace: str | None) -> tuple[str, str] | None:
    """The live source that is meant; a file of that name goes first."""
    if what == "-" or Path(what).exists():
        return None
    found = _LIVE.fullmatch(what)
    if found and not _FILE.fullmatch(what):
        return found["namespace"], found["name"]
    if namespace and re.fullmatch(r"[a-z0-9][-a-z0-9.]*", what) and not _FILE.fullmatch(what):
        return namespace, what
    raise CannotError(one_line(f"{what}: no such file; a live source is called NAMESPACE/NAME"))


def _read(name: str, namespace: str) -> tuple[list[Document], int]:
    shown = "standard input" if name == "-" else name
    try:
        content = read_file(name)
    except ManifestError as error:
        raise CannotError(one_line(str(error))) from error
    try:
        documents, others = read_event_sources(content, shown, namespace)
    except ManifestError as error:
        raise WrongError(one_line(str(error))) from error
    if not documents:
        raise WrongError(one_line(f"{shown}: holds no EventSource ({others} other objects)"))
    return [each._replace(where=f"{shown}: {each.where}") for each in documents], others


async def _fetch(settings: Settings, namespace: str, name: str) -> Document:
    async with connected(settings) as client:
        raw = await client.request("GET", SOURCES.path(namespace, name))
    where = f"{namespace}/{name}"
    try:
        return Document(where, parse_event_source(raw), None)
    except SpecError as error:
        return Document(where, None, error)


def _validated(document: Document) -> dict[str, Any]:
    """Parsed and compiled: all that can be said without a cluster."""
    source, error = document.source, document.error
    if source is not None:
        try:
            compile_spec(source)
        except SpecError as failure:
            error = failure
    report: dict[str, Any] = {"where": document.where, "source": None, "valid": error is None, "problems": []}
    if source is not None:
        event = source.spec.event
        report["source"] = f"{source.namespace}/{source.name}"
        report["sendsTo"] = source.event_namespace or "*"
        report["discriminator"] = event.discriminator
    if error is not None:
        report["problems"] = [str(error)]
        report["field"] = error.field
    return report


async def _ask(
    settings: Settings,
    wish: Wish,
    valid: list[tuple[EventSource | None, dict[str, Any]]],
    ask: tuple[str | None] | None,
) -> None:
    async with connected(settings) as client:
        for source, report in valid:
            if source is not None:
                await _ask_one(settings, wish, source, report, client, ask)


async def _ask_one(
    settings: Settings, wish: Wish, source: EventSource, report: dict[str, Any], client: KubeClient,
    ask: tuple[str | None] | None,
) -> None:  # fmt: skip
    report |= await preview(source, compile_spec(source), wish, client, settings)
    if wish.only and all(target.get("tests") is None for target in report["targets"]):
        report["problems"].append(f"no target watches a kind of which {wish.only} is an object")
    if ask is not None:
        report["bindings"] = found = await listeners(source, client, settings, ask[0])
        if found["error"]:
            report["problems"].append(f"bindings: {found['error']}")


def _tell(reports: list[dict[str, Any]], others: int, output: str) -> None:
    failed = any(report["problems"] for report in reports)
    if output == "table":
        show(reports, others)
    else:
        print_data({"items": reports}, output)
    if failed:
        raise SystemExit(1)
