"""CEL expressions over a change: ``spec.watch[].condition`` and ``spec.event.payload``.

An expression is checked and compiled once. An evaluation converts only those parts of the object that the
expression reads. Whatever goes wrong is an error with a message of our own words: neither the object's
content nor a crash of the native library gets out. Variables, functions and limits are described in
``docs/cel.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import cel

from eventsource_operator.core import cel_functions
from eventsource_operator.core.cel_budget import MAX_PATTERNS, Budget
from eventsource_operator.core.cel_scan import Scan, Wanted, scan
from eventsource_operator.core.cel_tokens import line_and_column
from eventsource_operator.core.cel_values import CelRuntimeError, to_json, type_name
from eventsource_operator.core.text import clean

__all__ = ["CelError", "CelRuntimeError", "Expression", "compile_expression"]

MAX_LENGTH: Final = 8192
"""Characters of an expression: the longer of the two limits in the CRD's schema."""

VARIABLES: Final = frozenset({"type", "object", "oldObject", "changed"})

_SYNTAX = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_OPERANDS = re.compile(r"Unsupported operation: (\w+ \S{1,2} \w+)\.")


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
    _check_patterns(text, field, found)
    return Expression(text, field, program, found)


def _check_patterns(text: str, field: str, found: Scan) -> None:
    """Checks the regular expressions, which the library looks at only when it comes to them."""
    weight = 0
    for pattern in found.patterns:
        place = line_and_column(text, pattern.at)
        weight += pattern.weight
        if weight > MAX_PATTERNS:
            raise CelError(field, "the regular expressions are too large, or repeat too much", *place)
        try:
            cel.evaluate(f"''.matches({pattern.literal})")
        except RuntimeError:
            raise CelError(
                field, "matches() has a pattern that is no regular expression (RE2)", *place
            ) from None


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
        self._budget = Budget(found)
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
            raise CelRuntimeError(f"a condition must be true or false, this one is a {type_name(value)}")
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
        meter = cel_functions.Meter()
        context: Any = values
        if self._functions:
            guarded = {name: meter.guard(function, name) for name, function in self._functions.items()}
            context = cel.Context(variables=values, functions=guarded)
        try:
            value = self._program.execute(context)
        except BaseException as error:  # noqa: BLE001  a panic of native code is no Exception
            _reraise_unless_panic(error)
            if meter.failed:
                _fail_function(meter.failed)
            raise CelRuntimeError(_runtime_message(error, self.text)) from None
        if meter.failed:
            _fail_function(meter.failed)
        return value


def _fail_function(name: str) -> NoReturn:
    raise CelRuntimeError(f"function {name}() does not take these arguments, or they are too large")


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
            known = re.search(rf"(?<![\w-]){re.escape(key)}(?![\w-])", source) if key else None
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
