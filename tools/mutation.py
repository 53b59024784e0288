"""Mutates the decisions of `core/` and tells which mutants the unit tests let live.

Usage: `python -m tools.mutation [--mutmut PATH] [--folder DIR] [MODULE…]`;
without modules, all of `MODULES`. Works on a copy, changes nothing in the checkout, and takes minutes per module.

mutmut is not among the project's requirements, for it is not needed to change anything here. It wants an environment
of its own with the same packages:

    python3 -m venv /tmp/mutation && /tmp/mutation/bin/pip install --no-deps -r requirements/dev.txt
    /tmp/mutation/bin/pip install mutmut==3.8.1
    python -m tools.mutation --mutmut /tmp/mutation/bin/mutmut

What survives, and why that is all right, is in docs/mutation.md.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("operator", "tests", "tools", "crds", "docs", "manifests", "pyproject.toml")
MODULES = (
    "budget",
    "cel",
    "cel_budget",
    "cel_functions",
    "cel_scan",
    "cel_tokens",
    "cel_values",
    "conditions",
    "cursor",
    "diff",
    "event",
    "gate",
    "judge",
    "lanes",
    "ledger",
    "limiter",
    "observed",
    "outcome",
    "paths",
    "redaction",
    "selectors",
    "shallow",
    "target",
    "text",
    "times",
)
"""Of `core/`: all that decide something."""

LEFT_OUT = (
    "test_the_deepest_expressions_that_are_accepted_do_not_end_the_process",
    "test_ten_thousand_evaluations_take_less_than_a_second",
)
"""The first starts an interpreter of its own, which would not see the mutant; the second measures time."""

PROFILE = """
import sys

from hypothesis import HealthCheck, settings

# Each mutated function is called through two others, and values nest two hundred levels deep.
sys.setrecursionlimit(4000)

# A mutant must not count as killed because the machine was busy.
settings.register_profile("mutation", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("mutation")
"""
RESULT = re.compile(r"^\s*(\S+__mutmut_\d+): (.+)$", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Runs mutmut; exit code 0 whatever survives, for the reader judges that."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"of core/: {', '.join(MODULES)}")
    parser.add_argument("--mutmut", default="mutmut", help="the mutmut to run")
    parser.add_argument("--children", type=int, default=2, help="how many mutants are judged at once")
    parser.add_argument(
        "--folder", type=Path, help="where to work and leave the mutants; default: a temporary one"
    )
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.modules) - set(MODULES))
    if unknown:
        parser.error(f"no such module: {', '.join(unknown)}; there are {', '.join(MODULES)}")
    folder = given.folder or Path(tempfile.mkdtemp(prefix="mutation-"))
    modules = given.modules or MODULES
    copy(folder, modules)
    mutmut = shutil.which(given.mutmut) or parser.error(f"{given.mutmut} is not there (see --help)")
    environment = {**os.environ, "PATH": f"{Path(mutmut).parent}{os.pathsep}{os.environ['PATH']}"}
    run = subprocess.run(
        [mutmut, "run", "--max-children", str(given.children)], cwd=folder, env=environment, check=False
    )
    if run.returncode:
        print(f"mutmut ended with {run.returncode}; its work is in {folder}", file=sys.stderr)
        return run.returncode
    told = subprocess.run(
        [mutmut, "results", "--all", "true"],
        cwd=folder,
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    print(table(dict(RESULT.findall(told.stdout)), modules))
    print(f"see a mutant: cd {folder} && {mutmut} show NAME")
    return 0


def copy(folder: Path, modules: list[str] | tuple[str, ...]) -> None:
    """A copy in which the package lies where mutmut looks for it, with the tests that judge."""
    for each in COPIED:
        source, target = ROOT / each, folder / each.replace("operator", "src", 1)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    settings = folder / "pyproject.toml"
    text = settings.read_text(encoding="utf-8").replace('pythonpath = ["."]', 'pythonpath = ["src", "."]')
    sources = ", ".join(f'"src/eventsource_operator/core/{name}.py"' for name in modules)
    tests = sorted((ROOT / "tests/unit/core").glob("test_*.py"))
    gone = [name for name in LEFT_OUT if not any(f"def {name}(" in path.read_text("utf-8") for path in tests)]
    if gone:
        raise SystemExit(f"LEFT_OUT names tests that are not there: {', '.join(gone)}")
    selection = ", ".join(f'"tests/unit/core/{path.name}"' for path in tests)
    text += f"""
[tool.mutmut]
source_paths = ["src"]
only_mutate = [{sources}]
pytest_add_cli_args = ["-k", "not ({" or ".join(LEFT_OUT)})"]
pytest_add_cli_args_test_selection = [{selection}]
also_copy = ["tests", "tools", "crds", "docs"]
"""
    settings.write_text(text, encoding="utf-8")
    (folder / "tests" / "unit" / "conftest.py").write_text(PROFILE, encoding="utf-8")


def table(results: dict[str, str], modules: list[str] | tuple[str, ...]) -> str:
    """Per module how many mutants there are and what became of them; then those that live."""
    lines = ["| module | mutants | killed | live |", "|---|---|---|---|"]
    for module in modules:
        fates = Counter(
            fate for name, fate in results.items() if name.startswith(f"eventsource_operator.core.{module}.")
        )
        killed = fates["killed"] + fates["timeout"] + fates["segfault"]
        lines.append(f"| `{module}` | {fates.total()} | {killed} | {fates.total() - killed} |")
    lines.append("")
    lines += [
        f"{fate}: {name}"
        for name, fate in sorted(results.items())
        if fate not in ("killed", "timeout", "segfault")
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
