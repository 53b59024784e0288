"""CEL expressions over a change: ``spec.watch[].condition`` and ``spec.event.payload``.

An expression is checked and compiled once. An evaluation converts only those parts of the object that the
expression reads. Whatever goes wrong is an error with a message of our own words: neither the object's
content nor a crash of the native library gets out. Variables, functions and limits are described in
``docs/cel.md``.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NoReturn

import cel

from eventsource_operator.core import cel_functions
from eventsource_operator.core.cel_scan import Scan, Wanted, line_and_column, scan
from eventsource_operator.core.text import clean

MAX_LENGTH: Final = 8192
"""Characters of an expression: the longer of the two limits in the CRD's schema."""
MAX_VALUE_DEPTH: Final = 200
"""Levels of a value that goes into an expression or comes out of it; the native conversion is recursive."""
MAX_STEPS: Final = 50_000
"""Steps of the macros together; about 0.4 s, during which nothing else happens."""
MAX_BUILT: Final = 512 * 1024 * 1024
"""Characters that an evaluation might build, estimated from above."""

VARIABLES: Final = frozenset({"type", "object", "oldObject", "changed"})

_SYNTAX = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_OPERANDS = re.compile(r"Unsupported operation: (\w+ \S{1,2} \w+)\.")
_BUILDERS = re.compile(r"\.\s*(?:map|filter)\s*\(")


