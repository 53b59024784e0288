"""What a source leaves out of its delivery comes from the operator's configuration, the rest is its own."""

from typing import Any

import pytest

from eventsource_operator.api.eventsource import parse_event_source
from eventsource_operator.settings import DeliveryDefaults, Settings
from eventsource_operator.sources.plan import policy_of

CONFIGURED = Settings(
    all_namespaces=True,
    delivery=DeliveryDefaults(
        max_concurrency=7,
        max_per_second=3,
        retry_limit=2,
        retry_backoff_seconds=5,
        retry_max_backoff_seconds=20,
    ),
)


def _policy(delivery: dict[str, Any], settings: Settings) -> tuple[float, ...]:
    meta = {"name": "app", "namespace": "team", "uid": "u", "generation": 1}
    kind = {"apiVersion": "eventsource-operator.dev/v1alpha1", "kind": "EventSource"}
    source = parse_event_source({**kind, "metadata": meta, "spec": {"watch": [{}], "delivery": delivery}})
    got = policy_of(source, settings)
    retry = got.retry_limit, got.backoff_seconds, got.max_backoff_seconds
    return got.max_concurrency, got.max_per_second, *retry


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        ({}, (7, 3, 2, 5, 20)),
        ({"maxConcurrency": 1, "maxPerSecond": 0}, (1, 0, 2, 5, 20)),
        ({"retry": {"limit": 0}}, (7, 3, 0, 5, 20)),
        ({"retry": {"backoffSeconds": 120}}, (7, 3, 2, 120, 120)),
        ({"retry": {"maxBackoffSeconds": 1}}, (7, 3, 2, 5, 5)),
        ({"retry": {"backoffSeconds": 1, "maxBackoffSeconds": 9}}, (7, 3, 2, 1, 9)),
    ],
)
def test_each_value_is_the_nearest_one_and_the_longest_pause_is_never_below_the_first(
    delivery: dict[str, Any], expected: tuple[float, ...]
) -> None:
    assert _policy(delivery, CONFIGURED) == expected


def test_without_a_configuration_the_built_in_values_hold() -> None:
    settings = Settings(all_namespaces=True)

    assert _policy({}, settings) == (64, 0, 10, 1, 60)
    assert _policy({"retry": {"backoffSeconds": 120}}, settings) == (64, 0, 10, 120, 120)
