"""Reads JSON objects field by field and says exactly which field is wrong and what would mend it.

The readers follow the API server's structural schemas, so that a manifest can be judged without one:
a `null` counts as a missing field, a missing field takes its default, a field that the schema does not
know is an error (as with `kubectl apply`, which asks for strict validation), and lengths count Unicode
code points. Nothing here knows an EventSource; `api.eventsource` and `api.checkpoint` describe the kinds.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")

INT64_MAX = 2**63 - 1
_SHOWN = 60  # characters of a wrong value that a message repeats


class SpecError(ValueError):
    """A field of a manifest that cannot be accepted.

    Attributes:
        field: The dotted path of the field, such as `spec.watch[0].kind`.
        message: What is wrong with it, and what would be right.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def shown(value: Any) -> str:
    """A value as a message may repeat it: one short line without control characters."""
    text = ascii(value) if isinstance(value, str | int | float | bool | None) else f"a {_type_name(value)}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _type_name(value: Any) -> str:
    if isinstance(value, Mapping):
        return "map"
    return "list" if isinstance(value, Sequence) else type(value).__name__


def check_string(
    value: Any,
    path: str,
    *,
    min_length: int = 0,
    max_length: int,
    pattern: str = "",
    hint: str = "",
) -> str:
    """Returns `value` when it is a string of the right length and form.

    Args:
        value: What the manifest holds.
        path: The field's path, for the message.
        min_length: The least number of code points.
        max_length: The largest number of code points.
        pattern: A regular expression that the whole string must match; written so that Go's RE2 and
            Python read it alike.
        hint: What the pattern asks for, in words.

    Raises:
        SpecError: The value is something else.
    """
    if not isinstance(value, str):
        quote = ": put it in quotes" if isinstance(value, int | float) else ""
        raise SpecError(path, f"must be a string, not {shown(value)}{quote}")
    if len(value) < min_length:
        raise SpecError(
            path, f"must not be shorter than {min_length} characters: give a value or leave it out"
        )
    if len(value) > max_length:
        raise SpecError(path, f"must not be longer than {max_length} characters (it has {len(value)})")
    if pattern and not re.fullmatch(pattern, value):
        raise SpecError(path, f"{shown(value)} is not {hint}")
    return value


def check_number(value: Any, path: str, *, minimum: float, maximum: float, integer: bool) -> int | float:
    """Returns `value` when it is a finite number within bounds.

    Raises:
        SpecError: The value is something else.
    """
    what = "a whole number" if integer else "a number"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise SpecError(path, f"must be {what}, not {shown(value)}")
    if not math.isfinite(value) or (integer and value != int(value)):
        raise SpecError(path, f"must be {what}, not {shown(value)}")
    if not minimum <= value <= maximum:
        raise SpecError(path, f"must be from {minimum} to {maximum}, not {shown(value)}")
    return int(value) if integer else value


