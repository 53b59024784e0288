"""Reads Kubernetes label selectors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from eventsource_operator.api import patterns
from eventsource_operator.api.reading import Fields, SpecError, check_choice, check_string, shown
from eventsource_operator.api.spec import LabelSelector, Operator, Requirement


def read_selector(fields: Fields) -> LabelSelector:
    """The label selector that `fields` holds.

    Raises:
        SpecError: The API server would refuse it.
    """
    selector = LabelSelector(
        match_labels=_labels(fields.raw("matchLabels"), fields.at("matchLabels")),
        match_expressions=fields.items("matchExpressions", _requirement, maximum=32),
    )
    fields.end()
    return selector


def _labels(value: Any, path: str) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise SpecError(path, f"must be a map of labels, not {shown(value)}")
    if len(value) > 32:  # noqa: PLR2004  the schema's maxProperties
        raise SpecError(path, f"must have at most 32 labels (it has {len(value)})")
    found = {
        _key(key, path): check_string(
            label,
            f"{path}[{key}]",
            max_length=63,
            pattern=patterns.LABEL_VALUE,
            hint=patterns.LABEL_VALUE_HINT,
        )
        for key, label in value.items()
        if label is not None
    }
    return tuple(sorted(found.items()))


def _key(value: Any, path: str) -> str:
    key = check_string(value, path, max_length=317, pattern=patterns.LABEL_KEY, hint=patterns.LABEL_KEY_HINT)
    if key.find("/") > 253:  # noqa: PLR2004  the longest DNS name
        raise SpecError(path, "the DNS name before the / has at most 253 characters")
    return key


def _requirement(value: Any, path: str) -> Requirement:
    fields = Fields(value, path)
    operator = check_choice(
        fields.required("operator", f"give one of {', '.join(Operator)}"), fields.at("operator"), Operator
    )
    requirement = Requirement(
        key=_key(fields.required("key", "name the label"), fields.at("key")),
        operator=operator,
        values=fields.items(
            "values",
            partial(
                check_string, max_length=63, pattern=patterns.LABEL_VALUE, hint=patterns.LABEL_VALUE_HINT
            ),
            maximum=32,
        ),
    )
    fields.end()
    if operator in (Operator.IN, Operator.NOT_IN) and not requirement.values:
        raise SpecError(fields.at("values"), f"must not be empty with {operator}: list the values")
    if operator in (Operator.EXISTS, Operator.DOES_NOT_EXIST) and requirement.values:
        raise SpecError(fields.at("values"), f"must be empty with {operator}: leave it out")
    return requirement
