"""CEL: what an expression may say, sees and returns, and that nothing it does ends the process."""

import base64
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core import cel_budget, cel_functions, cel_scan
from eventsource_operator.core.cel import (
    MAX_LENGTH,
    CelError,
    CelRuntimeError,
    Expression,
    compile_expression,
)

PAGE = Path(__file__).parents[3] / "docs" / "cel.md"
OBJECT: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {
        "name": "app-config",
        "namespace": "team-a",
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "labels": {"team": "shop"},
        "annotations": {"example.com/notify": "true"},
    },
    "data": {"env": "prod", "config.json": '{"debug": true}', "LOG_LEVEL": "debug", "text": "é"},
    "spec": {"replicas": 3, "ratio": 0.5, "template": {"spec": {"containers": [{"image": "nginx"}]}}},
    "status": {"phase": "Ready"},
    "list": [1, 2, 3],
    "nothing": None,
}
OLD: dict[str, Any] = {**OBJECT, "status": {"phase": "Pending"}, "spec": {"replicas": 1}}
CHANGED = ("data.LOG_LEVEL", "status.phase")
VARIABLES = frozenset({"type", "object", "oldObject", "changed"})


def _evaluate(text: str, obj: Any = OBJECT, old: Any = OLD, changed: Any = CHANGED) -> Any:
    return compile_expression(text, "field").evaluate("Modified", obj, old, changed)


def _examples(heading: str) -> list[str]:
    section = PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```cel\n(.*?)```", section, re.DOTALL)


@pytest.mark.parametrize("text", _examples("Conditions"))
def test_documented_conditions(text: str) -> None:
    expression = compile_expression(text, "spec.watch[0].condition")
    assert expression.condition("Modified", OBJECT, OLD, CHANGED) is True


@pytest.mark.parametrize(
    ("text", "value"),
    list(
        zip(
            _examples("Payloads"),
            [
                {"name": "app-config", "type": "Modified", "changed": list(CHANGED)},
                "Modified ConfigMap team-a/app-config",
                OBJECT["data"],
                {"images": ["nginx"], "team": "shop"},
                "APP_CONFIG",
            ],
            strict=True,
        )
    ),
)
def test_documented_payloads(text: str, value: Any) -> None:
    assert _evaluate(text) == value


def test_there_are_documented_examples_and_the_error_is_the_real_one() -> None:
    assert len(_examples("Conditions")) >= 10
    with pytest.raises(CelError) as caught:
        compile_expression("objekt.data.env == 'prod'", "spec.watch[0].condition")
    assert f"{caught.value.field}: {caught.value}" in PAGE.read_text()


def test_documented_limits_and_functions_are_the_real_ones() -> None:
    page = PAGE.read_text()
    for number in (
        cel_scan.MAX_BRACKETS,
        cel_scan.MAX_DEPTH,
        cel_scan.MAX_NESTED_MACROS,
        cel_budget.MAX_STEPS,
    ):
        assert f"| {number:,} |" in page
    assert f"{MAX_LENGTH:,} characters" in page
    assert f"{cel_budget.MAX_BUILT // 2**20} Mi characters" in page
    assert f"{cel_functions.MAX_TEXT // 2**20} Mi characters" in page
    assert f"| {cel_functions.MAX_WORK:,} |" in page
    words = set(re.findall(r"[\w.]+", page))
    for name in cel_functions.names():
        library, _, function = name.rpartition(".")
        assert name in words or (library == "math" and (function in words or function.startswith("bit")))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("object.data.env", "prod"),
        ('object.metadata.labels["team"]', "shop"),
        ("object['data']['config.json']", '{"debug": true}'),
        ("object.spec.replicas + 1", 4),
        ("object.spec.ratio + 0.25", 0.75),
        ("object.spec.replicas > 2.5", True),
        ("double(object.spec.replicas) / 2.0", 1.5),
        ("18446744073709551615u", 2**64 - 1),
        ("object.nothing", None),
        ("has(object.data.env) && !has(object.data.nope)", True),
        ('"env" in object.data', True),
        ('"nope" in object.data', False),
        ('["x", "env" in object.data ? 1 : 2]', ["x", 1]),
        ('"a" + "b" in {"ab": 1}', True),
        ("'x' in object.list", False),
        ("2 in object.list", True),
        ("'data' in object", True),
        ("'e' in object.data.env.split('v')", False),
        ("object.list.filter(i, i > 1).map(i, i * 2)", [4, 6]),
        ("object.list.all(i, i > 0) && object.list.exists_one(i, i == 2)", True),
        ("object.list.map(object, object + 1)", [2, 3, 4]),
        ("object.list[1u]", 2),
        ("size(object.data)", 4),
        ("object.data.map(key, key).sort()", ["LOG_LEVEL", "config.json", "env", "text"]),
        ("object.data == oldObject.data", True),
        ("object == oldObject", False),
        ("(object).data.env", "prod"),
        ("changed.size()", 2),
        ("type(object.list) == list && type(1u) == uint", True),
        ('object.data.text + "\\u00e9" // the end', "éé"),
        (r"""r'\d' + '''it's''' + 'a\'b' + "a\"b" """, r"""\dit'sa'ba"b"""),
        ('"""a"b""" + r"""c"d"""', 'a"bc"d'),
        ("object.data.env.matches('^p.*d$')", True),
        ("object.data.env.upperAscii().charAt(0)", "P"),
        ("object.data.env.replace('p', 'P', 1).replace('o', '0')", "Pr0d"),
        ("['a', 'b'].join('-') + ['c', 'd'].join()", "a-bcd"),
        ("math.greatest(1, object.spec.replicas)", 3),
        ("object.list.first().orValue(0)", 1),
        ("optional.of(object.list)", [1, 2, 3]),
        ("[optional.none()]", [None]),
        ("timestamp('2026-01-02T03:04:05+02:00')", "2026-01-02T01:04:05Z"),
        ("timestamp('2026-01-02T03:04:05.5Z') + duration('1s')", "2026-01-02T03:04:06.500000Z"),
        ("timestamp(object.metadata.creationTimestamp).getFullYear()", 2026),
        ("duration('90s')", "90s"),
        ("duration('-1500ms')", "-1.500000s"),
        ("bytes('abc')", base64.b64encode(b"abc").decode()),
        ("{'a': b'x', 1: true, false: [1.5]}", {"a": "eA==", "1": True, "false": [1.5]}),
        ("base64.decode('eA==')", "eA=="),
        ("{type: changed}", {"Modified": list(CHANGED)}),
        ("null", None),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = _evaluate(text)
    assert found == value
    assert type(found) is type(value)


