"""A compiled watch target: what it selects, what it asks for, and which field an error names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from eventsource_operator.api.eventsource import (
    ChangeType,
    Initial,
    LabelSelector,
    Operator,
    Requirement,
    SpecError,
    WatchTarget,
)
from eventsource_operator.core.cel import CelRuntimeError
from eventsource_operator.core.judge import Candidate
from eventsource_operator.core.observed import Seen
from eventsource_operator.core.target import Target

SHOP = LabelSelector((("app", "shop"),))
BAD_LABEL = LabelSelector((("app", "not valid"),))


def obj(name: str = "a", labels: dict[str, str] | None = None, **data: str) -> Seen:
    meta = {"name": name, "uid": "u", "resourceVersion": "1", "labels": labels or {}}
    return Seen({"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta, "data": data})


def candidate(kind: ChangeType) -> Candidate:
    return Candidate(kind, "u", None, None, seen=True)


@pytest.mark.parametrize(
    ("spec", "name", "labels", "selected"),
    [
        (WatchTarget(), "anything", {}, True),
        (WatchTarget(names=("app-*", "exact")), "app-1", {}, True),
        (WatchTarget(names=("app-*", "exact")), "exact", {}, True),
        (WatchTarget(names=("app-*", "exact")), "other", {}, False),
        (WatchTarget(label_selector=SHOP), "a", {"app": "shop"}, True),
        (WatchTarget(label_selector=SHOP), "a", {"app": "bar"}, False),
        (WatchTarget(label_selector=LabelSelector()), "a", {}, True),
        (WatchTarget(names=("a",), label_selector=SHOP), "a", {"app": "shop"}, True),
        (WatchTarget(names=("b",), label_selector=SHOP), "a", {"app": "shop"}, False),
        (WatchTarget(field_selector="data.x=1"), "a", {}, True),
    ],
)
def test_name_and_labels_select(
    spec: WatchTarget, name: str, labels: dict[str, str], *, selected: bool
) -> None:
    assert Target(0, spec).selects(obj(name, labels)) is selected


@pytest.mark.parametrize(
    ("spec", "server_side", "fixed"),
    [
        (WatchTarget(), False, True),
        (WatchTarget(names=("a",)), False, True),
        (WatchTarget(field_selector="metadata.name=a"), False, True),
        (WatchTarget(field_selector="metadata.name=a,spec.nodeName=b"), True, False),
        (WatchTarget(label_selector=SHOP), False, False),
    ],
)
def test_whether_an_object_can_enter_or_leave(spec: WatchTarget, *, server_side: bool, fixed: bool) -> None:
    target = Target(0, spec)

    assert (target.server_side, target.fixed) == (server_side, fixed)


def test_only_the_watched_fields_are_digested() -> None:
    target = Target(0, WatchTarget(fields=("data.a", "metadata.labels")))

    digests = target.digests(obj(labels={"app": "shop"}, a="1", b="2"))
    assert digests is not None
    assert [path for path, _ in digests] == ["data.a", "metadata.labels.app"]
    assert digests == target.digests(obj(labels={"app": "shop"}, a="1", b="3"))
    assert digests != target.digests(obj(labels={"app": "shop"}, a="2", b="2"))
    assert Target(0, WatchTarget()).digests(obj(a="1")) is None, "every change counts"


@pytest.mark.parametrize(
    "events",
    [frozenset({one}) for one in ChangeType] + [frozenset(ChangeType)],
    ids=lambda e: "+".join(sorted(e)),
)
def test_only_the_types_asked_for_are_wanted(events: frozenset[ChangeType]) -> None:
    target = Target(0, WatchTarget(events=events))

    assert {kind for kind in ChangeType if target.wants(candidate(kind))} == events
    assert target.wants_old is (ChangeType.MODIFIED in events)


def test_the_condition_decides() -> None:
    target = Target(0, WatchTarget(condition='type == "Modified" && object.data.env == "prod"'))
    prod, test = {"data": {"env": "prod"}}, {"data": {"env": "test"}}

    assert target.passes(candidate(ChangeType.MODIFIED), prod, None, None)
    assert not target.passes(candidate(ChangeType.ADDED), prod, None, None)
    assert not target.passes(candidate(ChangeType.MODIFIED), test, None, None)
    assert Target(0, WatchTarget()).passes(candidate(ChangeType.ADDED), None, None, None)


def test_the_condition_sees_the_state_before() -> None:
    target = Target(0, WatchTarget(condition='oldObject != null && oldObject.n < object.n && "n" in changed'))
    modified = candidate(ChangeType.MODIFIED)

    assert target.passes(modified, {"n": 2}, {"n": 1}, ("n",))
    assert not target.passes(modified, {"n": 2}, {"n": 3}, ("n",))
    assert not target.passes(modified, {"n": 2}, None, None)


def test_a_condition_that_fails_on_an_object_says_so() -> None:
    target = Target(0, WatchTarget(condition="object.data.env"))

    with pytest.raises(CelRuntimeError):
        target.passes(candidate(ChangeType.ADDED), {"data": {"env": "prod"}}, None, None)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (WatchTarget(fields=("data", "data..a")), "spec.watch[3].fields[1]"),
        (WatchTarget(condition="object.("), "spec.watch[3].condition"),
        (WatchTarget(condition="nobody.knows == 1"), "spec.watch[3].condition"),
        (WatchTarget(field_selector="metadata.name"), "spec.watch[3].fieldSelector"),
        (WatchTarget(label_selector=BAD_LABEL), "spec.watch[3].labelSelector"),
        (
            WatchTarget(label_selector=BAD_LABEL, field_selector="metadata.name=a"),
            "spec.watch[3].labelSelector",
        ),
        (
            WatchTarget(label_selector=LabelSelector((), (Requirement("app", Operator.IN),))),
            "spec.watch[3].labelSelector",
        ),
    ],
)
def test_an_error_names_its_field(spec: WatchTarget, field: str) -> None:
    with pytest.raises(SpecError) as error:
        Target(3, spec)

    assert error.value.field == field
    assert str(error.value).startswith(field)
    assert "None" not in str(error.value), "it says what is wrong"


BASE = WatchTarget(names=("a", "b"), fields=("data", "spec"), label_selector=SHOP, field_selector="x=1")


@pytest.mark.parametrize(
    "change",
    [
        {"names": ("a",)},
        {"names": ()},
        {"fields": ("data",)},
        {"label_selector": None},
        {"label_selector": LabelSelector((("app", "bar"),))},
        {"field_selector": ""},
    ],
    ids=str,
)
def test_another_selection_or_other_fields_are_another_shape(change: dict[str, Any]) -> None:
    assert Target(0, replace(BASE, **change)).shape != Target(0, BASE).shape


@pytest.mark.parametrize(
    "change",
    [
        {"names": ("b", "a")},
        {"fields": ("spec", "data")},
        {"condition": "true"},
        {"events": frozenset({ChangeType.ADDED})},
        {"initial": Initial.SEND},
    ],
    ids=str,
)
def test_what_does_not_touch_the_ledger_is_the_same_shape(change: dict[str, Any]) -> None:
    assert Target(1, replace(BASE, **change)).shape == Target(0, BASE).shape


def test_the_label_names_the_kind() -> None:
    target = Target(2, WatchTarget(api_version="apps/v1", kind="Deployment"))

    assert (target.index, target.label) == (2, "apps/v1/Deployment")
