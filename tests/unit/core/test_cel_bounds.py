"""CEL: what could cost too much is refused, and nothing that an expression does ends the process."""

import re
import subprocess
import sys
import time
from typing import Any

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core import cel_scan
from eventsource_operator.core.cel import (
    CelError,
    CelRuntimeError,
    Expression,
    compile_expression,
)
from tests.unit.core.cel_cases import CHANGED, OBJECT, OLD, evaluate


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("text", "obj", "message"),
    [
        ("object", _nested(250), "the object nests deeper than 200 levels"),
        (
            "object.list.map(a, object.list.map(b, a + b))",
            {"list": list(range(300))},
            "300 to the power of 2 steps",
        ),
        (
            "(object.list + object.list).exists(a, a < 0)",
            {"list": list(range(30_000))},
            "60000 to the power of 1",
        ),
        (
            "[object.list, object.list].flatten().all(a, a >= 0)",
            {"list": list(range(30_000))},
            "to the power of 1",
        ),
        ("object.text.split('').map(c, c)", {"text": "x" * 60_000}, "60000 to the power of 1"),
        ("[object.text].map(x, [x + x + x + x].map(y, y + y + y + y))", {"text": "x" * 10**6}, "too large"),
        (
            "object.all(k, object[k] != '')",
            {f"k{index}": "x" for index in range(2000)},
            "read too much of this object",
        ),
        (
            "object.list.all(x, " + "[1, 2, 3].size() > 0 && " * 20 + "true)",
            {"list": [1] * 30_000},
            "read too much",
        ),
        (
            "object.list.all(x, object.text.matches('a'))",
            {"list": [1] * 1000, "text": "x" * 10**6},
            "too large",
        ),
        (
            " && ".join(["object == object"] * 60),
            {f"k{index}": "x" for index in range(20_000)},
            "read too much",
        ),
        ("object.list.map(x, x)", {"list": list(range(3000))}, "map and filter would collect too much"),
        ("object.list.map(x, object)", {"list": list(range(400))}, "map and filter would collect too much"),
        ("object.list.map(x, object.list.map(y, x))", {"list": list(range(150))}, "collect too much"),
        (
            "object.list.map(x, object[x])",
            {"list": ["big"] * 100, "big": list(range(300))},
            "collect too much",
        ),
        ("object.list.all(x, !x.matches('^[a-z]+-[0-9]+$'))", {"list": ["x"] * 20_000}, "too many regular"),
        ("object.list.distinct()", {"list": list(range(6000))}, "function distinct()"),
        (
            "object.list.exists(x, sets.contains(object.l, object.l) && false)",
            {"list": ["x"] * 500, "l": list(range(500))},
            "function sets.contains()",
        ),
        ("object.list.map(x, object.text)", {"list": [1] * 600, "text": "x" * 10**6}, "collect too much"),
        ("object.text.replace('x', object.text)", {"text": "x" * 10_000}, "function replace()"),
        ("object.text.replace('x', object.text, 500)", {"text": "x" * 10_000}, "function replace()"),
        ("object.list.join(object.text)", {"text": "x" * 10_000, "list": ["x"] * 1000}, "function join()"),
        ("[[object]]", _nested(199), "the result nests deeper than 200 levels"),
    ],
)
def test_what_could_cost_too_much_is_refused(text: str, obj: Any, message: str) -> None:
    start = time.process_time()
    with pytest.raises(CelRuntimeError, match=re.escape(message)):
        evaluate(text, obj)
    assert time.process_time() - start < 5


def test_what_is_allowed_on_large_objects() -> None:
    large = {"data": {f"key-{index}": "x" * 2000 for index in range(500)}}
    assert evaluate("object.data.exists(k, k == 'key-7')", large) is True
    assert len(evaluate("object.data.map(k, k + '=' + string(size(object.data[k])))", large)) == 500
    assert evaluate("object.data['key-1'].size()", large) == 2000
    assert len(evaluate("object.data.map(k, k + '=' + object.data[k])", large)) == 500
    assert evaluate("object.data.all(k, object.data[k].matches('^x+$'))", large) is True
    assert evaluate("object", _nested(199)) == _nested(199)
    pairs = evaluate(
        "object.c.map(c, c.env.map(e, c.name + e.name))", {"c": [{"name": "a", "env": [{"name": "b"}]}]}
    )
    assert pairs == [["ab"]]
    assert evaluate("object.c.map(c, object.names[c])", {"c": [0, 1], "names": ["a", "b"]}) == ["a", "b"]
    assert evaluate("object.c.map(c, object.c.nope[c])", {"c": []}) == []
    containers = [{"env": [{"name": f"n{index}"} for index in range(50)]} for _ in range(10)]
    assert evaluate("object.c.exists(c, c.env.exists(e, e.name == 'n49'))", {"c": containers}) is True


