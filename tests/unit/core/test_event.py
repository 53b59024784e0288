"""Events: ids, headers and bodies, byte for byte where a receiver depends on them."""

import json
import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventsource_operator.api.eventsource import ChangeType, Content, EventSpec
from eventsource_operator.core.cel import CelRuntimeError, compile_expression
from eventsource_operator.core.event import Change, Event, EventBuilder, event_id
from eventsource_operator.core.paths import leaf_digests
from eventsource_operator.core.redaction import sanitize

OLD = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}, "data": {"LOG_LEVEL": "info"}}
NEW = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app"}, "data": {"LOG_LEVEL": "debug"}}
ID = "ID"


def _change(**values: Any) -> Change:
    defaults: dict[str, Any] = {
        "type": ChangeType.MODIFIED,
        "api_version": "v1",
        "kind": "ConfigMap",
        "plural": "configmaps",
        "namespace": "team-a",
        "name": "app",
        "uid": "object-uid",
        "resource_version": "1234",
        "time": "2026-01-02T03:04:05Z",
        "obj": NEW,
        "old": OLD,
        "changed": ("data.LOG_LEVEL",),
    }
    return Change(**defaults | values)


def _build(change: Change, payload: str = "", **spec: Any) -> Event:
    expression = compile_expression(payload, "spec.event.payload") if payload else None
    return EventBuilder("team-a", "app-config", "source-uid", EventSpec(**spec), expression).build(change)


GOLDEN = (
    '{"specversion":"1.0","id":"ID","source":"/team-a/eventsources/app-config",'
    '"type":"dev.eventsource-operator.modified","subject":"configmaps/team-a/app","time":"2026-01-02T03:04:05Z",'
    '"datacontenttype":"application/json","data":{"type":"Modified","apiVersion":"v1","kind":"ConfigMap",'
    '"namespace":"team-a","name":"app","uid":"object-uid","resourceVersion":"1234","changed":["data.LOG_LEVEL"]%s}}'
)
OBJECT = (
    ',"object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"app"},"data":{"LOG_LEVEL":"debug"}}'
)
PATCH = ',"patch":[{"op":"replace","path":"/data/LOG_LEVEL","value":"debug"}]'


@pytest.mark.parametrize(
    ("content", "more"),
    [(Content.OBJECT, OBJECT), (Content.REFERENCE, ""), (Content.DIFF, OBJECT + PATCH)],
)
def test_bodies(content: Content, more: str) -> None:
    event = _build(_change(), content=content)
    assert event.body.decode().replace(event.id, ID) == GOLDEN % more
    assert not event.truncated


def test_headers() -> None:
    event = _build(_change())
    assert event.headers == (
        ("X-Event-Id", event.id),
        ("X-Event-Type", "Modified"),
        ("X-Event-Source", "team-a/app-config"),
        ("X-Event-Kind", "ConfigMap"),
        ("X-Event-Namespace", "team-a"),
        ("X-Event-Name", "app"),
    )


def test_headers_of_odd_names() -> None:
    headers = dict(_build(_change(name="größe\r\nX-Evil: 1")).headers)
    assert headers["X-Event-Name"] == "gr%C3%B6%C3%9Fe%0D%0AX-Evil: 1"


def test_cluster_scoped_objects_have_no_namespace() -> None:
    event = _build(_change(kind="Namespace", plural="namespaces", namespace="", name="team-a"))
    body = json.loads(event.body)
    assert body["subject"] == "namespaces/team-a"
    assert "namespace" not in body["data"]
    assert dict(event.headers)["X-Event-Namespace"] == ""


@pytest.mark.parametrize(
    ("change", "type_"),
    [(ChangeType.ADDED, "added"), (ChangeType.MODIFIED, "modified"), (ChangeType.DELETED, "deleted")],
)
def test_types(change: ChangeType, type_: str) -> None:
    body = json.loads(_build(_change(type=change)).body)
    assert body["type"] == f"dev.eventsource-operator.{type_}"
    assert body["data"]["type"] == change.value
    assert body["data"]["object"] == NEW


@pytest.mark.parametrize("content", list(Content))
def test_a_deletion_found_by_absence_carries_what_is_known(content: Content) -> None:
    change = _change(type=ChangeType.DELETED, obj=None, old=None, changed=None, resource_version="")
    data = json.loads(_build(change, content=content).body)["data"]
    assert data == {
        "type": "Deleted",
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": "team-a",
        "name": "app",
        "uid": "object-uid",
    }


def test_without_an_old_state_a_diff_has_no_patch() -> None:
    data = json.loads(_build(_change(old=None, changed=None), content=Content.DIFF).body)["data"]
    assert data["object"] == NEW
    assert "patch" not in data
    assert "changed" not in data


def test_an_unchanged_object_has_an_empty_patch() -> None:
    data = json.loads(_build(_change(old=NEW, changed=()), content=Content.DIFF).body)["data"]
    assert data["patch"] == []
    assert data["changed"] == []


@pytest.mark.parametrize("content", [Content.OBJECT, Content.DIFF])
def test_a_body_that_is_too_large_falls_back_to_a_reference(content: Content) -> None:
    exact = len(_build(_change(), content=content).body)
    assert not _build(_change(), content=content, max_bytes=exact).truncated
    event = _build(_change(), content=content, max_bytes=exact - 1)
    assert event.truncated
    data = json.loads(event.body)["data"]
    assert data["truncated"] is True
    assert data["changed"] == ["data.LOG_LEVEL"]
    assert "object" not in data
    assert "patch" not in data


