"""Paths into an object: what ``spec.watch[].fields`` names, and what ``changed`` reports.

Syntax: keys joined by dots, list indices and keys with special characters in brackets::

    data.LOG_LEVEL
    metadata.annotations["example.com/x"]     # single quotes work, too
    spec.containers[0].image

A path names a whole subtree. It begins at the object's root, so ``$.data`` and ``object.data`` are refused
with a hint (a field that is really called ``object`` is written ``["object"]``).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, TypeAlias

import orjson

Path: TypeAlias = tuple[str | int, ...]

MAX_LENGTH: Final = 1024
"""Characters of a path: far above any real one, far below what would cost time."""

_NAME = re.compile(r"[^\s.\[\]\"'\\*]+")
_INDEX = re.compile(r"\[\s*(\d{1,9})\s*\]")
_DOUBLE = re.compile(r"\[\s*(\"(?:[^\"\\]|\\.)*\")\s*\]")
_SINGLE = re.compile(r"\[\s*'((?:[^'\\]|\\.)*)'\s*\]")
_ESCAPE = re.compile(r"\\(.)")

_FOLDED: Final = "~"


class _Missing(Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing.MISSING
"""What `lookup` answers where the object has nothing; ``None`` is a value."""


class PathError(ValueError):
    """A path that cannot be read.

    Attributes:
        message: what is wrong and how it is written instead.
        position: character of the path, from 1.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at character {position})")
        self.message = message
        self.position = position


def parse_path(text: str) -> Path:
    """Reads a path.

    Raises:
        PathError: the text is no path; the message says how it is written.
    """
    if len(text) > MAX_LENGTH:
        raise PathError(f"a path has at most {MAX_LENGTH} characters", MAX_LENGTH + 1)
    if not text:
        raise PathError("a path is empty; name a field, for example data or metadata.labels", 1)
    if text.startswith(("$", ".", "object.", "object[")):
        raise PathError(
            "paths begin at the object's own fields: write data.KEY, not .data.KEY or object.data.KEY", 1
        )
    segments: list[str | int] = []
    at = 0
    while at < len(text):
        segment, at = _segment(text, at, first=not segments)
        segments.append(segment)
    return tuple(segments)


def _segment(text: str, at: int, *, first: bool) -> tuple[str | int, int]:
    """Reads one segment at ``at``; returns it and the place behind it."""
    if text[at] == "[":
        return _bracket(text, at, first=first)
    start = at
    if not first:
        if text[at] != ".":
            raise PathError(
                'expected "." or "[" here; keys with special characters are written ["key"]', at + 1
            )
        start = at + 1
    name = _NAME.match(text, start)
    if name is None:
        raise PathError('expected a key here; keys with special characters are written ["key"]', start + 1)
    return name.group(), name.end()


def _bracket(text: str, at: int, *, first: bool) -> tuple[str | int, int]:
    if index := _INDEX.match(text, at):
        if first:
            raise PathError("an object's root has keys, no list indices", at + 1)
        return int(index.group(1)), index.end()
    if single := _SINGLE.match(text, at):
        return _ESCAPE.sub(r"\1", single.group(1)), single.end()
    if double := _DOUBLE.match(text, at):
        try:
            key: str = json.loads(double.group(1), strict=False)
        except ValueError as error:
            raise PathError("the quoted key has an escape that JSON does not know", at + 1) from error
        return key, double.end()
    raise PathError(
        'expected a list index or a quoted key here, for example [0] or ["example.com/x"]', at + 1
    )


def format_path(path: Path) -> str:
    """Writes a path so that `parse_path` reads the same one."""
    text = "".join(map(format_segment, path))
    if text.startswith("."):
        text = text[1:]
        if text.startswith(("$", "object.", "object[")):
            return "".join([f"[{_quoted(str(path[0]))}]", *map(format_segment, path[1:])])
    return text