def test_what_is_not_known() -> None:
    assert _evaluate("[object, oldObject, changed]", None, None, None) == [None, None, []]
    with pytest.raises(CelRuntimeError, match="null has no fields"):
        _evaluate("object.data", None)


@pytest.mark.parametrize(
    ("text", "line", "column", "hint"),
    [
        ("1 +", 1, 4, "ends too early"),
        ("", 1, 1, "ends too early"),
        ("object.data.env == \n 'x' &&", 2, 8, "ends too early"),
        ("object.data.env = 'x'", 1, 17, "Syntax error"),
        ("é", 1, 1, "token recognition"),
        ("object.?data", 1, 7, "unsupported syntax"),
        ("has(object)", 1, 5, "has() macro"),
        ("9223372036854775808", 1, 1, "invalid int literal"),
        ("objekt.data", 1, 1, "undeclared reference to 'objekt'; the variables are changed, object"),
        ("object.data.env == 'é' &&\n  foo", 2, 3, "undeclared reference to 'foo'"),
        ("false && foo", 1, 10, "undeclared reference to 'foo'"),
        ("{foo: 1}", 1, 2, "undeclared reference to 'foo'"),
        ("object.list.map(i, i + j)", 1, 24, "undeclared reference to 'j'"),
        ("object.list.map(i, i) + [i]", 1, 26, "undeclared reference to 'i'"),
        ("[1].map(1, 2)", 1, 9, "simple name"),
        ("cel.bind(x, 1, x)", 1, 1, "undeclared reference to 'cel'"),
        ("object.data.env.nope()", 1, 17, "undeclared function 'nope'"),
        ("nope(1)", 1, 1, "undeclared function 'nope'"),
        ("math.nope(1)", 1, 1, "undeclared function 'math.nope'"),
        ("math.pi", 1, 1, "undeclared reference to 'math'"),
        ("lists.range(5)", 1, 1, "undeclared reference to 'lists'"),
        ("[math].map(math, math.abs(1))", 1, 2, "undeclared reference to 'math'"),
        ("[1].map(math, math.abs(1))", 1, 20, "undeclared function 'abs'"),
        ("object.data.x.y.z == 1 || type_", 1, 27, "undeclared reference to 'type_'"),
        ("foo + bar(", 1, 11, "ends too early"),
        ("'a" + "x" * MAX_LENGTH, 1, 1, "more than 8192 characters"),
        ("(" * 30 + "1" + ")" * 30, 1, 25, "more than 24 brackets"),
        ("foo + " + "1+" * 300 + "1", 1, 404, "deeper than 200 levels"),
        ("-" * 300 + "1", 1, 200, "deeper than 200 levels"),
        ("object" + ".a" * 300, 1, 405, "deeper than 200 levels"),
        ("[1].map(a,[1].map(b,[1].map(c,[1].map(d,1))))", 1, 38, "more than 3 macros"),
        ("X{a: 1}", 1, 1, "undeclared reference to 'X'"),
        (")]}", 1, 1, "Syntax error"),
        ("object.x.matches('[')", 1, 10, "no regular expression"),
        ("object.x.matches(object.y)", 1, 10, "literal pattern"),
        ("object.x.matches('a' + 'b')", 1, 10, "literal pattern"),
        ("object.x.matches('a') || object.x.matches('(a{500}){50}')", 1, 35, "too large, or repeat too much"),
        ("object.x.matches('\\\\w{150}{40,50}')", 1, 10, "too large, or repeat too much"),
        ("1 + .object.data", 1, 5, "write it without the dot"),
    ],
)
def test_wrong_expressions_are_refused_with_their_place(text: str, line: int, column: int, hint: str) -> None:
    with pytest.raises(CelError) as caught:
        compile_expression(text, "spec.watch[0].condition")
    error = caught.value
    assert hint in error.message
    assert (error.line, error.column) == (line, column)
    assert error.field == "spec.watch[0].condition"
    assert str(error).startswith(f"line {line}, column {column}: ")
    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("object.data.nope == 'x'", "no such key: nope; guard it with has()"),
        ("object['no-such']", "no such key: no-such; guard it with has()"),
        ("{}[object.data.env]", "no such key; guard it with has()"),
        ("{}[object.data.env.substring(4)]", "no such key; guard it with has()"),
        ("[1][object.spec.replicas]", "a list has no such index"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + object.spec.replicas", "a number or time is out of range"),
        ("int(1e300)", "a number or time is out of range"),
        ("object.data.env + 1", "no such operation for these types: string + int;"),
        ("object.data.env && true", "no such operation for these types; null"),
        ("oldObject.nothing.x", "null has no fields"),
        ("int(object.data.env)", "a function failed, or does not exist for these types"),
        ("object.data.env.substring(99)", "function substring() does not take these arguments"),
        ("bool(object.data.env)", "function bool() does not take these arguments"),
        ("bool(object.data.env) + 1", "function bool()"),
        ("['a', 1].join('')", "function join()"),
        ("0.0 / 0.0", "not a number or infinite"),
        ("[1.0 / 0.0]", "not a number or infinite"),
        ("{1: 'a', '1': 'b'}", "two keys of a map are the same"),
        ("timestamp('0001-01-01T00:00:00+05:00')", "out of range"),
    ],
)
def test_failures_have_messages_without_content(
    text: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CelRuntimeError) as caught:
        _evaluate(text)
    assert message in str(caught.value)
    assert "prod" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "prod" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("'text'", "string"),
        ("1", "int"),
        ("1.5", "double"),
        ("null", "null"),
        ("[true]", "list"),
        ("{}", "map"),
        ("b'x'", "bytes"),
        ("duration('1s')", "duration"),
        ("timestamp('2026-01-02T03:04:05Z')", "timestamp"),
        ("optional.of(true)", "value of another type"),
    ],
)
def test_a_condition_must_be_true_or_false(text: str, name: str) -> None:
    with pytest.raises(CelRuntimeError, match=f"must be true or false, this one is a {name}"):
        compile_expression(text, "field").condition("Added", OBJECT, None, None)


