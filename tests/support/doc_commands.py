"""Whether the commands of the documentation exist, with the flags and values that it gives them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import yaml

from eventsource_operator.cli import evs, main
from tools.bench.__main__ import arguments
from tools.bench.suite import SUITE
from tools.doc_blocks import ROOT

OTHERS = frozenset(
    {
        "argo",
        "bash",
        "buildah",
        "cat",
        "cd",
        "curl",
        "docker",
        "echo",
        "eval",
        "export",
        "git",
        "grep",
        "head",
        "jq",
    }
    | {"kustomize", "pip", "python", "python3", "sed", "tail", "test", "[", "wc", "xargs", "$EDITOR"}
)
"""Programs that are not this project's: where they are not run, only their name is looked at."""

SUITES = frozenset({"unit", "contract", "integration", "chaos", "e2e"})
HELM = {
    "install": {"--namespace", "-n", "--create-namespace", "--set", "--skip-crds", "--values", "-f"},
    "upgrade": {"--namespace", "-n", "--set", "--reuse-values", "--values", "-f"},
    "uninstall": {"--namespace", "-n"},
    "template": {"--namespace", "-n", "--set", "--values", "-f"},
}
CHART = ROOT / "manifests" / "helm" / "eventsource-operator"


def objection(command: Sequence[str], kubectl: Path | None) -> str:
    """What is wrong with a command, empty if nothing is.

    Args:
        command: its words, the program first.
        kubectl: the program whose own parser judges kubectl's commands; None leaves them out.
    """
    program, *words = command
    name = Path(program).name
    if name == "kubectl" and words[:1] == ["evs"]:
        return _click(evs.cli, words[1:])
    if name == "kubectl":
        return _kubectl(kubectl, words) if kubectl else ""
    if name == "eventsource-operator":
        return _click(main.cli, words)
    if name == "kubectl-evs":
        return _click(evs.cli, words)
    if program == "./dev":
        return _dev(words)
    if name == "helm":
        return _helm(words)
    return "" if name in OTHERS else f"{program} is not known to the test"


def _click(group: click.Command, words: list[str]) -> str:
    """The command's own parser; a file that is not there is not the command's fault."""
    try:
        with group.make_context("documentation", list(words)) as context:
            if not isinstance(group, click.Group):
                return ""
            name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
            if command is None:
                return f"there is no {name}"
            command.make_context(name, rest, parent=context).close()
    except click.exceptions.Exit:
        return ""  # --help and --version
    except click.UsageError as error:
        missing = re.search(r"No such file or directory|does not exist", error.format_message())
        return "" if missing else error.format_message()
    return ""


@cache
def _kubectl_says(kubectl: Path, words: tuple[str, ...]) -> str:
    done = subprocess.run([kubectl, *words], capture_output=True, text=True, check=False, timeout=60)
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[0]


def _kubectl(kubectl: Path, words: list[str]) -> str:
    """With --help, kubectl parses the other flags, refuses those it does not know, and asks no server."""
    if "--" in words:
        words = words[: words.index("--")]
    return _kubectl_says(kubectl, (*words, "--help"))


@cache
def _dev_commands() -> frozenset[str]:
    usage = subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^  (\S.*?)(?:  |$)", usage, re.MULTILINE)
    return frozenset(word for line in lines for word in re.split(r", ", line.split(" [")[0].strip()))


def _dev(words: list[str]) -> str:
    name, rest = (words[0] if words else "help"), words[1:]
    if name not in _dev_commands():
        return f"./dev has no {name}; it has {', '.join(sorted(_dev_commands()))}"
    allowed = {"demo": {"--once"}, "bench": _bench_words() | {word for word in rest if word.isdigit()}}
    if name == "test":
        return next((f"there is no {word}" for word in rest if not _is_pytest(word, rest)), "")
    extra = sorted(set(rest) - allowed.get(name, set()))
    return f"./dev {name} does not know {', '.join(extra)}" if extra and name != "build" else ""


@cache
def _bench_words() -> frozenset[str]:
    flags = (flag for action in arguments()._actions for flag in action.option_strings)
    return frozenset({*flags, *(each.name for each in SUITE)})


def _is_pytest(word: str, words: list[str]) -> bool:
    before = words[words.index(word) - 1] if words.index(word) else ""
    return (
        word in SUITES
        or word in ("-k", "-x", "-q")
        or before == "-k"
        or (ROOT / word.partition("::")[0]).exists()
    )


def _helm(words: list[str]) -> str:
    name, rest = words[0], words[1:]
    if name not in HELM:
        return f"helm {name} is not known to the test"
    for word in rest:
        flag = word.partition("=")[0]
        if word.startswith("-") and flag not in HELM[name]:
            return f"helm {name} {flag} is not known to the test"
    pairs = [value for flag, value in pairwise(rest) if flag == "--set"]
    return next((f"the chart has no value {key}" for key in map(_key, pairs) if not _chart_has(key)), "")


def _key(pair: str) -> list[str]:
    return re.split(r"\.", pair.partition("=")[0])


def _chart_has(path: list[str]) -> bool:
    values: Any = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    for part in path:
        if values == {}:  # free-form, such as config
            return True
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True
