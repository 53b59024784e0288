"""CEL: what an expression reads of a change is known beforehand, and no more than that is converted for it."""

from typing import Any

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core import cel_functions, cel_scan
from eventsource_operator.core.cel import (
    CelRuntimeError,
    Expression,
    compile_expression,
)

VARIABLES = frozenset({"type", "object", "oldObject", "changed"})


def test_an_expression_tells_what_it_reads() -> None:
    assert compile_expression("object.data.env == 'x'", "f").variables == {"object"}
    assert compile_expression("true", "spec.watch[0].condition").field == "spec.watch[0].condition"
    assert compile_expression("object != oldObject || changed == [type]", "f").variables == VARIABLES
    assert compile_expression("[1].exists(object, object == 1)", "f").variables == frozenset()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("object.data.env", {"object": {"data": {"env": None}}}),
        ("object.data['a.b'].size() + object.data.c", {"object": {"data": {"a.b": None, "c": None}}}),
        ("object.data.env == 'x' || size(object.data) > 1", {"object": {"data": None}}),
        ("size(object.data) > 1 || object.data.env == 'x'", {"object": {"data": None}}),
        ("object == oldObject", {"object": None, "oldObject": None}),
        ("object.data[type]", {"object": {"data": None}, "type": None}),
        ("object.data.exists(k, k == 'x')", {"object": {"data": None}}),
        ("object.spec.containers[0].image", {"object": {"spec": {"containers": None}}}),
        (r"object.data['a\'b']", {"object": {"data": None}}),
        ("object.data['''x''']", {"object": {"data": None}}),
        ('object.data["""x"""]', {"object": {"data": None}}),
        ("'k' in object.data && ('l' in object.data)", {"object": {"data": {"k": None, "l": None}}}),
        ("'k' in object.data.keys.map(k, k)", {"object": {"data": {"keys": None}}}),
        ("'a' + 'k' in object.data", {"object": {"data": None}}),
        ("type == 'x' && 'k' in object.data", {"type": None, "object": {"data": {"k": None}}}),
        ("'k' in object.data[type]", {"type": None, "object": {"data": None}}),
        ("type in object.data", {"type": None, "object": {"data": None}}),
    ],
)
def test_only_what_is_read_is_converted(text: str, wanted: Any) -> None:
    assert cel_scan.scan(text, VARIABLES, cel_functions.names()).roots == wanted


class _Given:
    """A compiled program that keeps what it is given."""

    def __init__(self) -> None:
        self.context: Any = None

    def execute(self, context: Any) -> bool:
        self.context = context
        return True


def test_no_more_than_what_is_read_goes_in() -> None:
    obj = {"data": {"env": "prod", "other": "x"}, "spec": {}}
    old = {"data": {"env": "test", "other": "x"}, "spec": {}}
    text = "object.data.env == 'x' && oldObject.data.env == 'y' && has(object.status)"
    program = _Given()
    expression = Expression(text, "f", program, cel_scan.scan(text, VARIABLES, cel_functions.names()))

    assert expression.condition("Modified", obj, old, None)
    assert program.context == {"object": {"data": {"env": "prod"}}, "oldObject": {"data": {"env": "test"}}}
    assert (expression.text, expression.field) == (text, "f")


NAMES = st.sampled_from(["data", "env", "nope", "spec", "a.b"])


@given(
    st.recursive(
        st.sampled_from([1, "x", None, [], {}]),
        lambda inner: st.one_of(st.dictionaries(NAMES, inner, max_size=3), st.lists(inner, max_size=2)),
    ),
    st.lists(NAMES, min_size=1, max_size=3),
    st.sampled_from(["%s", "has(%s)", "'env' in %s", "%s == 1", "size(%s)", "[%s, object]"]),
)
def test_reading_a_part_means_the_same_as_reading_the_whole(obj: Any, path: list[str], form: str) -> None:
    place = "object" + "".join(f"['{key}']" if "." in key or form != "has(%s)" else f".{key}" for key in path)
    if form == "has(%s)" and "." in path[-1]:
        return
    text = form % place
    whole = Expression(text, "f", cel.compile(text), cel_scan.Scan(roots={"object": None}))
    assert _outcome(compile_expression(text, "f"), obj) == _outcome(whole, obj)


def _outcome(expression: Expression, obj: Any) -> tuple[str, Any]:
    try:
        return "value", expression.evaluate("Added", obj, None, None)
    except CelRuntimeError as error:
        return "error", str(error)
