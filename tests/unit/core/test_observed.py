"""An object as it was seen: what is asked of it is worked out once, on demand, and never from the raw object."""

from __future__ import annotations

from typing import Any

import pytest

from eventsource_operator.core import observed as module
from eventsource_operator.core.observed import Seen, seen_as
from eventsource_operator.core.paths import parse_path
from eventsource_operator.core.redaction import sanitize


def raw(**data: str) -> dict[str, Any]:
    return {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {
            "namespace": "ns",
            "name": "a",
            "uid": "u",
            "resourceVersion": "12",
            "labels": {"app": "shop"},
            "managedFields": [{"manager": "kubectl"}],
        },
        "data": data,
    }


def test_the_metadata_is_read() -> None:
    seen = Seen(raw(a="1"))

    assert (seen.namespace, seen.name, seen.key) == ("ns", "a", "ns/a")
    assert (seen.uid, seen.rv, seen.labels) == ("u", 12, {"app": "shop"})


@pytest.mark.parametrize("empty", [{}, {"namespace": None, "uid": None, "labels": None}])
def test_an_object_without_namespace_uid_and_labels(empty: dict[str, Any]) -> None:
    seen = Seen(
        {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n", "resourceVersion": "3", **empty}}
    )

    assert (seen.namespace, seen.key, seen.uid, seen.labels) == ("", "/n", "", {})


@pytest.mark.parametrize("meta", [{"resourceVersion": "1"}, {"name": "a"}])
def test_an_object_without_name_or_version_is_no_object(meta: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        Seen({"kind": "ConfigMap", "apiVersion": "v1", "metadata": meta})


def test_a_version_that_is_no_number_is_not_compared() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        Seen({"metadata": {"name": "a", "resourceVersion": "abc"}})


def test_the_object_is_sanitized_once_and_the_raw_one_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []

    def counted(obj: dict[str, Any], *, key: bytes) -> dict[str, Any]:
        calls.append(key)
        return sanitize(obj, key=key)

    monkeypatch.setattr(module, "sanitize", counted)
    seen = Seen(raw(a="1"))
    assert calls == [], "nobody asked"

    assert seen.object is seen.object
    assert "managedFields" not in seen.object["metadata"]
    assert "managedFields" in seen.raw["metadata"]
    assert calls == [b"u"]


def test_a_secrets_values_are_digests_wherever_they_are_asked_for() -> None:
    secret = {**raw(), "kind": "Secret", "data": {"password": "aHVudGVyMg=="}}
    seen = Seen(secret, lambda _: {"data": {"password": "hmac-sha256:0"}})

    assert seen.object["data"]["password"].startswith("hmac-sha256:")
    assert "aHVudGVyMg==" not in repr(
        (seen.object, seen.old, seen.changed, seen.digests((parse_path("data"),)))
    )
    assert seen.raw["data"] == {"password": "aHVudGVyMg=="}


def test_the_state_before_is_looked_up_once() -> None:
    asked: list[Seen] = []

    def past(seen: Seen) -> dict[str, Any]:
        asked.append(seen)
        return {**Seen(raw(a="1", b="1")).object}

    seen = Seen(raw(a="2", b="1"), past)
    assert asked == [], "nobody asked"
    assert seen.changed == ("data.a",)
    assert seen.changed is seen.changed
    assert seen.old is seen.old
    assert seen.old is not None
    assert seen.old["data"] == {"a": "1", "b": "1"}
    assert asked == [seen]


def test_a_state_before_that_is_not_known_is_not_looked_up_twice() -> None:
    asked: list[Seen] = []

    def past(seen: Seen) -> None:
        asked.append(seen)

    seen = Seen(raw(a="2"), past)
    assert (seen.changed, seen.old, seen.changed) == (None, None, None)
    assert asked == [seen]


def test_without_a_past_nothing_is_known_of_it() -> None:
    seen = Seen(raw(a="2"))

    assert seen.old is None
    assert seen.changed is None


def test_an_unchanged_object_has_no_changed_paths_which_is_not_the_same_as_not_known() -> None:
    before = Seen(raw(a="1")).object

    assert Seen(raw(a="1"), lambda _: before).changed == ()


def test_digests_are_worked_out_once_for_each_set_of_paths() -> None:
    seen = Seen(raw(a="1", b="2"))
    data, one = (parse_path("data"),), (parse_path("data.a"),)

    assert [path for path, _ in seen.digests(data)] == ["data.a", "data.b"]
    assert [path for path, _ in seen.digests(one)] == ["data.a"]
    assert seen.digests(data) is seen.digests((parse_path("data"),))
    assert seen.digests(data) == Seen(raw(a="1", b="2")).digests(data)
    assert seen.digests(data) != Seen(raw(a="1", b="3")).digests(data)


def test_an_item_of_a_list_is_told_what_it_is() -> None:
    item = {"metadata": {"name": "a", "resourceVersion": "1"}}
    before: dict[str, Any] = {}

    seen = seen_as(item, "apps/v1", "Deployment", lambda _: before)

    assert (seen.object["apiVersion"], seen.object["kind"]) == ("apps/v1", "Deployment")
    assert seen.old is before


def test_what_an_object_says_of_itself_is_kept() -> None:
    item = {"apiVersion": "v2", "kind": "Own", "metadata": {"name": "a", "resourceVersion": "1"}}

    assert seen_as(item, "v1", "ConfigMap").object | {"metadata": {}} == {
        "apiVersion": "v2",
        "kind": "Own",
        "metadata": {},
    }
    assert seen_as(item, "v1", "ConfigMap").old is None
