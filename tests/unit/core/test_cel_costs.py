"""CEL: where exactly the limits lie, on what a scan found and on values whose measures are known."""

from typing import Any

import pytest

from eventsource_operator.core import cel_budget
from eventsource_operator.core.cel import MAX_LENGTH, CelError, CelRuntimeError, compile_expression
from eventsource_operator.core.cel_budget import MAX_BUILT, MAX_PATTERNS, MAX_STEPS, Budget, measure
from eventsource_operator.core.cel_functions import MAX_TEXT, MAX_WORK, Meter, _join, _replace, _work
from eventsource_operator.core.cel_scan import Pattern, Read, Scan
from eventsource_operator.core.cel_tokens import pattern_weight

KIB = 1 << 10
SMALL_OLD = {"object": [0] * 1000, "oldObject": [0] * 999}
"""1,999 entries, of which the widest list has 1,000: one each, rounded down."""


def _read(name: str, level: int, *path: str) -> Read:
    return Read(name, path, dynamic=False, level=level)


@pytest.mark.parametrize(
    ("value", "measures"),
    [
        (None, (0, 0, 0, 0)),
        (7, (0, 0, 0, 0)),
        ("text", (0, 0, 4, 4)),
        ([], (0, 0, 0, 0)),
        ({"key": "text", "k": [1, "ab"]}, (2, 4, 4, 10)),
        ([{"a": 1, "b": 2, "c": 3}, {"d": "xyz"}, []], (3, 7, 3, 7)),
    ],
)
def test_measures(value: Any, measures: tuple[int, int, int, int]) -> None:
    """The widest map or list, all entries, the longest text, and all texts, keys among them."""
    size = measure(value)
    assert (size.widest, size.entries, size.longest, size.total) == measures


def test_values_may_nest_two_hundred_levels_deep() -> None:
    deep: list[Any] = []
    for _ in range(199):
        deep = [deep]
    assert measure(deep).entries == 199
    with pytest.raises(CelRuntimeError, match="nests deeper than 200 levels"):
        measure([deep])


@pytest.mark.parametrize(
    ("value", "path", "dynamic", "measures"),
    [
        ({"a": {"b": ["xy", "z"]}}, ("a", "b"), False, (2, 3)),
        ({"a": {"b": ["xy", "z"]}}, ("a", "c"), False, (0, 0)),
        ("text", ("a",), False, (0, 0)),
        ([[1, 2, 3], ["abcd"]], (), True, (3, 4)),
        ([["abcd"], [1, 2, 3]], (), True, (3, 4)),
        ({"p": [1, 2], "q": "text"}, (), True, (2, 4)),
        ("text", (), True, (0, 4)),
    ],
)
def test_what_a_read_can_give(
    value: Any, path: tuple[str, ...], dynamic: bool, measures: tuple[int, int]
) -> None:
    size = cel_budget._reachable(value, Read("object", path, dynamic, 1))
    assert (size.entries, size.total) == measures


def _texts(length: int, more: int = 0) -> list[str]:
    """256 texts, the first of them longer by ``more``."""
    return ["x" * (length + more), *["x" * length] * 255]


LONGEST = 512 * KIB - 8 * KIB
MIXED = ["x" * LONGEST, *["x" * 30_872] * 254, "x" * (30_872 + 152)]
"""256 texts of 8 Mi characters together: what is summed and what is collected come to the limit together."""


