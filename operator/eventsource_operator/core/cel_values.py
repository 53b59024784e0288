"""Values that CEL returns, as plain JSON."""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Callable
from typing import Any, Final

import cel

MAX_VALUE_DEPTH: Final = 200
"""Levels of a value that goes into an expression or comes out of it; the native conversion is recursive."""


class CelRuntimeError(Exception):
    """An expression that failed on an object. Its text never holds the object's content."""


def to_json(value: Any, depth: int = 0) -> Any:
    """A CEL value as plain JSON; see `Expression.evaluate`.

    Raises:
        CelRuntimeError: JSON has no such value, or it nests too deeply.
    """
    if value is None or isinstance(value, (str, int)):
        return value
    if depth > MAX_VALUE_DEPTH:
        raise CelRuntimeError(f"the result nests deeper than {MAX_VALUE_DEPTH} levels")
    if isinstance(value, list):
        return [to_json(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return _map_to_json(value, depth)
    convert = _SCALARS.get(type(value))
    if convert is not None:
        return convert(value)
    if isinstance(value, cel.OptionalValue):
        return to_json(value.value(), depth + 1) if value.has_value() else None
    raise CelRuntimeError(f"the result is a {type_name(value)}, which JSON does not have")


def _map_to_json(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        name = key if isinstance(key, str) else str(key).lower()
        if name in result:
            raise CelRuntimeError("two keys of a map are the same in JSON")
        result[name] = to_json(item, depth + 1)
    return result


def _float_to_json(value: float) -> float:
    if not math.isfinite(value):
        raise CelRuntimeError("the result is not a number or infinite, which JSON does not have")
    return value


def _timestamp_to_json(value: dt.datetime) -> str:
    try:
        utc = value.astimezone(dt.UTC)
    except OverflowError:
        raise CelRuntimeError("the result is a timestamp out of range") from None
    return utc.isoformat().replace("+00:00", "Z")


def _duration_to_json(value: dt.timedelta) -> str:
    """As JSON writes a ``google.protobuf.Duration``: seconds with a fraction and an "s"."""
    micros = value // dt.timedelta(microseconds=1)
    seconds, fraction = divmod(abs(micros), 1_000_000)
    sign = "-" if micros < 0 else ""
    return f"{sign}{seconds}" + (f".{fraction:06}" if fraction else "") + "s"


_SCALARS: Final[dict[type, Callable[[Any], Any]]] = {
    float: _float_to_json,
    bytes: lambda value: base64.b64encode(value).decode(),
    dt.datetime: _timestamp_to_json,
    dt.timedelta: _duration_to_json,
}

_TYPE_NAMES: Final[dict[type, str]] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    float: "double",
    str: "string",
    bytes: "bytes",
    list: "list",
    dict: "map",
    dt.datetime: "timestamp",
    dt.timedelta: "duration",
}


def type_name(value: Any) -> str:
    """The name that CEL has for a value's type."""
    return _TYPE_NAMES.get(type(value), "value of another type")
