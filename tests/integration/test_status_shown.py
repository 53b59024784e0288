"""What `kubectl get`, `kubectl wait` and `kubectl evs tail` show of sources, and how soon."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from tests.support.controlplane import wait_for
from tests.support.running_operator import SOURCES, Operator, Team
from tests.support.sink import Sink
from tools.controlplane.plane import ControlPlane

GOLDEN = Path(__file__).parent / "golden"
SOON = 3.0
"""Seconds within which kubectl wait has to return; statuses are written 2 s apart."""
TAIL_SECONDS = 1.0
QUIET_SECONDS = 2.5
"""Without a change for so long, the next one is told at once."""
TRIES = 3
"""A busy machine may be late once; a product that is late is late each time."""
PATIENCE = 30.0
START_SECONDS = 60.0
"""A busy machine may take half a minute for the start of the operator alone."""
MISSING = "AnyoneThere"


def binding(team: Team) -> dict[str, object]:
    return {"metadata": {"name": "listens", "namespace": team.name}, "spec": {}}


@pytest.fixture(scope="module")
def shown(plane: ControlPlane, sink: Sink, operator: Operator) -> Iterator[Team]:  # noqa: ARG001 - it runs
    """Four sources: one that delivered, one that is broken, one that is suspended, one that never delivered."""
    team = Team(plane, "shown")
    sink.bindings[team.name] = [binding(team)]
    team.source("ready", {"watch": [{"names": ["app"]}, {"names": ["other"]}]}, ready=False)
    team.source("broken", {"watch": [{"names": ["nothing"]}, {"kind": MISSING}]}, ready=False)
    team.source("suspended", {"watch": [{"names": ["app"]}], "suspend": True}, ready=False)
    team.source("fresh", {"watch": [{"names": ["nothing"]}], "event": {"discriminator": "d"}}, ready=False)
    for name, status in (("ready", "True"), ("broken", "False"), ("suspended", "True"), ("fresh", "True")):
        team.until(name, "Watching", status, timeout=START_SECONDS)
    team.put("app", {})
    sink.wait(f"{team.name}/ready", 1)
    yield team
    team.end()


def table(text: str) -> list[list[str]]:
    """Rows of cells: a column begins where its title does."""
    lines = text.splitlines()
    starts = [found.start() for found in re.finditer(r"\S+", lines[0])]
    ends = [*starts[1:], None]
    return [[line[a:b].strip() for a, b in zip(starts, ends, strict=True)] for line in lines]


def normal(text: str, team: Team, server: str) -> str:
    """The table with each age as `<age>`, the server as `<server>`, in columns of the widths that follow."""
    rows = table(text)
    for row in rows[1:]:
        for at, title in enumerate(rows[0]):
            if title in {"LAST", "AGE"} and re.fullmatch(r"(\d+[smhd])+", row[at]):
                row[at] = "<age>"
            row[at] = row[at].replace(server, "<server>").replace(team.name, "<namespace>")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["   ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(("options", "golden"), [((), "get_evs.txt"), (("-o", "wide"), "get_evs_wide.txt")])
def test_printer_columns(shown: Team, sink: Sink, options: tuple[str, ...], golden: str) -> None:
    """Compared with a file; to renew it, look at the difference, then copy what the failed test prints."""
    expected = (GOLDEN / golden).read_text("utf-8")

    def printed() -> str:
        return normal(shown.plane.kubectl("-n", shown.name, "get", "evs", *options), shown, sink.url)

    wait_for(lambda: printed() == expected, PATIENCE, golden, printed)


class Waiting:
    """`kubectl wait` in the background; `returned` is when it ended, in monotonic seconds."""

    def __init__(self, team: Team, name: str, what: str) -> None:
        self.returned = 0.0
        self._plane = team.plane
        self._command = (
            "-n",
            team.name,
            "wait",
            f"--for={what}",
            f"evs/{name}",
            f"--timeout={PATIENCE:.0f}s",
        )
        self._thread = Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        self._plane.kubectl(*self._command)
        self.returned = time.monotonic()

    def seconds_since(self, fact: float) -> float:
        """How long after the fact it returned."""
        self._thread.join(PATIENCE)
        assert self.returned, "kubectl wait did not return"
        assert self.returned > fact, "it returned before the fact"
        return self.returned - fact


def within(bound: float, measure: Callable[[int], float]) -> None:
    """One of a few tries takes less than the bound, in seconds."""
    took: list[float] = []
    while len(took) < TRIES and not (took and took[-1] < bound):
        took.append(measure(len(took)))
    assert took[-1] < bound, took


def test_wait_for_ready(shown: Team) -> None:
    """From the correction of a spec that was wrong."""
    shown.source("wrong", {"watch": [{"condition": "a =="}]}, ready=False)

    def measure(number: int) -> float:
        shown.edit_source("wrong", {"watch": [{"names": ["w"], "condition": "a =="}]})
        shown.until("wrong", "Ready", "False")
        waiting = Waiting(shown, "wrong", "condition=Ready")
        fact = time.monotonic()
        shown.edit_source("wrong", {"watch": [{"names": [f"w-{number}"], "condition": "true"}]})
        return waiting.seconds_since(fact)

    within(SOON, measure)


def test_wait_for_bound(shown: Team, sink: Sink) -> None:
    """From the list, asked for with each resync, in which the binding is there for the first time."""
    spec = {"watch": [{"names": ["b"]}], "bindings": {"resyncSeconds": 5, "labelSelector": "own=list"}}

    def measure(number: int) -> float:
        sink.bindings[shown.name] = []
        name = f"bound-{number}"
        shown.source(name, spec)
        shown.until(name, "Bound", "False")
        waiting = Waiting(shown, name, "condition=Bound")
        sink.bindings[shown.name] = [binding(shown)]
        made = time.monotonic()
        wait_for(lambda: [at for _, at in sink.listings if at > made], PATIENCE, "the next list")
        fact = next(at for namespace, at in sink.listings if at > made and namespace == shown.name)
        seconds = waiting.seconds_since(fact)
        shown.delete_source(name)
        return seconds

    within(SOON, measure)
    sink.bindings[shown.name] = [binding(shown)]


def test_wait_for_a_path(shown: Team, sink: Sink) -> None:
    """From the arrival of an event at the server."""
    full = f"{shown.name}/paths"
    shown.source("paths", {"watch": [{"names": ["path"]}]})

    def measure(number: int) -> float:
        waiting = Waiting(shown, "paths", f"jsonpath={{.status.deliveries.delivered}}={number + 1}")
        if number:
            shown.patch("path", {"data": {"n": str(number)}})
        else:
            shown.put("path", {})
        return waiting.seconds_since(sink.wait(full, number + 1)[-1].at)

    within(SOON, measure)


def test_tail_shows_an_event_within_a_second(shown: Team, sink: Sink) -> None:
    """`kubectl evs tail` as a process, from the change to its line."""
    shown.source("tailed", {"watch": [{"names": ["tailed"]}]})
    shown.put("tailed", {})
    command = [sys.executable, "-c", "from eventsource_operator.cli.evs import main; main()"]
    command += ["-n", shown.name, "tail", "tailed", "-o", "json"]
    environment = shown.plane.environment() | {"KUBECONFIG": str(shown.plane.kubeconfig)}
    lines: list[tuple[float, dict[str, str]]] = []

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as tail:
        assert tail.stdout is not None
        output = tail.stdout

        def read() -> None:
            lines.extend((time.monotonic(), json.loads(line)) for line in output)

        reader = Thread(target=read, daemon=True)
        reader.start()
        changes = 0

        def change() -> float:
            nonlocal changes
            changes += 1
            shown.patch("tailed", {"data": {"n": str(changes)}})
            return time.monotonic()

        def follows() -> bool:
            change()
            return bool(lines)

        try:
            wait_for(follows, PATIENCE, "tail follows")

            def measure(_number: int) -> float:
                last = sink.of(f"{shown.name}/tailed")[-1].at
                wait_for(lambda: time.monotonic() - last > QUIET_SECONDS, PATIENCE, "quiet")
                before = len(lines)
                changed = change()
                wait_for(lambda: len(lines) > before, PATIENCE, "the next line", lambda: lines)
                arrived, line = lines[-1]
                request = sink.of(f"{shown.name}/tailed")[-1]
                assert (line["result"], line["resource"]) == ("delivered", f"ConfigMap {shown.name}/tailed")
                assert line["id"] == request.body["id"]
                return arrived - changed

            within(TAIL_SECONDS, measure)
        finally:
            tail.terminate()
            reader.join(PATIENCE)


def test_what_waits_is_shown_although_nothing_else_happens(shown: Team, operator: Operator) -> None:
    """In the status and as a metric, long before the next resync: a source that is suspended delivers nothing."""
    for number in range(TRIES + 1):
        shown.put(f"w-{number}", {})
    shown.source("waits", {"watch": [{"names": ["w-*"]}], "suspend": True}, ready=False)
    shown.until("waits", "Watching", "True")
    path = f"{SOURCES}/namespaces/{shown.name}/eventsources/waits"

    def pending() -> int:
        status = shown.plane.api.request("GET", path)["status"]
        return int(status["deliveries"].get("pending", 0))

    def measure(number: int) -> float:
        fact = time.monotonic()
        shown.patch(
            f"w-{number}", {"data": {"n": "1"}}
        )  # of a known object: nothing to store until it is sent
        wait_for(lambda: pending() == number + 1, PATIENCE, "what waits in the status", operator.tail)
        return time.monotonic() - fact

    measure(0)  # its own beginning may have told of this one
    within(2 * SOON, lambda number: measure(number + 1))
    assert re.search(rf'_pending{{source="{shown.name}/waits"}} [2-4]\.0', operator.metrics())