def test_an_expression_tells_what_it_reads() -> None:
    assert compile_expression("object.data.env == 'x'", "f").variables == {"object"}
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
        ("'k' in object.data && ('l' in object.data)", {"object": {"data": {"k": None, "l": None}}}),
        ("'k' in object.data.keys.map(k, k)", {"object": {"data": {"keys": None}}}),
        ("'a' + 'k' in object.data", {"object": {"data": None}}),
        ("type in object.data", {"type": None, "object": {"data": None}}),
    ],
)
def test_only_what_is_read_is_converted(text: str, wanted: Any) -> None:
    assert cel_scan.scan(text, VARIABLES, cel_functions.names()).roots == wanted


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
        _evaluate(text, obj)
    assert time.process_time() - start < 5


def test_what_is_allowed_on_large_objects() -> None:
    large = {"data": {f"key-{index}": "x" * 2000 for index in range(500)}}
    assert _evaluate("object.data.exists(k, k == 'key-7')", large) is True
    assert len(_evaluate("object.data.map(k, k + '=' + string(size(object.data[k])))", large)) == 500
    assert _evaluate("object.data['key-1'].size()", large) == 2000
    assert len(_evaluate("object.data.map(k, k + '=' + object.data[k])", large)) == 500
    assert _evaluate("object.data.all(k, object.data[k].matches('^x+$'))", large) is True
    assert _evaluate("object", _nested(199)) == _nested(199)
    pairs = _evaluate(
        "object.c.map(c, c.env.map(e, c.name + e.name))", {"c": [{"name": "a", "env": [{"name": "b"}]}]}
    )
    assert pairs == [["ab"]]
    assert _evaluate("object.c.map(c, object.names[c])", {"c": [0, 1], "names": ["a", "b"]}) == ["a", "b"]
    assert _evaluate("object.c.map(c, object.c.nope[c])", {"c": []}) == []
    containers = [{"env": [{"name": f"n{index}"} for index in range(50)]} for _ in range(10)]
    assert _evaluate("object.c.exists(c, c.env.exists(e, e.name == 'n49'))", {"c": containers}) is True


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
    with pytest.raises(CelError, match=message):
        compile_expression("true", "f")


def test_values_of_unknown_types_are_errors() -> None:
    class Result:
        def execute(self, _context: object) -> object:
            return object()

    with pytest.raises(CelRuntimeError, match="which JSON does not have"):
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
