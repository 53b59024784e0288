"""Differences: the paths that are reported, and patches that turn the old object into the new one."""

import copy
import json
from collections.abc import Callable
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core.diff import _same, changed_paths, json_patch
from eventsource_operator.core.redaction import LAST_APPLIED

KEYS = st.sampled_from(["a", "b", "c.d", "x/y", "~", ""])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.just(1.0), st.sampled_from(["", "a", "b"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=20,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({"data": {"a": "1"}}, {"data": {"a": "1"}}, ()),
        ({"data": {"a": "1", "b": "1"}}, {"data": {"a": "2", "c": "1"}}, ("data.a", "data.b", "data.c")),
        ({}, {"data": {"a": "1", "b": {"c": 1}}}, ("data.a", "data.b.c")),
        ({"data": {"a": "1"}}, {}, ("data.a",)),
        ({"data": {}}, {}, ("data",)),
        ({}, {"data": {}}, ("data",)),
        ({"data": {}}, {"data": {"a": "1"}}, ("data.a",)),
        ({"l": [1, {"x": 1}]}, {"l": [1, {"x": 2}]}, ("l[1].x",)),
        ({"l": [{"x": 1}, 1, None]}, {"l": [{"x": 2}, 1, None]}, ("l[0].x",)),
        ({"l": [1]}, {"l": [1, 2]}, ("l",)),
        ({"l": [1]}, {}, ("l",)),
        ({"v": 1}, {"v": True}, ("v",)),
        ({"v": 1}, {"v": 1.0}, ("v",)),
        ({"v": None}, {}, ("v",)),
        ({"v": {"a": 1}}, {"v": "text"}, ("v",)),
        ({"v": ["a"]}, {"v": {"a": 1}}, ("v",)),
        (
            {"metadata": {"labels": {"x.y/z": "1"}}},
            {"metadata": {"labels": {}}},
            ('metadata.labels["x.y/z"]',),
        ),
    ],
)
def test_changed_paths(old: Any, new: Any, changed: tuple[str, ...]) -> None:
    assert changed_paths(old, new) == changed


def test_equal_values_need_not_be_the_same_objects() -> None:
    text = '{"l": ["some text", 1.5, {"a": "some text"}], "m": {"f": 1.5}}'
    assert changed_paths(json.loads(text), json.loads(text)) == ()
    assert json_patch(json.loads(text), json.loads(text)) == []


def test_bookkeeping_does_not_count() -> None:
    old: dict[str, Any] = {
        "metadata": {
            "resourceVersion": "1",
            "generation": 1,
            "managedFields": [{"manager": "a"}],
            "annotations": {LAST_APPLIED: "{}", "kept": "1"},
        },
        "status": {"resourceVersion": "1"},
    }
    new = copy.deepcopy(old)
    new["metadata"].update(resourceVersion="2", generation=2, managedFields=[])
    new["metadata"]["annotations"] = {LAST_APPLIED: "{...}", "kept": "1"}
    assert changed_paths(old, new) == ()
    new["status"] = {"resourceVersion": "2"}
    assert changed_paths(old, new) == ("status.resourceVersion",)


def test_at_most_so_many_paths_are_reported() -> None:
    new = {"data": {f"k{index:03}": 1 for index in range(300)}}
    assert changed_paths({}, new) == tuple(f"data.k{index:03}" for index in range(100))
    assert changed_paths({}, new, limit=2) == ("data.k000", "data.k001")


@given(OBJECTS, OBJECTS)
def test_paths_are_reported_exactly_when_something_differs(old: Any, new: Any) -> None:
    assert (changed_paths(old, new) == ()) is (_json(old) == _json(new))


@given(OBJECTS, OBJECTS)
def test_a_patch_turns_the_old_object_into_the_new(old: Any, new: Any) -> None:
    before = copy.deepcopy((old, new))
    patch = json_patch(old, new)
    assert _json(jsonpatch.apply_patch(old, patch)) == _json(new)
    assert (patch == []) is (_json(old) == _json(new))
    assert (old, new) == before


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, [{"op": "replace", "path": "/a", "value": 2}]),
        ({"a": 1}, {"b/~": 2}, [{"op": "remove", "path": "/a"}, {"op": "add", "path": "/b~1~0", "value": 2}]),
        ({"l": [1, 2, 3]}, {"l": [1, 3]}, [{"op": "remove", "path": "/l/1"}]),
        ({"l": [1, 3]}, {"l": [1, 2, 3]}, [{"op": "add", "path": "/l/1", "value": 2}]),
        (
            {"l": [1, 2, 3, 4, 9]},
            {"l": [1, 7, 9]},
            [
                {"op": "replace", "path": "/l/1", "value": 7},
                {"op": "remove", "path": "/l/3"},
                {"op": "remove", "path": "/l/2"},
            ],
        ),
    ],
)
def test_patches_are_small(old: Any, new: Any, patch: list[dict[str, Any]]) -> None:
    assert json_patch(old, new) == patch


def test_deeply_nested_objects() -> None:
    old, new = _nested(5000, 1), _nested(5000, 2)
    (path,) = changed_paths(old, new)
    assert path.count("a") == 5000
    old, new = _nested(150, 1), _nested(150, 2)
    patch = json_patch(old, new)
    assert [step["op"] for step in patch] == ["replace"]
    assert jsonpatch.apply_patch(old, patch) == new


def _nested(levels: int, leaf: int) -> dict[str, Any]:
    value: Any = leaf
    for _ in range(levels):
        value = {"a": value}
    return dict(value)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ([0, 1, 7, 8, 9], [0, 7, 8, 9], [{"op": "remove", "path": "/1"}]),
        ([7, 8, 9], [1, 7, 8, 9], [{"op": "add", "path": "/0", "value": 1}]),
        ([1, 2, 7, 8, 9], [1, 3, 7, 8, 9], [{"op": "replace", "path": "/1", "value": 3}]),
        (
            [{"a": 1, "b": 2}, 5, 6],
            [{"a": 1, "b": 3}, 6],
            [
                {"op": "replace", "path": "/0/b", "value": 3},
                {"op": "remove", "path": "/1"},
            ],
        ),
    ],
)
def test_a_list_keeps_its_beginning_and_its_end(old: Any, new: Any, patch: list[dict[str, Any]]) -> None:
    assert json_patch({"l": old}, {"l": new}) == [{**step, "path": f"/l{step['path']}"} for step in patch]


@pytest.mark.parametrize("wrap", [lambda value: {"a": value}, lambda value: [value]])
def test_a_patch_descends_a_hundred_levels_and_replaces_what_lies_below(wrap: Callable[[Any], Any]) -> None:
    def nested(levels: int, leaf: int) -> Any:
        value: Any = leaf
        for _ in range(levels):
            value = wrap(value)
        return value

    for levels, deepest in ((99, 99), (100, 100), (101, 100), (150, 100)):
        (step,) = json_patch(nested(levels, 1), nested(levels, 2))
        assert (levels, step["path"].count("/")) == (levels, deepest)


@given(VALUES, VALUES)
def test_equality_is_that_of_json(old: Any, new: Any) -> None:
    assert _same(old, new) is (_json(old) == _json(new))
