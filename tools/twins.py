"""Finds blocks of code that stand twice: so many lines in a row that are the same but for numbers and texts.

Usage: `python -m tools.twins [--lines N] [FOLDER]` prints each pair of places in FOLDER (default: operator) that share
at least N (default: 10) lines; exit code 1 if there is one. Lines that differ in numbers and texts alone are the
same. Blank lines, comments, imports and lines that name nothing (a bracket, an entry of a list of texts) do not count.
"""

from __future__ import annotations

import argparse
import ast
import io
import sys
import token
import tokenize
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES = 10
SILENT = frozenset({tokenize.COMMENT, token.NL, token.NEWLINE, token.INDENT, token.DEDENT, token.ENDMARKER})


@dataclass(frozen=True, slots=True)
class Line:
    """A line that counts: where it stands, and its shape, in which all numbers are one, and all texts."""

    number: int
    shape: str


def lines_of(text: str) -> list[Line]:
    """The lines of a module that count: those that name something, and those of docstrings, word by word."""
    tree = ast.parse(text)
    documented = _lines_of_docstrings(tree)
    silent = documented | _lines_of_imports(tree)
    words: dict[int, list[str]] = defaultdict(list)
    naming: set[int] = set()
    for each in tokenize.generate_tokens(io.StringIO(text).readline):
        number = each.start[0]
        if each.type not in SILENT and number not in silent:
            words[number].append(_shape(each))
            if each.type == token.NAME:
                naming.add(number)
    shapes = {number: " ".join(found) for number, found in words.items() if number in naming}
    written = text.splitlines()
    shapes |= {number: written[number - 1].strip() for number in documented if written[number - 1].strip()}
    return [Line(number, shape) for number, shape in sorted(shapes.items())]


def _shape(each: tokenize.TokenInfo) -> str:
    if each.type == token.NUMBER:
        return "0"
    if each.type == token.STRING:
        return "''"
    return each.string


def _lines_of_docstrings(tree: ast.Module) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def _lines_of_imports(tree: ast.Module) -> set[int]:
    found: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return found


def twins(modules: dict[str, str], least: int = LINES) -> list[str]:
    """Each pair of places that share `least` lines or more, as `A:1-12 ~ B:5-16`."""
    code = {name: lines_of(text) for name, text in sorted(modules.items())}
    places: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    for name, lines in code.items():
        for start in range(len(lines) - least + 1):
            places[tuple(line.shape for line in lines[start : start + least])].append((name, start))
    found: list[str] = []
    seen: set[tuple[str, int, str, int]] = set()
    for where in places.values():
        for index, (one, first) in enumerate(where):
            for other, second in where[index + 1 :]:
                if (one, first, other, second) in seen:
                    continue
                length = _length(
                    code[one][first:], code[other][second:], limit=second - first if one == other else None
                )
                seen.update((one, first + step, other, second + step) for step in range(length - least + 1))
                if length >= least:
                    found.append(
                        f"{_span(one, code[one], first, length)} ~ {_span(other, code[other], second, length)}"
                    )
    return found


def _length(one: list[Line], other: list[Line], limit: int | None) -> int:
    """How many lines from here on are the same; within one module, no further than the second place."""
    length = 0
    for a, b in zip(one, other, strict=False):
        if a.shape != b.shape or length == limit:
            break
        length += 1
    return length


def _span(name: str, lines: list[Line], start: int, length: int) -> str:
    return f"{name}:{lines[start].number}-{lines[start + length - 1].number}"


def main(arguments: list[str]) -> int:
    """Prints the pairs; exit code 1 if there are any."""
    parser = argparse.ArgumentParser(prog="python -m tools.twins", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "operator")
    parser.add_argument("--lines", type=int, default=LINES)
    given = parser.parse_args(arguments)
    paths = sorted(given.folder.rglob("*.py"))
    found = twins(
        {str(path.relative_to(given.folder)): path.read_text(encoding="utf-8") for path in paths}, given.lines
    )
    print("\n".join(found) if found else f"no {given.lines} lines stand twice in {len(paths)} modules")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
