"""Statuses: there and back, and cut to their bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from eventsource_operator.api.reading import SpecError
from eventsource_operator.api.spec import ChangeType
from eventsource_operator.api.status import (
    BindingsStatus,
    Condition,
    DeliveriesStatus,
    Failure,
    Status,
    WatchStatus,
)
from tests.support.eventsource_objects import schema
from tests.support.eventsource_statuses import statuses

NOW = "2026-01-02T03:04:05Z"
some = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@given(status=statuses(beyond=False))
@some
def test_there_and_back(status: Status) -> None:
    assert Status.from_dict(status.to_dict()) == status


@given(status=statuses(beyond=True))
@some
def test_what_is_written_fits_the_schema(status: Status) -> None:
    jsonschema.validate(status.to_dict(), schema()["properties"]["status"])


def test_an_empty_status() -> None:
    assert Status.from_dict(None) == Status.from_dict({}) == Status()
    assert Status().to_dict() == {
        "observedGeneration": 0,
        "deliveries": {"delivered": 0, "failed": 0, "pending": 0},
    }


def test_long_texts_end_in_an_ellipsis_and_long_lists_are_cut() -> None:
    failure = Failure("ab", ChangeType.ADDED, "r" * 513, NOW, "Rejected", "m" * 1025)
    plain = Status(
        bindings=BindingsStatus(21, tuple(f"b{n}" for n in range(21)), NOW),
        deliveries=DeliveriesStatus(failures=(failure,) * 21),
    ).to_dict()
    assert plain["bindings"]["count"] == 21
    assert plain["bindings"]["names"] == [f"b{n}" for n in range(20)]
    assert len(plain["deliveries"]["failures"]) == 20
    first = plain["deliveries"]["failures"][0]
    assert (first["resource"], first["message"]) == ("r" * 511 + "…", "m" * 1023 + "…")


def test_the_summary_counts_live_targets() -> None:
    watch = WatchStatus("v1/ConfigMap", live=True)
    status = Status(watches=(watch, replace(watch, live=False), watch))
    assert status.to_dict()["summary"] == {"watches": "2/3"}


def test_conditions_are_found_by_type() -> None:
    ready = Condition("Ready", "True", "Delivering", "", 1, NOW)
    status = Status(conditions=(ready,))
    assert status.condition("Ready") is ready
    assert status.condition("Bound") is None


def test_fields_of_a_newer_version_are_passed_over() -> None:
    assert Status.from_dict({"news": 1, "deliveries": {"delivered": 4, "news": []}}).deliveries.delivered == 4


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"conditions": {}}, "status.conditions"),
        ({"deliveries": {"delivered": "4"}}, "status.deliveries.delivered"),
        ({"deliveries": {"last": {"type": "Renamed"}}}, "status.deliveries.last.type"),
    ],
)
def test_what_no_version_writes_is_an_error(value: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        Status.from_dict(value)
    assert caught.value.field == field
