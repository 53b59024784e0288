"""CEL: what an expression may say and returns, and how it is refused."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest

from eventsource_operator.core import cel_budget, cel_functions, cel_scan
from eventsource_operator.core.cel import (
    MAX_LENGTH,
    CelError,
    CelRuntimeError,
    compile_expression,
)
from tests.unit.core.cel_cases import CHANGED, OBJECT, OLD, evaluate

PAGE = Path(__file__).parents[3] / "docs" / "cel.md"


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
    assert evaluate(text) == value


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
        ("{'a': 1}.a + 'abc'.size()", 4),
        ("{type: changed}", {"Modified": list(CHANGED)}),
        ("null", None),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = evaluate(text)
    assert found == value
    assert type(found) is type(value)


def test_what_is_not_known() -> None:
    assert evaluate("[object, oldObject, changed]", None, None, None) == [None, None, []]
    with pytest.raises(CelRuntimeError, match="null has no fields"):
        evaluate("object.data", None)


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
        ("'a' in .object.data", 1, 8, "write it without the dot"),
        ("object.math.abs(1)", 1, 13, "undeclared function 'abs'"),
    ],
)
def test_wrong_expressions_are_refused_with_their_place(text: str, line: int, column: int, hint: str) -> None:
    with pytest.raises(CelError) as caught:
        compile_expression(text, "spec.watch[0].condition")
    error = caught.value
    assert hint in error.message
    assert "expecting {" not in error.message, "the grammar's tokens help nobody"
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
        evaluate(text)
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
