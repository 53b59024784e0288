"""Why a target matches an object, or does not: each of its tests on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from eventsource_operator.api.eventsource import ChangeType
from eventsource_operator.core.cel import CelRuntimeError
from eventsource_operator.core.judge import Candidate
from eventsource_operator.core.observed import Seen
from eventsource_operator.core.selectors import compile_labels, compile_names
from eventsource_operator.core.target import Target

_OLD_STATE = frozenset({"oldObject", "changed"})


class Test(NamedTuple):
    """One test; ``passed`` is None where it depends on what is not known here."""

    test: str
    passed: bool | None
    detail: str


def explain(
    target: Target, seen: Seen, namespaces: Sequence[str], change: ChangeType, *, listed: bool
) -> list[Test]:
    """The tests in the order in which the operator makes them.

    Args:
        target: Compiled.
        seen: The object.
        namespaces: Those that the target reads; an empty name stands for all.
        change: What is supposed to happen to the object.
        listed: Whether the API server lists it with the target's field selector.
    """
    spec = target.spec
    reads = not namespaces or "" in namespaces or not seen.namespace or seen.namespace in namespaces
    tests = [
        Test("namespaces", reads and bool(namespaces), _shown(namespaces)),
        Test("names", compile_names(spec.names)(seen.name), ", ".join(spec.names) or "every name"),
        Test("labelSelector", compile_labels(spec.label_selector)(seen.labels), _labels(target)),
        Test("fieldSelector", listed, spec.field_selector or "none"),
        Test(
            "events",
            change in spec.events,
            ", ".join(each.value for each in ChangeType if each in spec.events),
        ),
    ]
    if spec.fields:
        detail = f"Modified counts only when one of these changes: {', '.join(spec.fields)}"
        tests.append(Test("fields", None if change is ChangeType.MODIFIED else True, detail))
    tests.append(_condition(target, seen, change))
    return tests


def _shown(namespaces: Sequence[str]) -> str:
    if not namespaces:
        return "no namespace is selected"
    return "all" if "" in namespaces else ", ".join(namespaces)


def _labels(target: Target) -> str:
    selector = target.spec.label_selector
    if selector is None:
        return "none"
    parts = [f"{key}={value}" for key, value in selector.match_labels]
    for each in selector.match_expressions:
        values = f" ({', '.join(each.values)})" if each.values else ""
        parts.append(f"{each.key} {each.operator.value}{values}")
    return ", ".join(parts) or "everything"


def _condition(target: Target, seen: Seen, change: ChangeType) -> Test:
    expression = target.condition
    if expression is None:
        return Test("condition", True, "none")
    candidate = Candidate(change, seen.uid, None, None, seen=True)
    try:
        passed = target.passes(candidate, seen.object, None, None)
    except CelRuntimeError as error:
        return Test("condition", False, f"{expression.text}: {error}")
    detail = expression.text
    if expression.variables & _OLD_STATE:
        detail += " (the old state is not known here: oldObject is null, changed is empty)"
    return Test("condition", passed, detail)
