"""`./dev bench [B1…B6 idle growth]`: the operator and its peers side by side; prints tables and writes JSON."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tools.bench import machine, report
from tools.bench.suite import PEERS, SUITE, Benchmark, Result, say

_BY_NAME = {each.name: each for each in SUITE}


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="./dev bench",
        description=__doc__,
        epilog="Exit code 1: events were lost or came twice, or something could not be measured. "
        "A target that is not met is told, and is no failure.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which of {', '.join(_BY_NAME)} (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each peer (default: 3)")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it works, says nothing")
    parser.add_argument(
        "--peers", nargs="+", choices=PEERS, default=PEERS, help="who is measured (default: all)"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("bench.json"), help="the report (default: bench.json)"
    )
    parser.add_argument("--add", action="store_true", help="keep what the report has of other benchmarks")
    parser.add_argument(
        "--docs",
        action="store_true",
        help="write the report into docs/benchmarks.md, limits.md, README.md, plots",
    )
    parser.add_argument(
        "--show", action="store_true", help="run nothing: show (and with --docs write) the report"
    )
    return parser


def run_one(benchmark: Benchmark, options: argparse.Namespace, log: Path) -> dict[str, Any]:
    """Runs one benchmark; whatever fails is part of its report."""
    busy = machine.busy()
    say(f"{benchmark.name}: {benchmark.what}")
    began = time.monotonic()
    try:
        result = benchmark.run(benchmark, options.peers, options.rounds, options.quick, log)
    except Exception as error:  # noqa: BLE001 - the other benchmarks go on; the run as a whole has failed
        result = Result(errors=[f"{type(error).__name__}: {error}"])
    found = benchmark.report(result)
    return {**found, "busy": busy, "seconds": round(time.monotonic() - began, 1), "quick": options.quick}


def main() -> int:
    """The command."""
    parser = arguments()
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in _BY_NAME]
    if unknown or options.rounds < 1:
        parser.error(f"there is no benchmark {unknown[0]}" if unknown else "--rounds must be at least 1")
    whole: dict[str, Any] = {"results": {}}
    if options.add or options.show:
        if options.json.exists():
            whole = json.loads(options.json.read_text(encoding="utf-8"))
        elif options.show:
            parser.error(f"--show: there is no {options.json}")
    if not options.show:
        whole |= {"machine": machine.facts(), "date": time.strftime("%Y-%m-%d"), "rounds": options.rounds}
        names = options.names or list(_BY_NAME)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            for name in names:
                whole["results"][name] = run_one(_BY_NAME[name], options, Path(folder) / "log")
                whole["results"] = {n: whole["results"][n] for n in _BY_NAME if n in whole["results"]}
                report.save(whole, options.json)
                report.show(name, whole["results"][name])
        print(f"written to {options.json}")
    else:
        for name in options.names or whole["results"]:
            report.show(name, whole["results"][name])
    if options.docs:
        for path in report.document(whole):
            print(f"written to {path}")
    wrong = report.failed(whole)
    for text in wrong:
        print(f"FAILED: {text}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
