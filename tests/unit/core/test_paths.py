"""Paths: syntax, and digests that change exactly when something below a watched path does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.core.paths import (
    MAX_LENGTH,
    MISSING,
    Path,
    PathError,
    canonical,
    changed_digests,
    digest,
    format_path,
    leaf_digests,
    lookup,
    parse_path,
)

KEYS = st.one_of(
    st.sampled_from(
        ["data", "a", "object", "$", "0", "a.b", "example.com/x", "", '"', "'", "\\", "[", "*", " "]
    ),
    st.text(max_size=8),
)
PATHS = st.builds(
    lambda head, tail: (head, *tail), KEYS, st.lists(st.one_of(KEYS, st.integers(0, 999)), max_size=5)
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, 1.5]),
    st.sampled_from(["", "a", "b"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b", "c.d", ""]), inner, max_size=3),
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("data", ("data",)),
        ("data.LOG_LEVEL", ("data", "LOG_LEVEL")),
        ('metadata.annotations["example.com/x"]', ("metadata", "annotations", "example.com/x")),
        ("metadata.annotations['example.com/x']", ("metadata", "annotations", "example.com/x")),
        ("spec.containers[0].image", ("spec", "containers", 0, "image")),
        ("a[ 1 ][ 'b' ]", ("a", 1, "b")),
        ('["object"].x', ("object", "x")),
        ("objective.x", ("objective", "x")),
        ("object", ("object",)),
        ("spec.0", ("spec", "0")),
        ("data.app-1/x", ("data", "app-1/x")),
        (r"data['it\'s']", ("data", "it's")),
        (r'data["\u00e9\""]', ("data", 'é"')),
        ("data.größe", ("data", "größe")),
        ('data["tab\t"]', ("data", "tab\t")),
        ("a" * MAX_LENGTH, ("a" * MAX_LENGTH,)),
    ],
)
def test_paths_are_read(text: str, path: Path) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize(
    ("text", "position", "hint"),
    [
        ("", 1, "empty"),
        ("$.data", 1, "write data.KEY"),
        (".data", 1, "write data.KEY"),
        ("object.data", 1, "write data.KEY"),
        ('object["data"]', 1, "write data.KEY"),
        ("data.", 6, "expected a key"),
        ("data..x", 6, "expected a key"),
        ("data.x y", 7, 'expected "." or "["'),
        ("data[*]", 5, "list index or a quoted key"),
        ("data.*", 6, "expected a key"),
        ("data[-1]", 5, "list index or a quoted key"),
        ("data['x'", 5, "list index or a quoted key"),
        ("[0].x", 1, "no list indices"),
        (r'data["\q"]', 5, "escape"),
        ("a" * (MAX_LENGTH + 1), MAX_LENGTH + 1, "at most"),
    ],
)
def test_what_is_no_path_is_refused_with_its_place(text: str, position: int, hint: str) -> None:
    with pytest.raises(PathError, match=f"at character {position}") as caught:
        parse_path(text)
    assert caught.value.position == position
    assert hint in caught.value.message


@given(PATHS)
def test_a_formatted_path_is_read_as_the_same_path(path: Path) -> None:
    assert parse_path(format_path(path)) == path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("data", "LOG_LEVEL"), "data.LOG_LEVEL"),
        (("metadata", "labels", "example.com/x"), 'metadata.labels["example.com/x"]'),
        (("object", "x"), '["object"].x'),
        (("object", 0), '["object"][0]'),
        (("object", "a b"), '["object"]["a b"]'),
        (("object",), "object"),
        (("a.b", 0), '["a.b"][0]'),
        (("data", "tab\t"), 'data["tab\\t"]'),
        (("data", "é ñ"), 'data["é ñ"]'),
        (("data", "é\u200b"), 'data["\\u00e9\\u200b"]'),
    ],
)
def test_paths_are_written(path: Path, text: str) -> None:
    assert format_path(path) == text


def test_lookup() -> None:
    obj = {"a": {"b": [None, {"c": 1}]}}
    assert lookup(obj, ()) is obj
    assert lookup(obj, ("a", "b", 0)) is None
    assert lookup(obj, ("a", "b", 1, "c")) == 1
    for path in (("x",), ("a", "b", 2), ("a", "b", "c"), ("a", 0), ("a", "b", 1, "c", "d")):
        assert lookup(obj, path) is MISSING
    assert repr(MISSING) == "MISSING"


def test_digests_name_every_leaf_sorted() -> None:
    obj = {"data": {"b": "1", "a": "2"}, "spec": {"l": [1, {"x": None}], "e": {}, "f": []}}
    found = leaf_digests(obj, (("nope",), ("spec",), ("data",)))
    assert [name for name, _ in found] == ["data.a", "data.b", "spec.e", "spec.f", "spec.l[0]", "spec.l[1].x"]
    assert all(len(value) == 8 for _, value in found)
    assert dict(found)["data.a"] == digest("2")


def test_watched_paths_may_overlap() -> None:
    obj = {"data": {"a": "1", "b": "2"}}
    assert leaf_digests(obj, (("data",), ("data", "a"))) == leaf_digests(obj, (("data",),))


def test_a_large_subtree_has_one_digest() -> None:
    small = {"data": {f"k{index}": "" for index in range(64)}}
    large = {"data": small["data"] | {"one-more": ""}}
    assert len(leaf_digests(small, (("data",),))) == 64
    assert [name for name, _ in leaf_digests(large, (("data",),))] == ["data"]
    assert leaf_digests(large, (("data",),)) == leaf_digests(json.loads(json.dumps(large)), (("data",),))


def test_a_fold_is_reported_as_the_subtree() -> None:
    small = leaf_digests({"data": {f"k{index}": "" for index in range(64)}}, (("data",),))
    large = leaf_digests({"data": {f"k{index}": "" for index in range(65)}}, (("data",),))
    assert changed_digests(small, large) == ("data",)
    assert changed_digests(large, small) == ("data",)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({"a": "1", "b": "1"}, {"a": "1", "b": "1"}, ()),
        ({"a": "1", "b": "1"}, {"a": "2", "c": "1"}, ("data.a", "data.b", "data.c")),
        ({}, {"a": "1"}, ("data.a",)),
        ({"a": []}, {"a": [1]}, ("data.a[0]",)),
        ({"a": [1]}, {"a": []}, ("data.a[0]",)),
        (None, {"a": "1"}, ("data",)),
        ("text", {"a": {"b": "1"}}, ("data",)),
        ({"a": 1}, {"a": True}, ("data.a",)),
        ({"a": 1}, {"a": 1.0}, ("data.a",)),
        ({"a": "1", "a/b": {"x": 1}}, {"a": "1", "a/b": {"x": 2}}, ("data.a/b.x",)),
        ({"a": "1", "aX": "1"}, {"a": "2", "aX": "2"}, ("data.a", "data.aX")),
    ],
)
def test_changed_digests(old: Any, new: Any, changed: tuple[str, ...]) -> None:
    watched: tuple[Path, ...] = (("data",),)
    assert (
        changed_digests(leaf_digests({"data": old}, watched), leaf_digests({"data": new}, watched)) == changed
    )


@given(
    VALUES,
    VALUES,
    st.lists(st.tuples(st.sampled_from(["x", "y"])), min_size=1, unique=True),
    st.integers(1, 9),
)
def test_equal_below_the_paths_means_equal_digests(
    first: Any, second: Any, paths: list[Path], limit: int
) -> None:
    old, new = {"x": first, "y": 1}, {"x": second, "y": 1}
    watched = tuple(paths)
    before, after = leaf_digests(old, watched, limit), leaf_digests(new, watched, limit)
    equal = all(_json(lookup(old, path)) == _json(lookup(new, path)) for path in paths)
    assert (before == after) is equal
    assert (changed_digests(before, after) == ()) is equal


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("extra", [1, 2**70])
def test_the_order_of_keys_changes_no_digest(extra: int) -> None:
    """An integer of more than 64 bits takes the other way to JSON."""
    there, back = {"é": 1, "b": [extra], "a": {}}, {"a": {}, "b": [extra], "é": 1}
    assert canonical(there) == canonical(back)
    assert digest([there]) == digest([back])
    assert b" " not in canonical(there)


def test_text_is_written_as_it_is() -> None:
    assert canonical({"a": "é"}) == '{"a":"é"}'.encode()
    assert canonical([1, 2**70]) == f"[1,{2**70}]".encode()


def test_objects_that_orjson_does_not_take() -> None:
    deep: Any = "leaf"
    for _ in range(400):
        deep = {"a": deep}
    assert canonical(deep) == json.dumps(deep, separators=(",", ":")).encode()
    assert canonical(2**70) == str(2**70).encode()
    assert len(leaf_digests({"data": deep}, (("data",),))) == 1


def test_what_is_no_json_is_an_error() -> None:
    bottomless: Any = "leaf"
    for _ in range(100_000):
        bottomless = [bottomless]
    for value in (object(), bottomless, [2**70, float("nan")]):
        with pytest.raises(ValueError, match="JSON"):
            canonical(value)
    while isinstance(bottomless, list):
        bottomless = bottomless.pop()