@pytest.mark.parametrize(
    ("scan", "values", "over"),
    [
        # the steps of macros: 50,000
        (Scan(macros=1), {"object": [0] * MAX_STEPS}, {"object": [0] * (MAX_STEPS + 1)}),
        (Scan(macros=1, joined=1), {"object": [0] * 25_000}, {"object": [0] * 25_001}),
        (Scan(macros=1, literal=2, functions={"flatten"}), {"o": [0] * 25_000}, {"o": [0] * 25_001}),
        (Scan(macros=1, functions={"flatten"}), {"o": [0] * MAX_STEPS}, {"o": [0] * (MAX_STEPS + 1)}),
        (Scan(macros=1, functions={"split"}), {"o": "x" * MAX_STEPS}, {"o": "x" * (MAX_STEPS + 1)}),
        (Scan(macros=2), {"object": [0] * 223}, {"object": [0] * 224}),
        # the regular expressions: a weight of 150,000
        (
            Scan(macros=1, patterns=[Pattern("", 150, 1, 0)]),
            {"object": [0] * 1000},
            {"object": [0] * 1001},
        ),
        (
            Scan(macros=2, patterns=[Pattern("", 1500, 2, 0)]),
            {"object": [0] * 10},
            {"object": [0] * 11},
        ),
        # what is copied: 4,000,000 entries
        (Scan(macros=1, size=80), {"object": [0] * 50_000}, None),
        (Scan(reads=[_read("o", 0)] * 10), {"o": [0] * 199_999}, {"o": [0] * 200_000}),
        (Scan(reads=[_read("o", 0, "a", "b")] * 10), {"o": [0] * 99_999}, {"o": [0] * 100_000}),
        (
            Scan(macros=1, reads=[_read("oldObject", 1)] * 2),
            SMALL_OLD,
            {"object": [0] * 1000, "oldObject": [0] * 1000},
        ),
        (
            Scan(macros=1, reads=[_read("", 1)] * 1000),
            SMALL_OLD,
            {"object": [0] * 1000, "oldObject": [0] * 1000},
        ),
        # what is built: 512 Mi characters
        (Scan(sums=MAX_BUILT), {}, {"type": "x"}),
        (
            Scan(macros=1, sums=15),
            {"o": [0] * KIB, "t": "x" * 2 * KIB},
            {"o": [0] * KIB, "t": "x" * (2 * KIB + 1)},
        ),
        (
            Scan(macros=1, reads=[_read("t", 1), _read("t", 1), _read("t", 0)]),
            {"o": [0] * KIB, "t": "x" * 256 * KIB},
            {"o": [0] * KIB, "t": "x" * (256 * KIB + 1)},
        ),
        (
            Scan(macros=2, reads=[_read("t", 2)]),
            {"o": [0] * 128, "t": "x" * 32 * KIB},
            {"o": [0] * 128, "t": "x" * (32 * KIB + 1)},
        ),
        # what is collected: 8,000,000 entries
        (
            Scan(macros=1, builds=True, made=6),
            SMALL_OLD,
            {"object": [0] * 1000, "oldObject": [0] * 1000},
        ),
        (
            Scan(macros=1, builds=True, made=5, reads=[_read("", 1)]),
            SMALL_OLD,
            {"object": [0] * 1000, "oldObject": [0] * 1000},
        ),
        (
            Scan(macros=1, builds=True, made=3, reads=[_read("t", 1), _read("o", 0)]),
            {"o": [0] * 1000, "t": [0] * 3},
            {"o": [0] * 1000, "t": [0] * 4},
        ),
        # what is collected: 2 Gi characters
        (
            Scan(macros=1, builds=True),
            {"o": _texts(32 * KIB, 255)},
            {"o": _texts(32 * KIB, 256)},
        ),
        (
            Scan(macros=1, builds=True, reads=[_read("", 1)]),
            {"o": _texts(16 * KIB, 255)},
            {"o": _texts(16 * KIB, 256)},
        ),
        (
            Scan(macros=1, builds=True, reads=[_read("t", 1)]),
            {"o": _texts(16 * KIB), "t": "x" * 16_321},
            {"o": _texts(16 * KIB), "t": "x" * 16_322},
        ),
        # what is summed and what is collected, together
        (Scan(macros=1, builds=True, sums=1), {"o": MIXED}, {"o": ["x" * (LONGEST + 1), *MIXED[1:]]}),
    ],
)
def test_what_reaches_a_limit_is_allowed_and_one_more_is_not(
    scan: Scan, values: dict[str, Any], over: dict[str, Any] | None
) -> None:
    budget = Budget(scan)
    budget.check(values)
    if over is not None:
        with pytest.raises(CelRuntimeError):
            budget.check(over)


