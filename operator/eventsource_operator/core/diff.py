"""What differs between two states of an object: as paths for ``changed``, as a patch for `Diff` content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from eventsource_operator.core.paths import format_segment

_MAX_DEPTH: Final = 100
"""Levels that a patch descends; below, a value is replaced as a whole."""

_IGNORED: Final = frozenset(
    {
        "metadata.managedFields",
        "metadata.resourceVersion",
        "metadata.generation",
        'metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]',
    }
)
"""Bookkeeping that moves with every write: each names no change that is not seen elsewhere."""


def changed_paths(old: Any, new: Any, limit: int = 100) -> tuple[str, ...]:
    """The paths of the leaves that differ, sorted; the first ``limit`` of them.

    Maps are descended into, also one that appears or goes; lists only if they keep their length, else the
    list's own path is reported. ``managedFields``, ``resourceVersion``, ``generation`` and kubectl's
    last-applied annotation do not count. 1, 1.0 and true differ, as they do in JSON.
    """
    found: list[str] = []
    stack: list[tuple[str, Any, Any]] = [("", old, new)]
    while stack:
        at, before, after = stack.pop()
        if before is after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            stack.extend(_pairs(at, before, after))
        elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
            stack.extend(
                [(f"{at}[{index}]", *pair) for index, pair in enumerate(zip(before, after, strict=True))],
            )
        elif not _same_leaf(before, after):
            found.append(at)
    return tuple(sorted(found)[:limit])


def _pairs(at: str, before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The children of two maps that may differ, with their paths."""
    for key, value in before.items():
        other = after.get(key, _ABSENT)
        if other is value or (type(value) is str and value == other):
            continue
        yield from _pair(_join(at, key), value, other)
    for key, value in after.items():
        if key not in before:
            yield from _pair(_join(at, key), _ABSENT, value)


def _pair(at: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if at in _IGNORED:
        return
    if before is _ABSENT and isinstance(after, dict) and after:
        before = {}
    elif after is _ABSENT and isinstance(before, dict) and before:
        after = {}
    yield at, before, after


def _join(at: str, key: str) -> str:
    segment = format_segment(key)
    return at + segment if at else segment.removeprefix(".")


_ABSENT: Final = object()


def _same_leaf(before: Any, after: Any) -> bool:
    """Equality of two values that are not both descended into."""
    return type(before) is type(after) and bool(before == after)


def json_patch(old: Any, new: Any) -> list[dict[str, Any]]:
    """A patch (RFC 6902) that turns ``old`` into ``new``: add, remove and replace, no move or copy.

    Lists keep their common beginning and end; what lies between is replaced item by item, then added or
    removed. Values are shared with the arguments, not copied.
    """
    return list(_patch("", old, new, 0))


def _patch(at: str, old: Any, new: Any, depth: int) -> Iterator[dict[str, Any]]:
    if old is new:
        return
    if depth < _MAX_DEPTH and isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() - new.keys()):
            yield {"op": "remove", "path": f"{at}/{_pointer(key)}"}
        for key, value in new.items():
            if key not in old:
                yield {"op": "add", "path": f"{at}/{_pointer(key)}", "value": value}
            else:
                yield from _patch(f"{at}/{_pointer(key)}", old[key], value, depth + 1)
    elif depth < _MAX_DEPTH and isinstance(old, list) and isinstance(new, list):
        yield from _patch_list(at, old, new, depth)
    elif not _same_leaf(old, new):
        yield {"op": "replace", "path": at, "value": new}


def _patch_list(at: str, old: list[Any], new: list[Any], depth: int) -> Iterator[dict[str, Any]]:
    shorter = min(len(old), len(new))
    head = 0
    while head < shorter and _same(old[head], new[head]):
        head += 1
    tail = 0
    while tail < shorter - head and _same(old[-1 - tail], new[-1 - tail]):
        tail += 1
    both = shorter - tail
    for index in range(head, both):
        yield from _patch(f"{at}/{index}", old[index], new[index], depth + 1)
    for index in range(len(old) - tail - 1, both - 1, -1):
        yield {"op": "remove", "path": f"{at}/{index}"}
    for index in range(both, len(new) - tail):
        yield {"op": "add", "path": f"{at}/{index}", "value": new[index]}


def _same(old: Any, new: Any) -> bool:
    """Equality as JSON has it: 1, 1.0 and true differ. Looks at each value once, however they are nested."""
    stack = [(old, new)]
    while stack:
        before, after = stack.pop()
        if before is after:
            continue
        if type(before) is not type(after):
            return False
        if isinstance(before, dict):
            if before.keys() != after.keys():
                return False
            stack.extend((value, after[key]) for key, value in before.items())
        elif isinstance(before, list):
            if len(before) != len(after):
                return False
            stack.extend(zip(before, after, strict=True))
        elif before != after:
            return False
    return True


def _pointer(key: str) -> str:
    """A key in a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