def format_segment(segment: str | int) -> str:
    """Writes one segment as it follows another one."""
    if isinstance(segment, int):
        return f"[{segment}]"
    if segment.isidentifier():
        return f".{segment}"
    if segment.isprintable() and _NAME.fullmatch(segment):
        return f".{segment}"
    return f"[{_quoted(segment)}]"


def _quoted(key: str) -> str:
    return json.dumps(key, ensure_ascii=not key.isprintable())


def lookup(obj: Any, path: Path) -> Any:
    """The value at ``path``, or `MISSING`."""
    value = obj
    for segment in path:
        if isinstance(segment, str):
            if not isinstance(value, dict) or segment not in value:
                return MISSING
            value = value[segment]
        else:
            if not isinstance(value, list) or not 0 <= segment < len(value):
                return MISSING
            value = value[segment]
    return value


def canonical(value: Any) -> bytes:
    """JSON with sorted keys: equal values have equal text, and 1, 1.0 and true differ.

    Raises:
        ValueError: the value is no JSON, or nested deeper than the interpreter can follow.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # deeper than orjson's 254 levels, or an integer of more than 64 bits
        try:
            return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        except (RecursionError, TypeError) as error:
            raise ValueError("the value cannot be written as JSON: nested too deep, or not JSON") from error


def digest(value: Any) -> str:
    """Eight characters of base64url: 48 bits of BLAKE2b over the canonical JSON of ``value``.

    Enough to notice a change by accident; it is not meant to resist somebody who looks for a collision.
    """
    return base64.urlsafe_b64encode(hashlib.blake2b(canonical(value), digest_size=6).digest()).decode()


def leaf_digests(obj: Any, paths: tuple[Path, ...], limit: int = 64) -> tuple[tuple[str, str], ...]:
    """Digests of every leaf below the watched paths, sorted by path.

    Two objects that are equal below ``paths`` have equal digests, and the other way round. Scalars, null
    and empty maps and lists are leaves. A path that the object does not have adds nothing. A subtree with
    more than ``limit`` leaves is one digest at the watched path itself (marked, so that `changed_digests`
    can tell it from a leaf).

    Raises:
        ValueError: see `canonical`.
    """
    found: dict[str, str] = {}
    for path in paths:
        value = lookup(obj, path)
        if value is MISSING:
            continue
        prefix = format_path(path)
        leaves: list[tuple[str, Any]] = []
        for leaf in _leaves(prefix, value):
            leaves.append(leaf)
            if len(leaves) > limit:
                found[prefix] = _FOLDED + digest(value)
                break
        else:
            for name, leaf_value in leaves:
                found[name] = digest(leaf_value)
    return tuple(sorted(found.items()))


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The leaves below ``value`` with their formatted paths; iterative, as objects may nest deeply."""
    stack = [(prefix, value)]
    while stack:
        at, node = stack.pop()
        if isinstance(node, dict) and node:
            stack.extend([(at + format_segment(key), child) for key, child in node.items()])
        elif isinstance(node, list) and node:
            stack.extend([(f"{at}[{index}]", child) for index, child in enumerate(node)])
        else:
            yield at, node


def changed_digests(old: tuple[tuple[str, str], ...], new: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """The paths that were added, removed or changed between two results of `leaf_digests`, sorted.

    Where a subtree was a leaf or folded on one side only, either its own path or those below it are
    reported: an empty map or list that gained entries reports the entries, everything else reports the
    subtree.
    """
    if old == new:
        return ()
    before, after = dict(old), dict(new)
    differing = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    above = {name: _above(name, differing) for name in differing}
    parents = {parent for parents in above.values() for parent in parents}
    empty = {digest({}), digest([])}
    filled = {name for name in parents if {before.get(name), after.get(name)} & empty}
    return tuple(
        sorted(
            name
            for name in differing
            if name not in filled and all(parent in filled for parent in above[name])
        )
    )


def _above(name: str, names: set[str]) -> list[str]:
    """Those of ``names`` that are above ``name``."""
    return [name[:at] for at, char in enumerate(name) if char in ".[" and name[:at] in names]