def check_list(value: Any, path: str, *, minimum: int = 0, maximum: int) -> Sequence[Any]:
    """Returns `value` when it is a list of the right length.

    Raises:
        SpecError: The value is something else.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise SpecError(path, f"must be a list, not {shown(value)}")
    if len(value) < minimum:
        raise SpecError(path, "must not be empty: add an item or leave the field out")
    if len(value) > maximum:
        raise SpecError(path, f"must have at most {maximum} items (it has {len(value)})")
    return value


class Fields:
    """The fields of one JSON object, read by name; `end` then refuses what nobody asked for."""

    __slots__ = ("_known", "_values", "path")

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, Mapping):
            raise SpecError(path, f"must be a map of fields, not {shown(value)}")
        self.path = path
        self._values: Mapping[Any, Any] = value
        self._known: set[str] = set()

    def at(self, name: str) -> str:
        """The path of the field `name`."""
        return f"{self.path}.{name}" if self.path else name

    def raw(self, name: str) -> Any:
        """The field's value as it stands; None when it is missing or null."""
        self._known.add(name)
        return self._values.get(name)

    def required(self, name: str, remedy: str) -> Any:
        """The field's value as it stands.

        Raises:
            SpecError: It is missing or null; the message carries `remedy`.
        """
        value = self.raw(name)
        if value is None:
            raise SpecError(self.at(name), f"is required: {remedy}")
        return value

    def string(self, name: str, default: str = "", **rules: Any) -> str:
        """The string `name`, under the rules of `check_string`; a default is not held to them."""
        value = self.raw(name)
        return default if value is None else check_string(value, self.at(name), **rules)

    def required_string(self, name: str, remedy: str, **rules: Any) -> str:
        """The string `name`, under the rules of `check_string`."""
        return check_string(self.required(name, remedy), self.at(name), **rules)

    def boolean(self, name: str) -> bool:
        """The boolean `name`; false when it is missing."""
        value = self.raw(name)
        if value is None:
            return False
        if not isinstance(value, bool):
            raise SpecError(self.at(name), f"must be true or false, not {shown(value)}")
        return value

    def integer(self, name: str, *, minimum: int, maximum: int) -> int | None:
        """The whole number `name` within bounds; None when it is missing."""
        value = self.raw(name)
        if value is None:
            return None
        return int(check_number(value, self.at(name), minimum=minimum, maximum=maximum, integer=True))

    def number(self, name: str, *, minimum: float, maximum: float) -> int | float | None:
        """The number `name` within bounds; None when it is missing."""
        value = self.raw(name)
        if value is None:
            return None
        return check_number(value, self.at(name), minimum=minimum, maximum=maximum, integer=False)

    def choice(self, name: str, default: E) -> E:
        """The member of `default`'s enumeration that `name` holds."""
        value = self.raw(name)
        return default if value is None else check_choice(value, self.at(name), type(default))

    def object(self, name: str) -> Fields | None:
        """The object `name`; None when it is missing."""
        value = self.raw(name)
        return None if value is None else Fields(value, self.at(name))

    def nested(self, name: str, read: Callable[[Fields], T]) -> T | None:
        """The object `name` as `read` understands it; None when it is missing."""
        fields = self.object(name)
        return None if fields is None else read(fields)

    def items(
        self,
        name: str,
        read: Callable[[Any, str], T],
        *,
        minimum: int = 0,
        maximum: int,
        unique: bool = False,
    ) -> tuple[T, ...]:
        """The list `name`, each item read by `read(value, path)`; empty when it is missing.

        Raises:
            SpecError: It is not a list, too short or too long, or has an item twice where `unique`.
        """
        value = self.raw(name)
        if value is None:
            return ()
        path = self.at(name)
        items = check_list(value, path, minimum=minimum, maximum=maximum)
        found = tuple(read(item, f"{path}[{index}]") for index, item in enumerate(items))
        if unique:
            for index, item in enumerate(found):
                if item in found[:index]:
                    raise SpecError(f"{path}[{index}]", f"{shown(str(item))} is listed twice: remove one")
        return found

    def end(self) -> None:
        """Refuses the fields that were not read.

        Raises:
            SpecError: There is one; the message proposes the nearest known name.
        """
        for name in self._values:
            if name in self._known:
                continue
            near = difflib.get_close_matches(str(name), sorted(self._known), n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(self._known))}"
            raise SpecError(self.at(_printable(name)), f"is not a known field: {remedy}")


def check_choice(value: Any, path: str, choices: type[E]) -> E:
    """Returns the member of `choices` whose value is `value`.

    Raises:
        SpecError: There is none.
    """
    for member in choices:
        if value == member.value:
            return member
    raise SpecError(path, f"must be one of {', '.join(choices)}, not {shown(value)}")


def _printable(name: Any) -> str:
    text = str(name)
    return text if len(text) <= _SHOWN and text.isprintable() else shown(text)