class CelError(ValueError):
    """An expression that cannot be used.

    Attributes:
        field: the field of the EventSource that holds it.
        message: what is wrong.
        line: where, from 1.
        column: where, from 1, in characters.
    """

    def __init__(self, field: str, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.field = field
        self.message = message
        self.line = line
        self.column = column


class CelRuntimeError(Exception):
    """An expression that failed on an object. Its text never holds the object's content."""


def compile_expression(text: str, field: str) -> Expression:
    """Checks and compiles an expression.

    Args:
        text: the expression.
        field: the field that holds it, for messages.

    Raises:
        CelError: it is too long, nests too deeply, is no CEL, or names a variable or function that does not
        exist.
    """
    if len(text) > MAX_LENGTH:
        raise CelError(field, f"the expression has more than {MAX_LENGTH} characters", 1, 1)
    found = scan(text, VARIABLES, cel_functions.names())
    problem = found.problem
    if problem is not None and problem.fatal:
        raise CelError(field, problem.message, *line_and_column(text, problem.at))
    try:
        program = cel.compile(text)
    except ValueError as error:
        raise _syntax_error(str(error), field) from None
    except BaseException as error:  # noqa: BLE001  a panic of native code is no Exception
        _reraise_unless_panic(error)
        raise CelError(field, "the CEL library cannot read this expression", 1, 1) from None
    if problem is not None:
        raise CelError(field, problem.message, *line_and_column(text, problem.at))
    return Expression(text, field, program, found)


def _syntax_error(message: str, field: str) -> CelError:
    match = _SYNTAX.search(message)
    if match is None:
        return CelError(field, "the expression is not valid CEL", 1, 1)
    text = (
        match[3]
        .partition(" expecting {")[0]
        .replace("mismatched input '<EOF>'", "the expression ends too early")
    )
    return CelError(field, clean(text, 200), int(match[1]), int(match[2]))


def _reraise_unless_panic(error: BaseException) -> None:
    """A panic of native code is no ``Exception`` (PyO3); an interrupt is none either and must pass."""
    if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
        raise error


class Expression:
    """A compiled expression.

    Attributes:
        text: the expression.
        field: the field of the EventSource that holds it.
        variables: which of `VARIABLES` it reads. Without ``oldObject`` and ``changed``, no old state need
            be kept.
    """

    __slots__ = ("_budget", "_functions", "_program", "_wanted", "field", "text", "variables")

    def __init__(self, text: str, field: str, program: Any, found: Scan) -> None:
        self.text = text
        self.field = field
        self.variables = frozenset(found.roots)
        self._program = program
        self._wanted = found.roots
        self._budget = _Budget(text, found)
        available = cel_functions.extensions()
        self._functions = {name: available[name] for name in found.functions if name in available}

    def evaluate(
        self,
        change_type: str,
        obj: Mapping[str, Any] | None,
        old: Mapping[str, Any] | None,
        changed: Sequence[str] | None,
    ) -> Any:
        """The expression's value as plain JSON.

        Timestamps become RFC 3339 texts, durations seconds with an ``s``, bytes base64, keys of maps texts.

        Args:
            change_type: ``type``.
            obj: ``object``; null where it is not known.
            old: ``oldObject``; null where it is not known.
            changed: ``changed``; an empty list where it is not known.

        Raises:
            CelRuntimeError: the expression fails on this object.
        """
        return to_json(self._run(change_type, obj, old, changed))

    def condition(
        self,
        change_type: str,
        obj: Mapping[str, Any] | None,
        old: Mapping[str, Any] | None,
        changed: Sequence[str] | None,
    ) -> bool:
        """The expression's value, which must be true or false.

        Raises:
            CelRuntimeError: the expression fails on this object, or its value is something else.
        """
        value = self._run(change_type, obj, old, changed)
        if not isinstance(value, bool):
            raise CelRuntimeError(f"a condition must be true or false, this one is a {_type_name(value)}")
        return value

    def _run(self, change_type: str, obj: Any, old: Any, changed: Sequence[str] | None) -> Any:
        values: dict[str, Any] = {}
        for name, wanted in self._wanted.items():
            if name == "object":
                values[name] = _part(obj, wanted)
            elif name == "oldObject":
                values[name] = _part(old, wanted)
            elif name == "type":
                values[name] = str(change_type)
            else:
                values[name] = list(changed or ())
        self._budget.check(values)
        failures: list[str] = []
        context: Any = values
        if self._functions:
            context = cel.Context(
                variables=values,
                functions={
                    name: cel_functions.guarded(function, failures, name)
                    for name, function in self._functions.items()
                },
            )
        try:
            value = self._program.execute(context)
        except BaseException as error:  # noqa: BLE001  a panic of native code is no Exception
            _reraise_unless_panic(error)
            if failures:
                _fail_function(failures)
            raise CelRuntimeError(_runtime_message(error, self.text)) from None
        if failures:
            _fail_function(failures)
        return value


def _fail_function(failures: list[str]) -> NoReturn:
    raise CelRuntimeError(
        f"function {failures[0]}() does not take these arguments, or its result is too large"
    )


def _part(value: Any, wanted: Wanted | None) -> Any:
    """Those parts of a value that an expression reads."""
    if wanted is None or not isinstance(value, dict):
        return value
    return {key: _part(value[key], below) for key, below in wanted.items() if key in value}


def _runtime_message(error: BaseException, source: str) -> str:
    """Our words for what the library reports; its own repeat operands, which are the object's content."""
    match error:
        case KeyError():
            key = str(error.args[0]) if error.args else ""
            known = re.search(rf"(?<![\w.-]){re.escape(key)}(?![\w-])", source) if key else None
            return (
                f"no such key: {clean(key, 100)}; guard it with has()"
                if known
                else "no such key; guard it with has()"
            )
        case IndexError():
            return "a list has no such index"
        case ZeroDivisionError():
            return "division by zero"
        case OverflowError():
            return "a number or time is out of range"
        case TypeError():
            operands = _OPERANDS.match(str(error))
            what = f": {operands[1]}" if operands else ""
            return (
                f"no such operation for these types{what}; null has no fields, and numbers must be converted"
            )
        case MemoryError():
            return "not enough memory"
        case _:
            return "a function failed, or does not exist for these types"


class _Budget:
    """What an evaluation may cost. The library cannot be interrupted, so the cost is estimated before."""

    __slots__ = ("_builds", "_literal", "_macros", "_splits", "_sums")

    def __init__(self, text: str, found: Scan) -> None:
        self._macros = found.macros
        self._literal = found.literal
        self._sums = found.sums
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
        widest = max(size.widest, self._literal, size.longest if self._splits else 0)
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
    raise CelRuntimeError(f"the result is a {_type_name(value)}, which JSON does not have")


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


def _type_name(value: Any) -> str:
    return _TYPE_NAMES.get(type(value), "value of another type")
