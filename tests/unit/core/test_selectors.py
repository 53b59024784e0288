"""Selectors: Kubernetes' semantics for labels, shell globs for names, the syntax of field selectors."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.api.eventsource import LabelSelector, Operator, Requirement
from eventsource_operator.core.selectors import (
    SelectorError,
    compile_labels,
    compile_names,
    field_selector_is_immutable,
    parse_label_selector_string,
    validate_field_selector,
    validate_label_selector,
)


def _one(operator: Operator, *values: str) -> LabelSelector:
    return LabelSelector((), (Requirement("app", operator, values),))


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        (None, {}, True),
        (LabelSelector(), {"a": "b"}, True),
        (LabelSelector((("app", "shop"),)), {"app": "shop", "x": "y"}, True),
        (LabelSelector((("app", "shop"),)), {"app": "other"}, False),
        (LabelSelector((("app", "shop"),)), {}, False),
        (LabelSelector((("app", "shop"), ("tier", "web"))), {"app": "shop"}, False),
        (_one(Operator.IN, "a", "b"), {"app": "b"}, True),
        (_one(Operator.IN, "a", "b"), {"app": "c"}, False),
        (_one(Operator.IN, "a"), {}, False),
        (_one(Operator.NOT_IN, "a"), {"app": "b"}, True),
        (_one(Operator.NOT_IN, "a"), {"app": "a"}, False),
        (_one(Operator.NOT_IN, "a"), {}, True),
        (_one(Operator.EXISTS), {"app": ""}, True),
        (_one(Operator.EXISTS), {}, False),
        (_one(Operator.DOES_NOT_EXIST), {}, True),
        (_one(Operator.DOES_NOT_EXIST), {"app": ""}, False),
    ],
)
def test_labels(selector: LabelSelector | None, labels: dict[str, str], selected: bool) -> None:
    assert compile_labels(selector)(labels) is selected


def test_all_requirements_must_hold() -> None:
    selector = LabelSelector(
        (("tier", "web"),),
        (Requirement("app", Operator.IN, ("a", "b")), Requirement("legacy", Operator.DOES_NOT_EXIST)),
    )
    selects = compile_labels(selector)
    assert selects({"tier": "web", "app": "a"})
    assert not selects({"tier": "db", "app": "a"})
    assert not selects({"tier": "web", "app": "c"})
    assert not selects({"tier": "web", "app": "a", "legacy": "yes"})


@pytest.mark.parametrize(
    ("selector", "hint"),
    [
        (LabelSelector((("-bad", "x"),)), "label key '-bad'"),
        (LabelSelector((("a/b/c", "x"),)), "label key"),
        (LabelSelector((("UPPER/b", "x"),)), "label key"),
        (LabelSelector((("x" * 254 + "/b", "x"),)), "label key"),
        (LabelSelector((("a" * 64, "x"),)), "label key"),
        (LabelSelector((("a", "no spaces"),)), "label value 'no spaces'"),
        (LabelSelector((), (Requirement("!", Operator.EXISTS),)), "label key '!'"),
        (_one(Operator.IN), "In needs at least one value"),
        (_one(Operator.NOT_IN), "NotIn needs at least one value"),
        (_one(Operator.EXISTS, "a"), "Exists takes no values"),
        (_one(Operator.IN, "-"), "label value '-'"),
        (LabelSelector((), (Requirement("a", "Gt", ("1",)),)), "operator must be one of In, NotIn"),  # type: ignore[arg-type]
    ],
)
def test_what_the_server_would_refuse_is_refused(selector: LabelSelector, hint: str) -> None:
    with pytest.raises(SelectorError, match=hint):
        validate_label_selector(selector)
    with pytest.raises(ValueError, match=hint):
        compile_labels(selector)


def test_good_keys_and_values() -> None:
    validate_label_selector(LabelSelector((("app.kubernetes.io/name", ""), ("a", "A_b.c-9"))))
    validate_label_selector(LabelSelector((("x" * 253 + "/" + "b" * 63, "c" * 63),)))


@pytest.mark.parametrize(
    ("globs", "name", "selected"),
    [
        ((), "anything", True),
        (("*",), "anything", True),
        (("app",), "app", True),
        (("app", "web"), "web", True),
        (("app",), "app-1", False),
        (("app-*",), "app-1", True),
        (("app-*", "web"), "web", True),
        (("app-*", "web"), "webs", False),
        (("app-?",), "app-12", False),
        (("app-[0-9]",), "app-7", True),
        (("app-[!0-9]",), "app-7", False),
        (("APP-*",), "app-1", False),
    ],
)
def test_names(globs: tuple[str, ...], name: str, selected: bool) -> None:
    assert compile_names(globs)(name) is selected


@given(
    st.lists(st.text("ab-*?[]!.", min_size=1, max_size=6), min_size=1, max_size=3),
    st.text("ab-.", max_size=6),
)
def test_names_match_as_fnmatch_does(globs: list[str], name: str) -> None:
    assert compile_names(tuple(globs))(name) is any(fnmatchcase(name, glob) for glob in globs)


@pytest.mark.parametrize(
    ("text", "immutable"),
    [
        ("", True),
        ("metadata.name=app", True),
        ("metadata.name==app,metadata.namespace!=kube-system", True),
        ("metadata.name=", True),
        ("metadata.name=a\\,b\\=c\\\\", True),
        ("status.phase=Running", False),
        ("metadata.name=app,spec.nodeName!=node-1", False),
        ("type=Opaque", False),
    ],
)
def test_field_selectors(text: str, immutable: bool) -> None:
    validate_field_selector(text)
    assert field_selector_is_immutable(text) is immutable


@pytest.mark.parametrize(
    "text", ["metadata.name", "=x", "a=b=c", "a in (b)", "!a", "a!b", "a=b\\", "a=b, c=d", "a =b", "a=b\\c"]
)
def test_what_is_no_field_selector_is_refused(text: str) -> None:
    with pytest.raises(SelectorError, match="field selector term"):
        validate_field_selector(text)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", ()),
        ("  ", ()),
        ("app=shop", ("app=shop",)),
        ("app == shop, tier!=db", ("app == shop", "tier!=db")),
        ("app in (a, b),tier notin (c), x, !y", ("app in (a, b)", "tier notin (c)", "x", "!y")),
        ("app=", ("app=",)),
        ("app in ()", ("app in ()",)),
        ("example.com/x", ("example.com/x",)),
        ("app in(a)", ("app in(a)",)),
    ],
)
def test_label_selectors_as_text(text: str, terms: tuple[str, ...]) -> None:
    assert parse_label_selector_string(text) == terms


@pytest.mark.parametrize(
    "text",
    [
        "=x",
        "app=a b",
        "app in a",
        "app in (a",
        "!app=x",
        "a,,b",
        "app>1",
        "-app",
        "app=-",
        "app in (a b)",
        ",",
    ],
)
def test_what_is_no_label_selector_is_refused(text: str) -> None:
    with pytest.raises(SelectorError, match="label"):
        parse_label_selector_string(text)