def test_a_reference_that_is_too_large_loses_its_paths() -> None:
    many = tuple(f"data.key-{index}" for index in range(100))
    data = json.loads(_build(_change(changed=many), max_bytes=1024).body)["data"]
    assert data["truncated"] is True
    assert "changed" not in data
    unknown = _build(_change(changed=None), max_bytes=10)
    assert unknown.truncated
    assert "changed" not in json.loads(unknown.body)["data"]


def test_an_object_that_json_does_not_take_falls_back_to_a_reference() -> None:
    deep: Any = "leaf"
    for _ in range(300):
        deep = {"a": deep}
    for value in (deep, "lone \ud800", 2**70):
        event = _build(_change(obj=NEW | {"data": {"x": value}}, old=None))
        assert event.truncated
        assert "object" not in json.loads(event.body)["data"]


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        ("object.metadata.name", b'"app"'),
        ('{"b": type, "a": changed}', b'{"a":["data.LOG_LEVEL"],"b":"Modified"}'),
        ("null", b"null"),
        ("1 + 1", b"2"),
        ("true", b"true"),
        ("oldObject.data", b'{"LOG_LEVEL":"info"}'),
    ],
)
def test_a_payload_is_the_whole_body(payload: str, body: bytes) -> None:
    event = _build(_change(), payload)
    assert event.body == body
    assert dict(event.headers)["X-Event-Id"] == event.id
    assert not event.truncated


def test_a_payload_that_is_too_large_falls_back_to_the_reference() -> None:
    event = _build(_change(), "object", max_bytes=20)
    assert event.truncated
    assert json.loads(event.body)["data"]["truncated"] is True


def test_a_payload_that_fails_is_an_error() -> None:
    with pytest.raises(CelRuntimeError, match="no such key: nope"):
        _build(_change(), "object.data.nope")


PARTS = st.text(st.characters(exclude_characters="\0"), max_size=8)


@given(PARTS, PARTS, PARTS, st.sampled_from(list(ChangeType)))
def test_ids_are_legal_names_and_stable(source: str, uid: str, version: str, change: ChangeType) -> None:
    ident = event_id(source, uid, version, change)
    assert len(ident) == 32
    assert set(ident) <= set("0123456789abcdef")
    assert ident == event_id(source, uid, version, change)
    assert len({event_id(source, uid, version, each) for each in ChangeType}) == 3


@given(st.lists(st.tuples(PARTS, PARTS, PARTS), min_size=2, max_size=2, unique=True))
def test_different_changes_have_different_ids(parts: list[tuple[str, str, str]]) -> None:
    first, second = (event_id(*each, ChangeType.MODIFIED) for each in parts)
    assert first != second


def test_a_deletion_has_one_id_however_it_is_found() -> None:
    watched, found = (event_id("s", "u", version, ChangeType.DELETED) for version in ("12", ""))
    assert watched == found
    assert event_id("s", "other", "12", ChangeType.DELETED) != watched
    assert event_id("s", "u", "12", ChangeType.ADDED) != event_id("s", "u", "13", ChangeType.ADDED)


def test_ids_never_change_between_releases() -> None:
    assert event_id("source", "object", "7", ChangeType.ADDED) == "7fd755cb6d701f81fd613017d5b0f8fe"
    assert event_id("source", "object", "7", ChangeType.DELETED) == "b57148ead5afe30eaec75e68a36e4029"


def test_cost_of_an_event() -> None:
    """Prints what a 1 KiB ConfigMap costs: sanitize, digests of the watched fields and the body."""
    raw = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "app",
            "namespace": "n",
            "uid": "u",
            "managedFields": [{}],
            "labels": {"app": "x"},
        },
        "data": {f"key-{index}": "v" * 24 for index in range(30)},
    }
    builder = EventBuilder("team-a", "app-config", "source-uid", EventSpec(), None)
    obj = sanitize(raw, key=b"k")
    change = _change(obj=obj)
    print()  # noqa: T201  a measurement to be read
    _measure("sanitize", lambda: sanitize(raw, key=b"k"))
    _measure("digests of data", lambda: leaf_digests(obj, (("data",),)))
    _measure("build", lambda: builder.build(change))
    assert orjson.loads(builder.build(change).body)["data"]["object"] == obj


def _measure(name: str, call: Callable[[], object], times: int = 2000) -> None:
    start = time.process_time()
    for _ in range(times):
        call()
    print(f"{name}: {(time.process_time() - start) / times * 1e6:.1f} us")  # noqa: T201  a measurement to be read


def test_an_event_has_the_id_of_its_source_object_version_and_type_in_every_form() -> None:
    ident = event_id("source-uid", "object-uid", "1234", ChangeType.MODIFIED)
    whole = _build(_change())
    assert (whole.id, json.loads(whole.body)["id"]) == (ident, ident)
    large = _change(obj={**NEW, "data": {"x": "y" * 5000}})
    for limit in (1024, 300):
        event = _build(large, max_bytes=limit)
        assert event.truncated
        assert (event.id, json.loads(event.body)["id"]) == (ident, ident)
        assert dict(event.headers)["X-Event-Id"] == ident


def test_a_body_of_exactly_the_limit_is_not_too_large() -> None:
    whole = _build(_change())
    assert not _build(_change(), max_bytes=len(whole.body)).truncated
    assert _build(_change(), max_bytes=len(whole.body) - 1).truncated


def test_the_keys_of_a_payload_are_in_order() -> None:
    assert (
        _build(_change(), '{"b": 1, "a": 2, "c": {"z": 1, "y": 2}}').body
        == b'{"a":2,"b":1,"c":{"y":2,"z":1}}'
    )
