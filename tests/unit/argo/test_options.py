"""The ten list options: Python names, wire names, checks."""

from typing import Any

import pytest

from eventsource_operator.argo.errors import InvalidArgument
from eventsource_operator.argo.protocol import ListOptions, checked_options, list_target
from eventsource_operator.argo.protocol.options import WIRE_NAMES

SEED_PAGE = {
    "listOptions.labelSelector": ("label_selector", "a=b,c in (d, e)", "a%3Db%2Cc%20in%20%28d%2C%20e%29"),
    "listOptions.fieldSelector": ("field_selector", "metadata.name=x", "metadata.name%3Dx"),
    "listOptions.watch": ("watch", True, "true"),
    "listOptions.allowWatchBookmarks": ("allow_watch_bookmarks", False, "false"),
    "listOptions.resourceVersion": ("resource_version", "12", "12"),
    "listOptions.resourceVersionMatch": ("resource_version_match", "Exact", "Exact"),
    "listOptions.timeoutSeconds": ("timeout_seconds", 5, "5"),
    "listOptions.limit": ("limit", 500, "500"),
    "listOptions.continue": ("continue_", "abc/+=", "abc%2F%2B%3D"),
    "listOptions.sendInitialEvents": ("send_initial_events", True, "true"),
}


def test_all_ten_are_there() -> None:
    assert {f"listOptions.{wire}" for wire in WIRE_NAMES.values()} == set(SEED_PAGE)
    assert {name for name, _, _ in SEED_PAGE.values()} == set(WIRE_NAMES) == set(ListOptions.__slots__)


@pytest.mark.parametrize("wire", list(SEED_PAGE))
def test_each_has_its_wire_name_and_is_quoted(wire: str) -> None:
    name, value, text = SEED_PAGE[wire]
    options = checked_options(unchecked=True, **{name: value})
    assert list_target("argo", options) == f"/api/v1/workflow-event-bindings/argo?{wire}={text}"


def test_what_is_unset_is_not_sent() -> None:
    options = checked_options(label_selector="", watch=None, limit=None)
    assert list_target("", options) == "/api/v1/workflow-event-bindings/"


def test_numbers_may_come_as_digits_as_on_the_seed_page() -> None:
    assert checked_options(limit="5", timeout_seconds="10") == ListOptions(limit=5, timeout_seconds=10)


@pytest.mark.parametrize(
    ("options", "argument", "says"),
    [
        ({"limit": -1}, "limit", "negative"),
        ({"limit": "-1"}, "limit", "negative"),
        ({"limit": "many"}, "limit", "integer, not str"),
        ({"limit": True}, "limit", "integer, not bool"),
        ({"limit": 1.5}, "limit", "integer, not float"),
        ({"limit": 2**63}, "limit", "64 bits"),
        ({"timeout_seconds": -5}, "timeout_seconds", "negative"),
        ({"label_selector": 5}, "label_selector", "string, not int"),
        ({"label_selector": "\ud800"}, "label_selector", "surrogates"),
        ({"watch": "true"}, "watch", "True or False, not str"),
        ({"watch": True}, "watch", "list again at intervals"),
        ({"send_initial_events": True}, "send_initial_events", "watches alone"),
        ({"resource_version_match": "Exact"}, "resource_version_match", "needs resource_version"),
        (
            {"resource_version_match": "New", "resource_version": "1"},
            "resource_version_match",
            "'NotOlderThan'",
        ),
        ({"continue_": "x", "resource_version": "1"}, "continue_", "already holds the version"),
        ({"labelSelector": "a"}, "labelSelector", "not a list option; known are label_selector"),
    ],
)
def test_what_is_refused_names_the_option(options: dict[str, Any], argument: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says) as caught:
        checked_options(**options)
    assert caught.value.argument == argument


def test_who_insists_may_send_it() -> None:
    options = checked_options(
        unchecked=True, watch=True, send_initial_events=True, resource_version_match="New"
    )
    assert "listOptions.watch=true" in list_target("a", options)
    with pytest.raises(InvalidArgument):
        checked_options(unchecked=True, limit=-1)


def test_the_namespace_is_checked() -> None:
    with pytest.raises(InvalidArgument, match=r"^namespace: "):
        list_target("a/b", ListOptions())
    assert list_target("a/b", ListOptions(), unchecked=True) == "/api/v1/workflow-event-bindings/a%2Fb"
