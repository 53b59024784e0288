"""One entry of ``spec.watch``, compiled: everything that can be decided about an object without asking anybody."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from eventsource_operator.api.eventsource import ChangeType, SpecError, WatchTarget
from eventsource_operator.core.cel import CelError, Expression, compile_expression
from eventsource_operator.core.judge import Candidate
from eventsource_operator.core.ledger import Digests
from eventsource_operator.core.observed import Seen
from eventsource_operator.core.paths import Path, PathError, parse_path
from eventsource_operator.core.selectors import (
    SelectorError,
    compile_labels,
    compile_names,
    field_selector_is_immutable,
    validate_field_selector,
)


class Target:
    """A compiled watch target; see `judge.Selection` for the part that the ledger needs."""

    def __init__(self, index: int, spec: WatchTarget) -> None:
        """Compiles.

        Raises:
            SpecError: a path, selector or expression is malformed; the field is named.
        """
        where = f"spec.watch[{index}]"
        self.index = index
        self.spec = spec
        self.label = f"{spec.api_version}/{spec.kind}"
        self.paths = tuple(_path(text, f"{where}.fields[{i}]") for i, text in enumerate(spec.fields))
        self.condition: Expression | None = None
        if spec.condition:
            try:
                self.condition = compile_expression(spec.condition, f"{where}.condition")
            except CelError as error:
                raise SpecError(error.field, str(error)) from error
        self._names = compile_names(spec.names) if spec.names else None
        try:
            self._labels = compile_labels(spec.label_selector) if spec.label_selector else None
        except SelectorError as error:
            raise SpecError(f"{where}.labelSelector", str(error)) from error
        try:
            if spec.field_selector:
                validate_field_selector(spec.field_selector)
        except SelectorError as error:
            raise SpecError(f"{where}.fieldSelector", str(error)) from error
        self._events = spec.events
        self.server_side = bool(spec.field_selector) and not field_selector_is_immutable(spec.field_selector)
        self.fixed = self._labels is None and not self.server_side
        self.shape = self._shape()

    def _shape(self) -> str:
        """What selects and what is digested: with another shape the ledger is compared with a list again."""
        spec = self.spec
        selector = spec.label_selector
        parts: list[Any] = [sorted(spec.names), sorted(spec.fields), spec.field_selector, repr(selector)]
        return hashlib.blake2b(orjson.dumps(parts), digest_size=8).hexdigest()

    def selects(self, seen: Seen) -> bool:
        """Whether name and labels are selected."""
        if self._names is not None and not self._names(seen.name):
            return False
        return self._labels is None or self._labels(seen.labels)

    def digests(self, seen: Seen) -> Digests | None:
        """Digests of the watched fields; None when every change counts."""
        return seen.digests(self.paths) if self.paths else None

    def wants(self, candidate: Candidate) -> bool:
        """Whether this type of change is asked for."""
        return candidate.type in self._events

    @property
    def wants_old(self) -> bool:
        """Whether anything that is sent or decided may need the state before the change."""
        return ChangeType.MODIFIED in self._events

    def passes(self, candidate: Candidate, obj: Mapping[str, Any] | None, old: Any, changed: Any) -> bool:
        """Whether the condition holds.

        Raises:
            CelRuntimeError: the expression failed on this object; the caller counts it and drops the change.
        """
        if self.condition is None:
            return True
        return self.condition.condition(candidate.type, obj, old, changed)


def _path(text: str, field: str) -> Path:
    try:
        return parse_path(text)
    except PathError as error:
        raise SpecError(field, str(error)) from error
