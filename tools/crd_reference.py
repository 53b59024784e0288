"""Writes docs/reference.md from the CRDs, so that the page and the schema cannot differ.

Usage: `python -m tools.crd_reference` writes the page; with `--check` it tells whether the page is current
(exit 1 if not).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference.md"
CRDS = ("eventsources", "eventsourcecheckpoints")
LONGEST_PATTERN = 40
"""Characters of a pattern that a table can hold; what a longer one asks for is in the description."""

HEAD = """# Reference

<!-- Generated from crds/ by `python -m tools.crd_reference`; edit the descriptions there. -->

Every field of the two kinds, as `kubectl explain` shows them. A field without a default is optional unless it
says *required*. Fields that are not listed are refused by `kubectl apply`. What only the operator can judge
(whether a CEL expression compiles, a kind exists, a label selector for the bindings is well-formed) shows in
the conditions.
"""


def render() -> str:
    """The page's text."""
    parts = [HEAD]
    for plural in CRDS:
        crd = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text(encoding="utf-8"))["spec"]
        parts += _kind(crd)
    return "\n".join(parts)


def _kind(crd: dict[str, Any]) -> Iterator[str]:
    names, version = crd["names"], crd["versions"][0]
    rules = version["schema"]["openAPIV3Schema"]
    yield f"## {names['kind']}\n"
    yield f"{rules['description']}\n"
    categories = ", ".join(f"`{name}`" for name in names.get("categories", ()))
    line = f"`apiVersion: {crd['group']}/{version['name']}`, `kind: {names['kind']}`; namespaced; "
    yield f"{line}short name `{names['shortNames'][0]}`{', category ' + categories if categories else ''}.\n"
    yield from _columns(version["additionalPrinterColumns"])
    top = {name: child for name, child in rules["properties"].items() if name not in _COMMON}
    if set(top) - {"spec", "status"}:
        yield from _object("", {**rules, "properties": top})
    else:
        for name, child in top.items():
            yield from _object(name, child)


_COMMON = ("apiVersion", "kind", "metadata")


def _columns(columns: list[dict[str, Any]]) -> Iterator[str]:
    yield "| column of `kubectl get` | value | |"
    yield "|---|---|---|"
    for column in columns:
        wide = " (with `-o wide`)" if column.get("priority") else ""
        yield f"| {column['name']}{wide} | {_code(column['jsonPath'])} | {column.get('description', '')} |"
    yield ""


def _object(path: str, rules: dict[str, Any]) -> Iterator[str]:
    """A table of an object's fields, then the objects inside it."""
    if path:
        yield f"### {path}\n"
        yield f"{rules['description']}\n"
    required = rules.get("required", ())
    yield "| field | type | default | bounds | |"
    yield "|---|---|---|---|---|"
    for name, child in rules["properties"].items():
        default = _code(json.dumps(child["default"])) if "default" in child else ""
        cells = [
            f"`{name}`",
            _type(child),
            "*required*" if name in required else default,
            "; ".join(_bounds(child)),
            _cell(child["description"]),
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""
    messages = [rule["message"] for rule in rules.get("x-kubernetes-validations", ())]
    yield from (f"Rule: {message}.\n" for message in messages)
    for name, child in rules["properties"].items():
        where = f"{path}.{name}" if path else name
        if "properties" in child:
            yield from _object(where, child)
        elif "properties" in child.get("items", {}):
            yield from _object(f"{where}[]", child["items"])


def _type(rules: dict[str, Any]) -> str:
    if rules["type"] == "array":
        return f"list of {_type(rules['items'])}"
    if "additionalProperties" in rules:
        return f"map of {_type(rules['additionalProperties'])}"
    return "time" if rules.get("format") == "date-time" else str(rules["type"])


def _bounds(rules: dict[str, Any], *, of: str = "") -> Iterator[str]:
    """What a value must keep to, in words."""
    if "enum" in rules:
        yield "one of " + ", ".join(f"`{value}`" for value in rules["enum"])
    for unit, least, most in (
        ("", "minimum", "maximum"),
        (" items", "minItems", "maxItems"),
        (" entries", "minProperties", "maxProperties"),
        (" characters", "minLength", "maxLength"),
    ):
        if least in rules and most in rules:
            yield f"{of}{rules[least]} to {rules[most]}{unit}"
        elif most in rules:
            yield f"{of}up to {rules[most]}{unit}"
        elif least in rules:
            yield f"{of}at least {rules[least]}{unit}"
    if rules.get("x-kubernetes-list-type") == "set":
        yield "no item twice"
    if len(rules.get("pattern", "")) in range(1, LONGEST_PATTERN):
        yield f"{of}{_code(rules['pattern'])}"
    if "properties" not in rules:
        yield from (f"{of}{_cell(rule['message'])}" for rule in rules.get("x-kubernetes-validations", ()))
    if rules["type"] == "array" and "properties" not in rules["items"]:
        yield from _bounds(rules["items"], of="" if "enum" in rules["items"] else "each ")
    if "additionalProperties" in rules:
        yield from _bounds(rules["additionalProperties"], of="each ")


def _code(text: str) -> str:
    """Inline code inside a table's cell."""
    ticks = "``" if "`" in text else "`"
    return f"{ticks}{_cell(text)}{ticks}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    """Writes or checks the page; returns the exit code."""
    text = render()
    if arguments == ["--check"]:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PAGE.relative_to(ROOT)} is not current: run python -m tools.crd_reference", file=sys.stderr)
        return 1
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
