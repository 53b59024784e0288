"""Which objects are selected: labels, names, and the selectors that only the API server evaluates.

Label semantics are those of Kubernetes (``metav1.LabelSelector``): requirements are joined by "and";
``NotIn`` and ``DoesNotExist`` also match an object that lacks the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from typing import Final

from eventsource_operator.api.eventsource import LabelSelector, Requirement

IMMUTABLE_FIELDS: Final = frozenset({"metadata.name", "metadata.namespace"})
"""Fields that every kind can be selected by and that no object can change."""

_NAME: Final = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL_NAME = re.compile(_NAME)
_PREFIX = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_MAX_PREFIX: Final = 253
_TERMS = re.compile(r"(?:\\.|[^\\,]|\\$)+", re.DOTALL)
_FIELD_TERM = re.compile(r"(?P<field>[A-Za-z][A-Za-z0-9_.-]*)(?:==|!=|=)(?:[^=,\\\s]|\\[=,\\])*")
_SETS: Final = frozenset({"In", "NotIn"})
_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")
_TERM = re.compile(r"\s*(?P<not>!)?\s*(?P<key>[^\s!=,()<>]+)\s*(?P<rest>.*?)\s*", re.DOTALL)
_EQUALITY = re.compile(r"(?P<op>==?|!=)\s*(?P<value>[^\s!=,()]*)")
_SET = re.compile(r"(?P<op>in|notin)\s*\((?P<values>[^()]*)\)")


class SelectorError(ValueError):
    """A selector that Kubernetes would refuse; the message names the part and the remedy."""


def compile_labels(selector: LabelSelector | None) -> Callable[[Mapping[str, str]], bool]:
    """Returns a function that tells whether labels are selected; no selector, or an empty one, takes all.

    Raises:
        SelectorError: see `validate_label_selector`.
    """
    if selector is None or not (selector.match_labels or selector.match_expressions):
        return _everything
    validate_label_selector(selector)
    equal = tuple(selector.match_labels)
    tests = tuple(_requirement(each) for each in selector.match_expressions)
    if not tests:
        return lambda labels: all(labels.get(key) == value for key, value in equal)
    return lambda labels: (
        all(labels.get(key) == value for key, value in equal) and all(test(labels) for test in tests)
    )


def _everything(_labels: Mapping[str, str]) -> bool:
    return True


def _requirement(requirement: Requirement) -> Callable[[Mapping[str, str]], bool]:
    key, values = requirement.key, frozenset(requirement.values)
    match requirement.operator:
        case "In":
            return lambda labels: labels.get(key) in values
        case "NotIn":
            return lambda labels: labels.get(key) not in values
        case "Exists":
            return lambda labels: key in labels
        case _:
            return lambda labels: key not in labels


def validate_label_selector(selector: LabelSelector) -> None:
    """Checks what the API server checks.

    Raises:
        SelectorError: a key, value or operator is not valid, or a set operator has no values.
    """
    for key, value in selector.match_labels:
        _check_key(key)
        _check_value(value)
    for requirement in selector.match_expressions:
        _check_key(requirement.key)
        operator = str(requirement.operator)
        if operator not in _OPERATORS:
            raise SelectorError(f"label {requirement.key!r}: operator must be one of {', '.join(_OPERATORS)}")
        if operator in _SETS and not requirement.values:
            raise SelectorError(f"label {requirement.key!r}: {operator} needs at least one value")
        if operator not in _SETS and requirement.values:
            raise SelectorError(f"label {requirement.key!r}: {operator} takes no values")
        for value in requirement.values:
            _check_value(value)


def _check_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    good = _LABEL_NAME.fullmatch(name) is not None
    if slash:
        good = good and len(prefix) <= _MAX_PREFIX and _PREFIX.fullmatch(prefix) is not None
    if not good:
        raise SelectorError(
            f"label key {key!r} is not valid: up to 63 letters, digits, '-', '_' or '.', "
            "after an optional DNS name and '/'"
        )


def _check_value(value: str) -> None:
    if value and _LABEL_NAME.fullmatch(value) is None:
        raise SelectorError(f"label value {value!r} is not valid: up to 63 letters, digits, '-', '_' or '.'")


def compile_names(globs: tuple[str, ...]) -> Callable[[str], bool]:
    """Returns a function that tells whether a name matches one of the shell globs; no glob takes every name.

    Case matters; ``*``, ``?``, ``[abc]`` and ``[!abc]`` work as in `fnmatch.fnmatchcase`.
    """
    if not globs or "*" in globs:
        return _every_name
    if not any(char in glob for glob in globs for char in "*?["):
        return frozenset(globs).__contains__
    matches = re.compile("|".join(map(translate, globs))).match
    return lambda name: matches(name) is not None


def _every_name(_name: str) -> bool:
    return True


def validate_field_selector(text: str) -> None:
    """Checks the syntax of a field selector: ``key=value``, ``key==value``, ``key!=value``, joined by commas.

    Which fields a kind can be selected by, only the API server knows.

    Raises:
        SelectorError: the text is no field selector.
    """
    _field_terms(text)


def field_selector_is_immutable(text: str) -> bool:
    """Whether an object can neither enter nor leave: every term is about its name or namespace.

    Raises:
        SelectorError: the text is no field selector.
    """
    return all(key in IMMUTABLE_FIELDS for key in _field_terms(text))


def _field_terms(text: str) -> list[str]:
    """The fields that a selector names."""
    return [_field(term) for term in _TERMS.findall(text)]


def _field(term: str) -> str:
    match = _FIELD_TERM.fullmatch(term)
    if match is None:
        raise SelectorError(
            f"field selector term {term!r} is not valid: write field=value, field==value or field!=value, "
            "without spaces, as in metadata.name=app; in a value, put a backslash before ',', '=' and '\\'"
        )
    return match["field"]


def parse_label_selector_string(text: str) -> tuple[str, ...]:
    """Reads a label selector as ``kubectl -l`` takes it, and returns its terms.

    ``a=b``, ``a==b``, ``a!=b``, ``a in (x, y)``, ``a notin (x)``, ``a`` and ``!a``, joined by commas.

    Raises:
        SelectorError: the text is no label selector; the term is named.
    """
    terms = [term.strip() for term in re.split(r",(?![^(]*\))", text)] if text.strip() else []
    for term in terms:
        _check_term(term)
    return tuple(terms)


def _check_term(term: str) -> None:
    match = _TERM.fullmatch(term)
    if match is None:
        raise SelectorError(
            f"label selector term {term!r} is not valid: write key=value, key in (a, b), key or !key"
        )
    _check_key(match["key"])
    rest = match["rest"]
    if not rest:
        return
    if match["not"]:
        raise SelectorError(f"label selector term {term!r} is not valid: !key stands alone")
    if equality := _EQUALITY.fullmatch(rest):
        _check_value(equality["value"])
    elif chosen := _SET.fullmatch(rest):
        for value in chosen["values"].split(","):
            _check_value(value.strip())
    else:
        raise SelectorError(
            f"label selector term {term!r} is not valid: write key=value, key in (a, b), key or !key"
        )
