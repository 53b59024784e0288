"""Which of many changes fire: conditions that fail, quiet periods, rates, on the real control plane."""

import json
from typing import Any

import pytest

from tests.support.controlplane import wait_for
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink


def _status(team: Team, source: str) -> dict[str, Any]:
    found = json.loads(team.plane.kubectl("-n", team.name, "get", "evs", source, "-o", "json"))
    status: dict[str, Any] = found.get("status", {})
    return status


def _errors(team: Team, source: str, count: int) -> dict[str, Any]:
    """Waits for this many evaluation errors in status; there are no more."""

    def errors() -> dict[str, Any]:
        found: dict[str, Any] = _status(team, source).get("evaluationErrors", {})
        return found

    wait_for(lambda: errors().get("count", 0) >= count, 10, f"{count} evaluation errors", errors)
    assert errors()["count"] == count
    return errors()


def test_an_expression_that_fails_does_not_match(team: Team, sink: Sink, operator: Operator) -> None:
    """Counted and shown once; other objects of the source, and other sources, go on."""
    condition = {"watch": [{"names": ["app-*", "marker-*"], "condition": "object.data.env == 'prod'"}]}
    team.source("condition", condition, ready=False)
    payload = {"watch": [{"names": ["app-*"]}], "event": {"payload": "object.data.env"}}
    team.source("payload", payload, ready=False)
    team.source("plain", {"watch": [{"names": ["app-*"]}]}, ready=False)
    for name in ("condition", "payload", "plain"):
        team.until(name, "Ready", "True")
    team.put("app-bad", {"other": "1"})
    team.put("app-test", {"env": "test"})
    team.put("app-good", {"env": "prod"})
    team.patch("app-bad", {"data": {"other": "2"}})
    team.patch("app-bad", {"data": {"env": "prod"}})

    good = [("Added", "app-good"), ("Modified", "app-bad")]
    sink.wait(f"{team.name}/condition", 2, evidence=operator.tail)
    assert sorted(sink.whats(f"{team.name}/condition")) == good
    assert sorted(each.body for each in sink.wait(f"{team.name}/payload", 3)) == ["prod", "prod", "test"]
    assert len(sink.wait(f"{team.name}/plain", 5)) == 5
    for name, place in (("condition", "spec.watch[0].condition"), ("payload", "spec.event.payload")):
        errors = _errors(team, name, 2)
        assert errors["last"]["field"] == place
        assert "app-bad" in errors["last"]["resource"]
        assert "env" in errors["last"]["message"]
        assert team.condition(name, "Ready")["status"] == "True"
    assert "evaluationErrors" not in _status(team, "plain")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            {"watch": [{"condition": "object.data.env ==\n  'prod' &&& true"}]},
            "spec.watch[0].condition: line 2, column 12: ",
        ),
        (
            {"watch": [{}, {"kind": "Pod", "condition": "has(object)"}]},
            "spec.watch[1].condition: line 1, column 5: ",
        ),
        (
            {"watch": [{}], "event": {"payload": "{'a': object.data.env"}},
            "spec.event.payload: line 1, column ",
        ),
    ],
    ids=["second line", "second target", "payload"],
)
def test_a_wrong_expression_is_told_with_its_place(
    team: Team, sink: Sink, operator: Operator, spec: dict[str, Any], told: str
) -> None:
    """Accepted=False names field, line and column; mended, the source goes on by itself."""
    team.source("wrong", spec, ready=False)
    condition = team.until("wrong", "Accepted", "False")
    assert told in condition["message"]
    assert team.condition("wrong", "Ready")["status"] == "False"
    generation = team.edit_source("wrong", {"watch": [{"names": ["app"]}], "event": None})
    team.until("wrong", "Ready", "True", generation=generation)
    team.put("app", {})
    sink.wait(f"{team.name}/wrong", 1, evidence=operator.tail)
    assert sink.whats(f"{team.name}/wrong") == [("Added", "app")]


def test_a_quiet_period_makes_one_event_of_many_changes(team: Team, sink: Sink, operator: Operator) -> None:
    """Ten updates in a row are one event with the newest state; an object that went again is none."""
    full = f"{team.name}/quiet"
    team.put("app", {"n": "0"})
    team.source("quiet", {"watch": [{"names": ["app*"]}], "delivery": {"quietPeriodSeconds": 1.5}})
    for number in range(1, 11):
        last = team.patch("app", {"data": {"n": str(number)}})
    team.put("app-brief", {})
    team.delete("app-brief")
    team.put("app-new", {"n": "0"})
    team.patch("app-new", {"data": {"n": "1"}})

    requests = sink.wait(full, 2, evidence=operator.tail)
    assert sorted(sink.whats(full)) == [("Added", "app-new"), ("Modified", "app")]
    states = {each.what[1]: each.body["data"] for each in requests}
    data = states["app"]
    assert (data["object"]["data"], data["changed"]) == ({"n": "10"}, ["data.n"])
    assert data["resourceVersion"] == last["metadata"]["resourceVersion"]
    assert states["app-new"]["object"]["data"] == {"n": "1"}
    team.delete("app")
    sink.wait(full, 3, evidence=operator.tail)
    assert sink.whats(full)[2:] == [("Deleted", "app")]


def test_max_per_second_holds(team: Team, sink: Sink, operator: Operator) -> None:
    """No second has more than the rate and the bucket's one-time burst; all arrive."""
    full, rate, count = f"{team.name}/slow", 10, 40
    team.source("slow", {"watch": [{}], "delivery": {"maxPerSecond": rate}})
    team.each("put", *((f"app-{number:02}", {}) for number in range(count)))
    requests = sink.wait(full, count, 15, operator.tail)
    times = sorted(each.at for each in requests)
    assert len(times) == count
    assert times[-1] - times[0] >= (count - rate - 1) / rate * 0.9
    later = times[rate + 1 :]
    busiest = max(sum(start <= each < start + 1 for each in later) for start in later)
    assert busiest <= rate * 1.5
