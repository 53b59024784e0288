"""What an evaluation may cost: the CEL library cannot be interrupted, so the cost is estimated before.

The estimates are upper bounds over the parts of the object that the expression reads. They keep an accident
(a macro in a macro over a large map) from holding up every other source, and a hostile expression from
filling the memory.
"""

from __future__ import annotations

import re
from typing import Any, Final

from eventsource_operator.core.cel_scan import Scan
from eventsource_operator.core.cel_values import MAX_VALUE_DEPTH, CelRuntimeError

MAX_STEPS: Final = 50_000
"""Steps of the macros together; about 0.4 s, during which nothing else happens."""
MAX_BUILT: Final = 512 * 1024 * 1024
"""Characters that an evaluation might build."""

_BUILDERS = re.compile(r"\.\s*(?:map|filter)\s*\(")


class Budget:
    """What an evaluation may cost. The library cannot be interrupted, so the cost is estimated before."""

    __slots__ = ("_builds", "_growth", "_literal", "_macros", "_splits", "_sums")

    def __init__(self, text: str, found: Scan) -> None:
        self._macros = found.macros
        self._literal = found.literal
        self._sums = found.sums
        self._growth = (found.joined + 1) * (max(1, found.literal) if "flatten" in found.functions else 1)
        self._splits = "split" in found.functions
        self._builds = _BUILDERS.search(text) is not None

    def check(self, values: dict[str, Any]) -> None:
        """Measures what goes in.

        Raises:
            CelRuntimeError: it nests too deeply, or is too much for what the expression does with it.
        """
        size = _Size()
        for value in values.values():
            if isinstance(value, (dict, list)):
                size.add(value)
            elif isinstance(value, str):
                size.longest = max(size.longest, len(value))
        if not (self._macros or self._sums):
            return
        widest = max(size.widest, self._literal, size.longest if self._splits else 0) * self._growth
        steps = widest**self._macros
        if steps > MAX_STEPS:
            raise CelRuntimeError(
                f"the macros could take {widest} to the power of {self._macros} steps on this object; "
                f"at most {MAX_STEPS} are allowed"
            )
        built = steps * size.longest * (self._sums + 1) ** (self._macros + 1) if self._sums else 0
        if self._builds:
            built += steps * size.total
        if built > MAX_BUILT:
            raise CelRuntimeError("the expression could build a value that is too large from this object")


class _Size:
    """Measures of values: the widest map or list, the longest text, and all texts together."""

    __slots__ = ("longest", "total", "widest")

    def __init__(self) -> None:
        self.widest = 0
        self.longest = 0
        self.total = 0

    def add(self, value: Any) -> None:
        """Measures one value, level by level."""
        level = [value]
        for _ in range(MAX_VALUE_DEPTH):
            below: list[Any] = []
            for node in level:
                self._add(node, below)
            if not below:
                return
            level = below
        raise CelRuntimeError(f"the object nests deeper than {MAX_VALUE_DEPTH} levels")

    def _add(self, node: Any, below: list[Any]) -> None:
        count = len(node)
        self.widest = max(self.widest, count)
        self.total += 8 * count
        if isinstance(node, dict):
            self.total += sum(map(len, node))
            node = node.values()
        for child in node:
            if isinstance(child, str):
                length = len(child)
                self.total += length
                self.longest = max(self.longest, length)
            elif isinstance(child, (dict, list)):
                below.append(child)