@pytest.mark.parametrize(
    "scan",
    [
        Scan(macros=1, literal=MAX_STEPS + 1),
        Scan(macros=1, size=81),
        Scan(macros=2, builds=True, made=8_000_000),
        Scan(patterns=[Pattern("", MAX_PATTERNS, 0, 0), Pattern("", 1, 0, 0)]),
    ],
)
def test_the_expression_alone_may_be_too_much(scan: Scan) -> None:
    with pytest.raises(CelRuntimeError):
        Budget(scan).check({"object": [0] * (MAX_STEPS if scan.macros == 1 else 1)})


def test_what_does_not_count() -> None:
    """A long text where nothing is summed or split; a variable where there is nothing; eight reads without macros."""
    text = "x" * (MAX_STEPS + 1)
    Budget(Scan(macros=1)).check({"object": text})
    Budget(Scan(macros=1, reads=[_read("object", 0)])).check({"object": [0] * MAX_STEPS, "t": text})
    Budget(Scan(macros=1, reads=[_read("", 1)], builds=True)).check({"object": {}})
    Budget(Scan(patterns=[Pattern("", MAX_PATTERNS, 0, 0)])).check({})
    Budget(Scan(reads=[_read("o", 0, "a", "b", "c")] * 8)).check({"o": [0] * 100_000})
    Budget(Scan(macros=17)).check({"object": "x"})
    Budget(Scan(macros=17, functions={"flatten"})).check({"object": "x"})


@pytest.mark.parametrize(
    ("pattern", "weight"),
    [
        ("abc", 3),
        (r"a\d", 60),
        ("a{5}", 20),
        ("a{2,7}", 42),
        ("a{3,}", 15),
        ("a{0}", 4),
        ("a{1}", 4),
        ("a{2}b{3}", 48),
    ],
)
def test_what_a_pattern_weighs(pattern: str, weight: int) -> None:
    assert pattern_weight(pattern) == weight


def test_patterns_weigh_together() -> None:
    """Each of the two weighs half of what is allowed: 150 characters, 500 times."""
    half = "type.matches('" + "a" * 143 + "{500}')"
    compile_expression(f"{half} || {half}", "f")
    with pytest.raises(CelError, match="the regular expressions are too large") as caught:
        compile_expression(f"{half} || {half} || type.matches('a')", "f")
    assert caught.value.column == 2 * len(half + " || ") + len("type.") + 1


def test_the_longest_expression() -> None:
    compile_expression("'" + "x" * (MAX_LENGTH - 2) + "'", "f")
    with pytest.raises(CelError, match="has more than"):
        compile_expression("'" + "x" * (MAX_LENGTH - 1) + "'", "f")


@pytest.mark.parametrize(
    ("args", "quadratic", "work"),
    [
        ((), False, 20),
        ((1, None), True, 20),
        (("abc", [1, 2], b"xy", 7), False, 27),
        (("abc", [1, 2]), True, 29),
    ],
)
def test_the_work_of_a_call(args: tuple[Any, ...], quadratic: bool, work: int) -> None:
    assert _work(args, quadratic=quadratic) == work


def test_a_call_may_use_up_what_is_left() -> None:
    meter = Meter()
    assert (meter.left, meter.failed) == (MAX_WORK, "")
    meter.left = 25
    size = meter.guard(len, "size")
    assert size("abcde") == 5
    assert (meter.left, meter.failed) == (0, "")
    assert size("") is None
    assert meter.failed == "size"


def test_the_longest_texts_that_functions_build() -> None:
    assert len(_replace("x", "x", "y" * (MAX_TEXT - 1))) == MAX_TEXT - 1
    assert len(_join(["x" * (MAX_TEXT - 2)], "--")) == MAX_TEXT - 2
    with pytest.raises(ValueError, match="too long"):
        _replace("x", "x", "y" * MAX_TEXT)
    with pytest.raises(ValueError, match="too long"):
        _join(["x" * (MAX_TEXT - 1)], "--")


@pytest.mark.parametrize(("limit", "replaced"), [(0, 0), (1, 1), (2, 2), (9, 4), (-1, 4)])
def test_only_what_is_replaced_counts(limit: int, replaced: int) -> None:
    text = "-".join("xxxx")
    assert _replace(text, "x", "y", limit) == text.replace("x", "y", limit)
    longest = "y" * ((MAX_TEXT - len(text)) // max(1, replaced))
    assert _replace(text, "x", longest, limit).count("x") == 4 - replaced