DEEPEST = (
    "1" + "+1" * 190,
    "-" * 190 + "1",
    "!" * 190 + "true",
    "object" + ".a" * 190,
    "object" + "[0]" * 190,
    "(" * 24 + "-" * 170 + "1" + ")" * 24,
    "[" * 24 + "1" + "]" * 24,
    "{1:" * 24 + "1" + "}" * 24,
    "(-" * 24 + "1" + ")" * 24,
    "size(" * 24 + "'a'" + ")" * 24,
    "true?" * 80 + "1" + ":1" * 80,
    "object" + ".size()" * 90,
    "1" + " in [1]" * 90,
    "true" + "&&true" * 190,
    "[1].map(x," * 3 + "1" + "+1" * 150 + ")" * 3,
)


def test_the_deepest_expressions_that_are_accepted_do_not_end_the_process() -> None:
    """In a process of its own, on a stack of 512 KiB: a sixteenth of what a thread has on Linux."""
    program = """
import sys, threading
from eventsource_operator.core.cel import CelError, CelRuntimeError, compile_expression
deep = {}
for _ in range(198):
    deep = {"a": deep}
def run():
    for text in sys.argv[1:]:
        try:
            compile_expression(text, "f").evaluate("Added", deep, deep, ())
        except CelError as error:
            if "deeper" in error.message or "brackets" in error.message:
                raise
        except CelRuntimeError:
            pass
    compile_expression("object == oldObject", "f").evaluate("Added", deep, deep, ())
    compile_expression("object", "f").evaluate("Added", deep, deep, ())
    print("survived")  # noqa: T201  a measurement to be read
threading.stack_size(512 * 1024)
thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, *DEEPEST], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "survived\n", done.stderr


@given(st.text("abot.()[]{}'\"\\+-!?:,<=>&|0 \n/#\u00e9", max_size=40))
def test_no_text_makes_anything_but_a_cel_error(text: str) -> None:
    try:
        compile_expression(text, "f").evaluate("Added", OBJECT, None, None)
    except (CelError, CelRuntimeError):
        return


class PanicException(BaseException):
    """Stands for a panic of native code, which is no Exception."""


class _Broken:
    """A compiled program that ends in the way it is told."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def execute(self, _context: object) -> object:
        raise self._error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PanicException("secret"), "a function failed"),
        (MemoryError(), "not enough memory"),
        (KeyError(), "no such key; guard"),
        (ValueError("secret"), "a function failed"),
    ],
)
def test_a_failure_of_the_library_is_an_error(error: BaseException, message: str) -> None:
    expression = Expression("true", "f", _Broken(error), cel_scan.Scan())
    with pytest.raises(CelRuntimeError, match=message) as caught:
        expression.condition("Added", OBJECT, None, None)
    assert "secret" not in str(caught.value)


def test_an_interrupt_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        Expression("true", "f", _Broken(KeyboardInterrupt()), cel_scan.Scan()).evaluate(
            "Added", None, None, None
        )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PanicException("?"), "the CEL library cannot read this expression"),
        (ValueError("no position"), "the expression is not valid CEL"),
    ],
)
def test_a_compiler_that_breaks_is_an_error(
    error: BaseException, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_text: str) -> object:
        raise error

    monkeypatch.setattr(cel, "compile", broken)
    with pytest.raises(CelError, match=message) as caught:
        compile_expression("true", "f")
    assert (caught.value.field, caught.value.line, caught.value.column) == ("f", 1, 1)


def test_a_long_message_of_the_compiler_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_text: str) -> object:
        raise ValueError("ERROR: <input>:1:2: " + "x" * 300)

    monkeypatch.setattr(cel, "compile", broken)
    with pytest.raises(CelError) as caught:
        compile_expression("true", "f")
    assert len(caught.value.message) == 200


def test_a_long_key_is_cut() -> None:
    key = "k" * 101
    with pytest.raises(CelRuntimeError, match=r"^no such key: k{99}…; guard it"):
        evaluate(f"object['{key}']")


def test_values_of_unknown_types_are_errors() -> None:
    class Result:
        def execute(self, _context: object) -> object:
            return object()

    with pytest.raises(CelRuntimeError, match="is a value of another type, which JSON does not"):
        Expression("true", "f", Result(), cel_scan.Scan()).evaluate("Added", None, None, None)


def test_ten_thousand_evaluations_take_less_than_a_second() -> None:
    large = {**OBJECT, "data": {"env": "prod", **{f"key-{index}": "x" * 24 for index in range(30)}}}
    expression = compile_expression(
        'type == "Modified" && object.data.env == "prod" && has(object.metadata.labels) && "k" in changed',
        "f",
    )
    start = time.process_time()
    for _ in range(10_000):
        expression.condition("Modified", large, OLD, CHANGED)
    spent = time.process_time() - start
    print(f"\n10,000 evaluations: {spent:.2f} s")  # noqa: T201  a measurement to be read
    assert spent < 1
