"""What is shown and written: a table on the terminal, JSON, and the tables and plots of the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tools.bench.growth import series
from tools.bench.plot import line_chart
from tools.controlplane.pins import CHECKOUT

DOCS = CHECKOUT / "docs"
BEGIN, END = "<!-- begin: printed by ./dev bench --docs -->", "<!-- end -->"
_PLOTS = (
    (
        "objects",
        "resident MiB",
        "Memory against watched objects",
        "ConfigMaps of 1 KiB, one EventSource",
        "MiB",
    ),
    ("sources", "resident MiB", "Memory against EventSources", "EventSources, 1,000 ConfigMaps", "MiB"),
    (
        "objects",
        "CPU ms per change",
        "Processor time of a change",
        "ConfigMaps of 1 KiB, one EventSource",
        "ms",
    ),
    ("objects", "start to first delivery s", "Restart", "ConfigMaps of 1 KiB, one EventSource", "s"),
)


def save(report: Mapping[str, Any], path: Path) -> None:
    """As JSON."""
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def failed(report: Mapping[str, Any]) -> list[str]:
    """Why the run as a whole has failed: loss, duplicates, or the operator itself could not be measured."""
    found: list[str] = []
    for name, one in report["results"].items():
        found += one["faults"]
        found += [f"{name}: {error}" for error in one["errors"]]
    return found


def show(name: str, one: Mapping[str, Any]) -> None:
    """A table of one benchmark, and its targets."""
    from rich.console import Console  # noqa: PLC0415 - only when there is something to show
    from rich.table import Table  # noqa: PLC0415

    console = Console(width=max(120, 40 + 24 * len(one["peers"])), highlight=False, soft_wrap=True)
    quick = " (small sizes)" if one["quick"] else ""
    table = Table(title=f"{name}: {one['what']}{quick}", title_justify="left")
    table.add_column("figure")
    for peer in one["peers"]:
        table.add_column(peer, justify="right")
    for key, cells in _rows(one):
        table.add_row(key, *cells)
    console.print(table)
    for verdict in one["targets"]:
        console.print(f"  {_met(verdict)}: {verdict['target']}: {_value(verdict)}")
    for key, value in one["notes"].items():
        console.print(f"  {key}: {value}")
    console.print(f"  before it, {one['busy']:g} % of the machine was in use by others")
    for text in [*one["faults"], *one["errors"]]:
        console.print(f"  FAILED {text}", markup=False)


def _rows(one: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    peers = one["peers"]
    keys = dict.fromkeys(key for figures in peers.values() for key in figures)
    for key in keys:
        cells = []
        mine = peers.get("operator", {}).get(key)
        for peer, figures in peers.items():
            found = figures.get(key)
            if found is None:
                cells.append("-")
                continue
            text = f"{found['median']:g}"
            if found["min"] != found["max"]:
                text += f" ({found['min']:g}-{found['max']:g})"
            if peer != "operator" and mine is not None and mine["median"] and found["median"]:
                text += f" = {_short(found['median'] / mine['median'])} of ours"
            cells.append(text)
        yield key, cells


def _short(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"  # noqa: PLR2004 - three digits are enough


def _met(verdict: Mapping[str, Any]) -> str:
    return {True: "met", False: "NOT MET", None: "not measured"}[verdict["met"]]


def _value(verdict: Mapping[str, Any]) -> str:
    if verdict["value"] is None:
        return "-"
    ratio = "" if verdict["ratio"] is None else f" = {verdict['ratio']:.2f} of {verdict['bound']:g}"
    return f"{verdict['value']:g}{ratio}"


# --------------------------------------------------------------------- documentation
def document(report: Mapping[str, Any], docs: Path = DOCS) -> list[Path]:
    """Writes the figures into the documentation, and the few that sum it up into the README beside it.

    Returns the files.
    """
    written = [docs / "benchmarks.md", docs / "limits.md", docs.parent / "README.md"]
    charts = list(plots(report, docs))
    pictures = [f"\n![{path.stem.replace('-', ' ')}]({path.name})" for path in charts]
    replace_block(written[0], "\n".join([*_benchmarks(report), *pictures]))
    replace_block(written[1], "\n".join(_limits(report)))
    replace_block(written[2], "\n".join(_front(report)))
    return written + charts


def replace_block(path: Path, text: str) -> None:
    """Replaces what stands between the two marks.

    Raises:
        ValueError: the file does not have both marks, once each.
    """
    before, begin, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after:
        raise ValueError(f"{path} must have {BEGIN!r} and {END!r}, once each")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def plots(report: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """Charts of the growth, where it was measured."""
    found = _growth(report)
    for unit, figure, title, x_label, y_label in _PLOTS:
        points = series(found, unit, figure)
        if points:
            name = f"benchmarks-{figure.split()[0].lower()}-{unit}.svg"
            path = folder / name
            path.write_text(line_chart(title, x_label, y_label, points), encoding="utf-8")
            yield path


def _growth(report: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    one = report["results"].get("growth", {"rounds": {}})
    return {name: rounds[0] for name, rounds in one["rounds"].items()}


def _benchmarks(report: Mapping[str, Any]) -> Iterator[str]:
    machine = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    yield (
        f"Measured {report['date']} on {machine['cores']} cores ({machine['processor']}), {machine['memory']}, kernel "
        f"{machine['kernel']}, Python {machine['python']}. {versions}."
    )
    yield "Medians of the rounds, least and most in brackets; what a peer reached is also told as a multiple of ours."
    yield ""
    yield "| | target | reached | |\n|---|---|---|---|"
    for name, one in report["results"].items():
        for verdict in one["targets"]:
            yield f"| {name} | {verdict['target']} | {_value(verdict)} | {_met(verdict)} |"
    for name, one in report["results"].items():
        rounds = max((len(each) for each in one["rounds"].values()), default=0)
        yield f"\n### {name}: {one['what']}\n"
        small = "small sizes, not those of the title; " if one["quick"] else ""
        yield f"{small}{rounds} round(s); before it {one['busy']:g} % of the machine was in use by others.\n"
        yield f"| | {' | '.join(one['peers'])} |\n|---|{'---:|' * len(one['peers'])}"
        for key, cells in _rows(one):
            yield f"| {key} | {' | '.join(cells)} |"
        for key, value in one["notes"].items():
            yield f"\n{key}: {value}"
        for text in [*one["faults"], *one["errors"]]:
            yield f"\nFailed: {text.splitlines()[0]}"


_LIMITS = (
    ("B3", "operator", "per second", "events/s to a server that takes 100 ms for each"),
    ("B4", "operator", "per second", "events/s that each create a Workflow, through argo-server"),
    (
        "B4",
        "bare",
        "per second",
        "the same, from a bare client that saturates argo-server: the server's own limit",
    ),
    ("B2", "operator", "per second", "events/s in a burst, to a server that answers at once"),
    ("B2", "operator", "CPU ms per change", "ms of processor time for a change in that burst"),
    ("B5", "operator", "resident MiB", "MiB with 10,000 ConfigMaps of 1 KiB"),
    ("B5", "operator", "start to first delivery s", "s from the start to the first delivery with them"),
    ("B6", "operator", "CPU % of a core", "% of a core for 1,000 EventSources when nothing changes"),
    ("B6", "operator", "resident MiB", "MiB with them"),
    ("B6", "operator", "first start to all Ready s", "s until all of them are Ready for the first time"),
    ("B6", "operator", "open watches", "watches for them"),
    (
        "idle",
        "operator",
        "CPU % of a core",
        "% of a core for 100 EventSources on 10,000 ConfigMaps when nothing changes",
    ),
    ("growth", "50000 objects", "resident MiB", "MiB with 50,000 ConfigMaps of 1 KiB"),
    (
        "growth",
        "50000 objects",
        "start to first delivery s",
        "s from the start to the first delivery with them",
    ),
    ("growth", "1000 sources", "resident MiB", "MiB with 1,000 EventSources of one object each"),
    ("growth", "growth", "bytes of memory per object", "bytes of memory for each further object"),
    ("growth", "growth", "bytes of memory per source", "bytes of memory for each further EventSource"),
)


def _median(report: Mapping[str, Any], name: str, peer: str, figure: str) -> str:
    """As text; empty where it was not measured."""
    found = report["results"].get(name, {}).get("peers", {}).get(peer, {}).get(figure)
    return "" if found is None else f"{found['median']:g}"


def _limits(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"Measured {report['date']}, {report['machine']['cores']} cores.\n"
    yield "| | | from |\n|---:|---|---|"
    for name, peer, figure, text in _LIMITS:
        found = _median(report, name, peer, figure)
        if found:
            yield f"| {found} | {text} | `./dev bench {name}` |"


_FRONT = (
    ("B1", "p50 ms", "ms from a change to its event, the median at 50 changes a second"),
    ("B1", "p99 ms", "the same, for 99 of 100"),
    ("B2", "CPU ms per change", "ms of processor time for a change, in a burst of 1,000"),
    ("B3", "per second", "events a second to a server that takes 100 ms for each"),
    ("B1", "resident MiB", "MiB of memory with 50 objects"),
    ("B5", "resident MiB", "MiB of memory with 10,000 objects"),
    ("B4", "per second", "Workflows a second through the real argo-server"),
)
_FRONT_PEERS = {
    "operator": "this operator", "knative": "Knative's adapter", "naive": "15 lines of Kopf",
    "bare": "a client that only sends",
}  # fmt: skip


def _front(report: Mapping[str, Any]) -> Iterator[str]:
    """The few figures that sum it up."""
    yield f"Measured {report['date']}, {report['machine']['cores']} cores.\n"
    yield f"| | {' | '.join(_FRONT_PEERS.values())} |\n|---|{'---:|' * len(_FRONT_PEERS)}"
    for name, figure, text in _FRONT:
        if _median(report, name, "operator", figure):
            cells = [_median(report, name, peer, figure) for peer in _FRONT_PEERS]
            yield f"| {text} | {' | '.join(cells)} |"
