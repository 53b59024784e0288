"""Bindings as values, and the walk over pages."""

import base64
import json
from typing import Any

import pytest

from eventsource_operator.argo.errors import Expired, InvalidArgument, Unavailable
from eventsource_operator.argo.protocol import (
    BindingPage,
    Pager,
    TemplateReference,
    WorkflowEventBinding,
    read_page,
)
from eventsource_operator.argo.protocol.bindings import MAX_RESTARTS, newest_state_token


def named(*names: str) -> tuple[WorkflowEventBinding, ...]:
    return tuple(WorkflowEventBinding(name, "ns") for name in names)


def token(key: str, version: int = 7) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": key})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_page_is_read() -> None:
    item = {
        "metadata": {
            "name": "a",
            "namespace": "ns",
            "labels": {"x": "y"},
            "uid": "u",
            "resourceVersion": "3",
        },
        "spec": {
            "event": {"selector": "true"},
            "submit": {"workflowTemplateRef": {"name": "t", "clusterScope": True}},
        },
    }
    page = read_page(
        {"metadata": {"resourceVersion": "9", "continue": "c", "remainingItemCount": "2"}, "items": [item]}
    )
    assert (page.resource_version, page.continue_, page.remaining) == ("9", "c", 2)
    (binding,) = page.items
    assert binding == WorkflowEventBinding(
        "a", "ns", {"x": "y"}, "true", TemplateReference("t", cluster_scope=True), "u", "3"
    )
    assert binding.raw is item
    assert hash(binding)


@pytest.mark.parametrize("items", [None, []])
def test_no_items_is_an_empty_page(items: list[Any] | None) -> None:
    assert read_page({"metadata": {"resourceVersion": "9"}, "items": items}) == BindingPage((), "9")


@pytest.mark.parametrize(
    "item",
    [
        {"metadata": {"name": "a"}},
        {"metadata": {"name": "a", "labels": None}, "spec": None},
        {"metadata": {"name": "a"}, "spec": {"event": None, "submit": {"workflowTemplateRef": None}}},
        {"metadata": {"name": "a"}, "spec": {"event": {"selector": 5}, "submit": []}, "status": "?"},
    ],
)
def test_fields_that_are_missing_or_strange_get_their_defaults(item: dict[str, Any]) -> None:
    (binding,) = read_page({"items": [item]}).items
    assert (binding.name, binding.selector, binding.template) == ("a", "", None)


@pytest.mark.parametrize(
    "document", [None, [], {}, {"items": {}}, {"items": "x"}, {"items": [1]}, {"items": [{}]}]
)
def test_what_is_no_list_of_bindings_is_unavailable(document: Any) -> None:
    with pytest.raises(Unavailable):
        read_page(document)


def test_one_page() -> None:
    pager = Pager("ns")
    assert pager.target == "/api/v1/workflow-event-bindings/ns?listOptions.limit=500"
    assert [item.name for item in pager.accept(BindingPage(named("a")))] == ["a"]
    assert pager.target is None


def test_pages_are_followed_with_the_same_query_but_no_version() -> None:
    pager = Pager("ns", limit=2, label_selector="x", resource_version="5", resource_version_match="Exact")
    assert "resourceVersion=5" in str(pager.target)
    pager.accept(BindingPage(named("a", "b"), continue_="t1"))
    expected = "/api/v1/workflow-event-bindings/ns?listOptions.labelSelector=x&listOptions.limit=2"
    assert pager.target == f"{expected}&listOptions.continue=t1"


def test_an_expired_token_restarts_without_repeating() -> None:
    pager = Pager("ns", limit=2)
    first = pager.target
    pager.accept(BindingPage(named("b", "c"), continue_="t1"))
    pager.expired(Expired("too old"))
    assert pager.target == first
    assert [item.name for item in pager.accept(BindingPage(named("a", "b", "c", "d")))] == ["a", "d"]
    assert pager.target is None


def test_an_expired_token_continues_with_the_newest_state() -> None:
    pager = Pager("ns", limit=2, on_expired="continue")
    pager.accept(BindingPage(named("a", "b"), continue_=token("ns/b\0")))
    pager.expired(Expired("too old"))
    onward = str(pager.target).partition("listOptions.continue=")[2]
    content = json.loads(base64.urlsafe_b64decode(onward + "=" * (-len(onward) % 4)))
    assert content == {"v": "meta.k8s.io/v1", "rv": -1, "start": "ns/b\0"}


def test_a_token_of_another_form_restarts_instead() -> None:
    pager = Pager("ns", on_expired="continue")
    first = pager.target
    pager.accept(BindingPage(named("a"), continue_="opaque"))
    pager.expired(Expired("too old"))
    assert pager.target == first


def test_a_continued_token_that_expires_again_restarts() -> None:
    pager = Pager("ns", on_expired="continue")
    first = pager.target
    pager.accept(BindingPage(named("a"), continue_=token("ns/a\0")))
    pager.expired(Expired("too old"))
    pager.expired(Expired("too old"))
    assert pager.target == first


def test_a_first_page_that_expires_is_the_callers_own_version() -> None:
    pager = Pager("ns", resource_version="1", resource_version_match="Exact")
    with pytest.raises(Expired):
        pager.expired(Expired("too old"))


def test_a_callers_own_token_cannot_restart() -> None:
    pager = Pager("ns", continue_="mine")
    with pytest.raises(Expired):
        pager.expired(Expired("too old"))


def test_restarts_are_bounded() -> None:
    pager = Pager("ns")
    for _ in range(MAX_RESTARTS):
        pager.accept(BindingPage(named("a"), continue_="t"))
        pager.expired(Expired("too old"))
    pager.accept(BindingPage(named("a"), continue_="t"))
    with pytest.raises(Expired):
        pager.expired(Expired("too old"))


def test_a_server_that_repeats_a_page_for_ever_is_found_out() -> None:
    pager = Pager("ns")
    pager.accept(BindingPage(named("a"), continue_="t"))
    with pytest.raises(Unavailable, match="again and again"):
        pager.accept(BindingPage(named("a"), continue_="t"))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"^on_expired: "):
        Pager("ns", on_expired="ignore")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "%", "bm8", "W10", token(""), "eyJ2IjoidjIifQ"])
def test_tokens_of_unknown_form(text: str) -> None:
    assert newest_state_token(text) is None
