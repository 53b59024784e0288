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


def guarded(function: Callable[..., Any], failures: list[str], name: str) -> Callable[..., Any]:
    """The function, noting in ``failures`` under its ``name`` that it failed instead of raising."""

    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except Exception:  # noqa: BLE001  the library would log it, with the object's content
            failures.append(name)
            return None

    return call


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    times = text.count(old) if limit < 0 else min(limit, text.count(old))
    if len(text) + times * len(new) > MAX_TEXT:
        raise ValueError("the text would become too long")
    return text.replace(old, new, limit)


def _join(items: list[Any], separator: str = "") -> str:
    if sum(map(len, items)) + len(items) * len(separator) > MAX_TEXT:
        raise ValueError("the text would become too long")
    return separator.join(items)
