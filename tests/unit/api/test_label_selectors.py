"""Label selectors of an EventSource: what the API server takes, and not more."""

from __future__ import annotations

from typing import Any

import pytest

from eventsource_operator.api.eventsource import (
    LabelSelector,
    SpecError,
    parse_event_source,
    parse_spec,
)
from tests.support.eventsource_objects import event_source


def selected(**selector: Any) -> LabelSelector | None:
    return parse_spec({"watch": [{"labelSelector": selector}]}).watch[0].label_selector


def test_a_label_without_a_value_is_dropped_as_the_api_server_does() -> None:
    assert selected(matchLabels={"a": None, "b": ""}) == LabelSelector((("b", ""),))


@pytest.mark.parametrize("key", ["a" * 254 + "/b", "a/" + "b" * 64, "a/b/c", "/b", "a/", "A/b"])
def test_a_label_key_that_kubernetes_refuses(key: str) -> None:
    with pytest.raises(SpecError, match="matchLabels"):
        selected(matchLabels={key: "v"})
    with pytest.raises(SpecError, match=r"matchExpressions\[0\].key"):
        selected(matchExpressions=[{"key": key, "operator": "Exists"}])


def test_the_longest_label_key() -> None:
    key = f"{'a' * 253}/{'b' * 63}"
    assert selected(matchLabels={key: "v"}) == LabelSelector(((key, "v"),))


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([], "must be a map of labels, not "),
        ({f"k{number}": "" for number in range(33)}, "at most 32 labels (it has 33)"),
    ],
)
def test_labels_that_are_no_such_map(labels: Any, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_event_source(event_source({"watch": [{"labelSelector": {"matchLabels": labels}}]}))
    assert str(caught.value).startswith("spec.watch[0].labelSelector.matchLabels")
    assert words in str(caught.value)


def test_32_labels_are_not_too_many() -> None:
    labels = {f"k{number:02}": "" for number in range(32)}
    (target,) = parse_event_source(
        event_source({"watch": [{"labelSelector": {"matchLabels": labels}}]})
    ).spec.watch
    assert target.label_selector is not None
    assert target.label_selector.match_labels == tuple(labels.items())
