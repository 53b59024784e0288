"""The functions beyond the CEL core that expressions may call, named as in cel-go's libraries.

The implementations are those of the CEL package's own library. Two things are added. A function never
raises into the native code, for the package writes a failure's text, and with it the object's content, to
its log: it is noted and the evaluation fails as a whole. And what could turn a small object into a huge
value is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cel import stdlib

MAX_TEXT: Final = 4 * 1024 * 1024
"""Characters of a text that a function may build."""

MAX_WORK: Final = 25_000_000
"""Characters and entries that the calls of one evaluation may look at together; up to 0.5 s."""

_QUADRATIC: Final = frozenset({"distinct", "sets.contains", "sets.equivalent", "sets.intersects"})
"""Functions that compare each entry with each other one."""

NATIVE: Final = frozenset(
    {
        *("size", "int", "uint", "double", "string", "bytes", "timestamp", "duration", "type", "dyn"),
        *("matches", "contains", "startsWith", "endsWith"),
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
        *("optional.of", "optional.none", "optional.ofNonZeroValue", "hasValue", "value", "or", "orValue"),
    }
)
"""What the native library brings."""

_LEFT_OUT: Final = frozenset({"lists.range", "contains"})
"""A range of any length fills the memory by itself; ``contains`` is native for texts, ``in`` is for lists."""


def extensions() -> dict[str, Callable[..., Any]]:
    """The functions by name."""
    library: dict[str, Callable[..., Any]] = dict(stdlib.STDLIB_FUNCTIONS)
    return {name: function for name, function in library.items() if name not in _LEFT_OUT} | {
        "replace": _replace,
        "join": _join,
    }


def names() -> frozenset[str]:
    """Every function that an expression may call."""
    return NATIVE | extensions().keys()


class Meter:
    """The functions of one evaluation: what they may cost together, and the first that failed."""

    __slots__ = ("failed", "left")

    def __init__(self) -> None:
        self.left = MAX_WORK
        self.failed = ""

    def guard(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        """The function, which notes its ``name`` instead of raising and does nothing once one has failed."""
        quadratic = name in _QUADRATIC

        def call(*args: Any) -> Any:
            if self.failed:
                return None
            self.left -= _work(args, quadratic=quadratic)
            if self.left < 0:
                self.failed = name
                return None
            try:
                return function(*args)
            except Exception:  # noqa: BLE001  the library would log it, with the object's content
                self.failed = name
                return None

        return call


def _work(args: tuple[Any, ...], *, quadratic: bool) -> int:
    """Characters and entries that a call looks at, and what the call itself costs."""
    sizes = [len(arg) for arg in args if isinstance(arg, (str, list, bytes))]
    return 20 + (max(sizes, default=0) ** 2 if quadratic else sum(sizes))


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    times = text.count(old) if limit < 0 else min(limit, text.count(old))
    if len(text) + times * len(new) > MAX_TEXT:
        raise ValueError("the text would become too long")
    return text.replace(old, new, limit)


def _join(items: list[Any], separator: str = "") -> str:
    if sum(map(len, items)) + len(items) * len(separator) > MAX_TEXT:
        raise ValueError("the text would become too long")
    return separator.join(items)
