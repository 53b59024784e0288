"""Sources that come, change and go while the operator runs, or while it does not."""

import time

from tests.support.controlplane import wait_for
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink

SOON = 3.0
"""Seconds within which a change of a source must work."""


def test_an_edited_selector_works_at_once(team: Team, sink: Sink, operator: Operator) -> None:
    """Only what the newest selector selects is sent."""
    full = f"{team.name}/edited"
    team.source("edited", {"watch": [{"labelSelector": {"matchLabels": {"app": "a"}}}]})
    team.put("one-b", {}, {"app": "b"})
    team.put("one-a", {}, {"app": "a"})
    sink.wait(full, 1, evidence=operator.tail)

    began = time.monotonic()
    generation = team.edit_source("edited", {"watch": [{"labelSelector": {"matchLabels": {"app": "b"}}}]})
    team.until("edited", "Ready", "True", generation=generation)
    took = time.monotonic() - began
    team.put("two-a", {}, {"app": "a"})
    team.put("two-b", {}, {"app": "b"})

    assert team.settled(sink, "edited", {"app": "b"}) == [("Added", "one-a"), ("Added", "two-b")]
    assert took < SOON


def test_an_edited_name_tells_nothing_of_what_exists(team: Team, sink: Sink, operator: Operator) -> None:
    """Names are fixed: an unknown object with such a name looks like a new one, unless it was seen before."""
    full = f"{team.name}/renamed"
    team.source("renamed", {"watch": [{"names": ["a-*"]}]})
    team.put("b-old", {})
    team.put("a-old", {})
    sink.wait(full, 1, evidence=operator.tail)

    generation = team.edit_source("renamed", {"watch": [{"names": ["b-*", "marker-*"]}]})
    team.until("renamed", "Ready", "True", generation=generation)
    team.put("b-new", {})

    assert team.settled(sink, "renamed") == [("Added", "a-old"), ("Added", "b-new")]


def test_an_edited_server_gets_the_next_event(
    team: Team, sink: Sink, other_sink: Sink, operator: Operator
) -> None:
    full = f"{team.name}/moved"
    team.source("moved", {"watch": [{"names": ["app"]}]})
    team.put("app", {"n": "1"})
    sink.wait(full, 1, evidence=operator.tail)

    began = time.monotonic()
    generation = team.edit_source("moved", {"server": {"url": other_sink.url}})
    team.until("moved", "Ready", "True", generation=generation)
    took = time.monotonic() - began
    team.patch("app", {"data": {"n": "2"}})

    other_sink.wait(full, 1, evidence=operator.tail)
    assert other_sink.whats(full) == [("Modified", "app")]
    assert sink.whats(full) == [("Added", "app")]
    assert took < SOON


def test_a_deleted_source_sends_nothing_more(team: Team, sink: Sink, operator: Operator) -> None:
    """Its checkpoint goes with it, and the other source goes on."""
    team.source("leaving", {"watch": [{}]})
    team.source("staying", {"watch": [{}]})
    team.put("before", {})
    sink.wait(f"{team.name}/leaving", 1, evidence=operator.tail)
    wait_for(lambda: len(team.checkpoints()) >= 2, 10, "two checkpoints", operator.tail)

    team.delete_source("leaving")
    wait_for(lambda: _owners(team) == {"staying"}, 15, "its checkpoint is gone", operator.tail)
    team.put("after", {})

    assert ("Added", "after") in team.settled(sink, "staying")
    assert ("Added", "after") not in sink.whats(f"{team.name}/leaving")


def _owners(team: Team) -> set[str]:
    return {each["metadata"]["ownerReferences"][0]["name"] for each in team.checkpoints()}
