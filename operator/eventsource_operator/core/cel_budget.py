"""What an evaluation may cost: the CEL library cannot be interrupted, so the cost is estimated before.

The estimates are upper bounds over the parts of the object that the expression reads. They keep an accident
(a macro in a macro over a large map) from holding up every other source, and a hostile expression from
filling the memory.
"""

from __future__ import annotations

from typing import Any, Final

from eventsource_operator.core.cel_scan import Read, Scan
from eventsource_operator.core.cel_values import MAX_VALUE_DEPTH, CelRuntimeError

MAX_STEPS: Final = 50_000
"""Steps of the macros together."""
MAX_COPIED: Final = 4_000_000
"""Entries of maps and lists that reads copy; up to 1 s."""
MAX_COLLECTED: Final = 8_000_000
"""Entries that ``map`` and ``filter`` copy, which is all that they collected, at each step; up to 0.5 s."""
MAX_BUILT: Final = 512 * 1024 * 1024
"""Characters that an evaluation might read or build; ``map`` and ``filter`` may copy four times as many."""
MAX_PATTERNS: Final = 150_000
"""Weight of the regular expressions that are compiled, see `cel_scan.Pattern`; up to 0.5 s."""


class Budget:
    """What an evaluation may cost. The library cannot be interrupted, so the cost is estimated before."""

    __slots__ = ("_found", "_growth", "_splits", "_trivial")

    def __init__(self, found: Scan) -> None:
        self._found = found
        self._growth = (found.joined + 1) * (max(1, found.literal) if "flatten" in found.functions else 1)
        self._splits = "split" in found.functions
        self._trivial = not (found.macros or found.sums or found.patterns) and len(found.reads) <= _FEW

    def check(self, values: dict[str, Any]) -> None:
        """Measures what goes in.

        Raises:
            CelRuntimeError: it nests too deeply, or is too much for what the expression does with it.
        """
        sizes = {name: measure(value) for name, value in values.items()}
        if self._trivial:
            return
        found = self._found
        longest = max((size.longest for size in sizes.values()), default=0)
        widest = max(
            found.literal, longest if self._splits else 0, *(size.widest for size in sizes.values()), 1
        )
        widest *= self._growth
        steps = widest**found.macros
        if steps > MAX_STEPS:
            raise CelRuntimeError(
                f"the macros could take {widest} to the power of {found.macros} steps on this object; "
                f"at most {MAX_STEPS} are allowed"
            )
        if sum(pattern.weight * widest**pattern.level for pattern in found.patterns) > MAX_PATTERNS:
            raise CelRuntimeError("the macros would compile too many regular expressions on this object")
        entries = sum(size.entries for size in sizes.values())
        copied = steps * found.size
        characters = steps * longest * (found.sums + 1) ** (found.macros + 1) if found.sums else 0
        for read in found.reads:
            size = sizes[read.name].entries if read.name else entries // widest
            copied += widest**read.level * (len(read.path) + 2) * (size + 1)
            characters += widest**read.level * longest if read.level else 0
        if copied > MAX_COPIED:
            raise CelRuntimeError(
                "the expression would read too much of this object; within macros, each step reads it again"
            )
        if found.builds:
            characters += self._check_collected(values, sizes, widest)
        if characters > MAX_BUILT:
            raise CelRuntimeError("the expression could build a value that is too large from this object")

    def _check_collected(self, values: dict[str, Any], sizes: dict[str, Size], widest: int) -> int:
        """Checks what is copied of the collected at each step, and returns the characters of the result."""
        found = self._found
        total = sum(size.total for size in sizes.values())
        entries = 1 + found.made + sum(size.entries for size in sizes.values()) // widest
        characters = total // widest
        for read in found.reads:
            if not read.name:
                entries += sum(size.entries for size in sizes.values()) // widest
                characters += total // widest
            elif read.level:
                size = _reachable(values[read.name], read)
                entries += size.entries
                characters += size.total
        copies: int = widest ** (found.macros + 1)
        if copies * entries > MAX_COLLECTED or copies * characters > 4 * MAX_BUILT:
            raise CelRuntimeError("map and filter would collect too much on this object")
        return copies // widest * characters


_FEW: Final = 8
"""Reads outside of macros that are not worth counting: the whole of the largest object, eight times."""


def _reachable(value: Any, read: Read) -> Size:
    """The measures of what a read can give."""
    for key in read.path:
        value = value.get(key) if isinstance(value, dict) else None
    if not read.dynamic or not isinstance(value, (dict, list)):
        return measure(value)
    children = list(value.values()) if isinstance(value, dict) else value
    found = Size()
    for child in children:
        size = measure(child)
        found.entries = max(found.entries, size.entries)
        found.total = max(found.total, size.total)
    return found


class Size:
    """Measures of a value: its widest map or list, all entries, the longest text, and all texts together."""

    __slots__ = ("entries", "longest", "total", "widest")

    def __init__(self) -> None:
        self.widest = 0
        self.entries = 0
        self.longest = 0
        self.total = 0

    def add(self, node: Any, below: list[Any]) -> None:
        """Counts one map or list; what is to be counted next is appended to ``below``."""
        count = len(node)
        self.widest = max(self.widest, count)
        self.entries += count
        if isinstance(node, dict):
            self.total += sum(map(len, node))
            node = node.values()
        for child in node:
            if isinstance(child, str):
                self.add_text(child)
            elif isinstance(child, (dict, list)):
                below.append(child)

    def add_text(self, text: str) -> None:
        """Counts one text."""
        self.total += len(text)
        self.longest = max(self.longest, len(text))


def measure(value: Any) -> Size:
    """Measures a value, level by level.

    Raises:
        CelRuntimeError: it nests too deeply.
    """
    size = Size()
    if isinstance(value, str):
        size.add_text(value)
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAX_VALUE_DEPTH + 1):
        if not level:
            return size
        below: list[Any] = []
        for node in level:
            size.add(node, below)
        level = below
    raise CelRuntimeError(f"the object nests deeper than {MAX_VALUE_DEPTH} levels")
