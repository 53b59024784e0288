"""The benchmarks: what each does, at which sizes, and what the operator shall reach in it."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.bench import changes, cluster, growth, idle, server
from tools.bench.changes import Changes
from tools.bench.figures import Round, Summary, Target, faults, judge, summary
from tools.bench.idle import Idle
from tools.bench.server import Load
from tools.controlplane.plane import ControlPlane

PEERS = ("operator", "knative", "naive")


def say(text: str) -> None:
    """Progress, for who waits."""
    print(f"  {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


@dataclass(slots=True)
class Result:
    """What a benchmark found: rounds by peer, what went wrong, and notes that are no figures."""

    rounds: dict[str, list[Round]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    def add(self, number: int, peer: str, measure: Callable[..., Round], *arguments: Any) -> None:
        """One round, by calling ``measure``; what fails is told, and the others go on."""
        say(f"{peer}, round {number}")
        try:
            self.rounds.setdefault(peer, []).append(measure(*arguments))
        except Exception as error:  # noqa: BLE001 - one peer's failure must not cost the figures of all others
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.errors.append(f"{peer}, round {number}: {type(error).__name__}: {error} ({last.name})")


Runner = Callable[["Benchmark", Sequence[str], int, bool, Path], Result]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One of them. ``full`` and ``quick`` are its sizes; ``quick`` is for trying it out, not for figures."""

    name: str
    what: str
    targets: tuple[Target, ...]
    full: Any
    quick: Any
    run: Runner
    peers: tuple[str, ...] = PEERS

    def report(self, result: Result) -> dict[str, Any]:
        """For the JSON report."""
        peers: dict[str, Summary] = {peer: summary(rounds) for peer, rounds in result.rounds.items()}
        wrong = [text for peer, rounds in result.rounds.items() for text in faults(self.name, peer, rounds)]
        return {
            "what": self.what,
            "peers": peers,
            "targets": [judge(target, peers).to_dict() for target in self.targets],
            "rounds": result.rounds,
            "faults": wrong,
            "errors": result.errors,
            "notes": result.notes,
        }


def turns(peers: Sequence[str], number: int) -> list[str]:
    """Who comes when in a round (from 1): another one begins each time, for what came before may cost who follows."""
    first = (number - 1) % len(peers) if peers else 0
    return [*peers[first:], *peers[:first]]


def _sizes(benchmark: Benchmark, quick: bool) -> Any:
    return benchmark.quick if quick else benchmark.full


def _changes(benchmark: Benchmark, peers: Sequence[str], rounds: int, quick: bool, log: Path) -> Result:
    sizes: Changes = _sizes(benchmark, quick)
    namespace = f"bench-{benchmark.name.lower()}"
    result = Result()
    with ControlPlane(argo=False) as plane:
        cluster.fill(plane, namespace, sizes.objects)
        for number in range(1, rounds + 1):
            for peer in turns([each for each in benchmark.peers if each in peers], number):
                result.add(number, peer, changes.measure, plane, namespace, peer, sizes, log)
    return result


def _server(benchmark: Benchmark, peers: Sequence[str], rounds: int, quick: bool, log: Path) -> Result:
    _ = peers
    sizes: Load = _sizes(benchmark, quick)
    result = Result()
    with ControlPlane(workflow_controller=False) as plane:
        server.prepare(plane, sizes)
        say("how many senders are best for the bare client")
        reached = server.best_senders(plane, sizes, log)
        senders = max(reached, key=lambda number: reached[number])
        result.notes = {"senders of the bare client": senders, "per second by senders": reached}
        for number in range(1, rounds + 1):
            for peer in turns(benchmark.peers, number):
                result.add(number, peer, server.measure, plane, peer, sizes, senders, log)
    return result


def _idle(benchmark: Benchmark, peers: Sequence[str], rounds: int, quick: bool, log: Path) -> Result:
    _ = peers
    sizes: Idle = _sizes(benchmark, quick)
    result = Result()
    with ControlPlane(argo=False, audit=True) as plane:
        windows = idle.measure(plane, sizes, rounds, log, benchmark.name)
        result.rounds["operator"] = windows
    return result


def _growth(benchmark: Benchmark, peers: Sequence[str], rounds: int, quick: bool, log: Path) -> Result:
    _ = peers, rounds
    with ControlPlane(argo=False) as plane:
        found, errors = growth.measure(plane, _sizes(benchmark, quick), log)
    return Result({name: [figures] for name, figures in found.items()}, errors)


SUITE = (
    Benchmark(
        "B1",
        "steady 50 changes/s of 50 ConfigMaps, a sink that answers at once",
        (Target("p50 ms", 1, peer="knative"), Target("p99 ms", 3)),
        Changes(50, 1000, 4, 50),
        Changes(20, 50, 4, 50),
        _changes,
    ),
    Benchmark(
        "B2",
        "burst: 1,000 ConfigMaps changed by 8 writers, a sink that answers at once",
        (Target("delivery / writing time", 1.05), Target("CPU ms per change", 0.5)),
        Changes(1000, 1000, 8),
        Changes(100, 100, 8),
        _changes,
    ),
    Benchmark(
        "B3",
        "burst of 300 changes, a sink that takes 100 ms for each",
        (Target("per second", 500, at_least=True),),
        Changes(300, 300, 16, delay=0.1),
        Changes(50, 50, 16, delay=0.1),
        _changes,
    ),
    Benchmark(
        "B4",
        "the real argo-server, a binding that matches, a Workflow for each event",
        (
            Target("per second", 0.95, at_least=True, peer="bare"),
            Target("per second", 0.95, at_least=True, peer="bare", of=server.WIDE),
        ),
        Load(1500, 400),
        Load(60, 30, (8, 32)),
        _server,
        ("bare", "operator", server.WIDE),
    ),
    Benchmark(
        "B5",
        "10,000 ConfigMaps of 1 KiB watched, a clean restart",
        (Target("resident MiB", 110), Target("start to first delivery s", 3)),
        Changes(10_000, 500, 4, 50, restart=True),
        Changes(500, 25, 4, 50, restart=True),
        _changes,
        ("operator",),
    ),
    Benchmark(
        "B6",
        "1,000 EventSources in 4 namespaces, nothing changes",
        (Target("CPU % of a core", 2), Target("writes", 0), Target("open watches", 10)),
        Idle(4, 25, 250, 65),
        Idle(2, 5, 20, 10),
        _idle,
        ("operator",),
    ),
    Benchmark(
        "idle",
        "100 EventSources on 10,000 ConfigMaps of 1 KiB, nothing changes",
        (Target("CPU % of a core", 1), Target("writes", 0)),
        Idle(1, 10_000, 100, 65),
        Idle(1, 200, 10, 10),
        _idle,
        ("operator",),
    ),
    Benchmark(
        "growth",
        "the same with more objects (one source) and more sources (each of one object)",
        (),
        growth.Sizes((100, 1000, 10_000, 50_000), (1, 100, 1000), 500, 30),
        growth.Sizes((50, 500), (1, 20), 50, 5),
        _growth,
        ("operator",),
    ),
)
