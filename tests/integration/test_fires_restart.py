"""What fires, and that it stays so when the operator stops, is killed and starts again in between."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.controlplane import wait_for
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink
from tools.controlplane.plane import ControlPlane

UPDATES = 20
LEVELS = {3: "debug", 9: "warning", 17: "error"}
"""Of twenty updates those that touch the watched key: two before the tenth, one after it."""


def _update(team: Team, number: int) -> None:
    change = {"other": str(number)} | ({"LOG_LEVEL": LEVELS[number]} if number in LEVELS else {})
    team.patch("app", {"data": change, "metadata": {"annotations": {"n": str(number)}}})


def _status(team: Team, source: str) -> dict[str, Any]:
    found = json.loads(team.plane.kubectl("-n", team.name, "get", "evs", source, "-o", "json"))
    status: dict[str, Any] = found.get("status", {})
    return status


@pytest.mark.parametrize("way", ["running", "stopped", "killed"])
def test_only_a_watched_field_fires(
    team: Team, sink: Sink, plane: ControlPlane, tmp_path: Path, way: str
) -> None:
    """Twenty updates, three of the field: three events; also with a restart after ten, or a SIGKILL."""
    full = f"{team.name}/level"
    with Operator(plane, sink.url, tmp_path, namespaces=(team.name,)) as own:
        team.source("level", {"watch": [{"names": ["app", "marker-*"], "fields": ["data.LOG_LEVEL"]}]})
        team.put("app", {"LOG_LEVEL": "info", "other": "0"})
        for number in range(UPDATES):
            if number == UPDATES // 2 and way != "running":
                sink.wait(full, 3, evidence=own.tail)
                if way == "killed":
                    own.kill()
                else:
                    own.stop()
                own.start()
            _update(team, number)
        if way == "killed":  # the last written position may lie before the first events: ids tell them apart
            wait_for(lambda: len({e.body["id"] for e in sink.of(full)}) >= 4, 20, "four events", own.tail)
        else:
            sink.wait(full, 4, 20, own.tail)
        team.settled(sink, "level", timeout=20)

        requests = [each for each in sink.of(full) if each.what[1] == "app"]
        events = list({each.body["id"]: each for each in requests}.values())
        assert len(requests) == len(events) or way == "killed"
        assert [each.what[0] for each in events] == ["Added", "Modified", "Modified", "Modified"]
        for each, (number, level) in zip(events[1:], LEVELS.items(), strict=True):
            assert "data.LOG_LEVEL" in each.body["data"]["changed"]
            assert each.body["data"]["object"]["data"] == {"LOG_LEVEL": level, "other": str(number)}


def test_a_field_changed_while_the_operator_was_down(
    team: Team, sink: Sink, plane: ControlPlane, tmp_path: Path
) -> None:
    """The digests of the ledger tell whether it changed, and which path."""
    full = f"{team.name}/level"
    with Operator(plane, sink.url, tmp_path, namespaces=(team.name,)) as own:
        fields = ["data.LOG_LEVEL", "metadata.labels"]
        team.source("level", {"watch": [{"names": ["app*", "marker-*"], "fields": fields}]})
        team.each("put", *((name, {"LOG_LEVEL": "info"}) for name in ("app", "app-2", "app-3")))
        sink.wait(full, 3, evidence=own.tail)
        own.stop()
        team.patch("app", {"data": {"LOG_LEVEL": "debug"}})
        team.patch("app-2", {"data": {"other": "1"}})
        team.patch("app-3", {"metadata": {"labels": {"tier": "a"}}})
        own.start()
        team.settled(sink, "level", timeout=20)

    events = [each for each in sink.of(full) if each.what[0] == "Modified"]
    changed = {each.what[1]: each.body["data"]["changed"] for each in events}
    assert len(events) == 2
    assert changed["app"] == ["data.LOG_LEVEL"]
    assert changed["app-3"][0].startswith("metadata.labels")


def test_initial_send_sends_each_existing_object_once(
    team: Team, sink: Sink, plane: ControlPlane, tmp_path: Path
) -> None:
    """Also when the operator starts again, and nothing that existed for a source that ignores it."""
    names = [f"app-{number:02}" for number in range(30)]
    team.each("put", *((name, {"n": "0"}) for name in names))
    watch = {"names": ["app-*", "marker-*"]}
    with Operator(plane, sink.url, tmp_path, namespaces=(team.name,)) as own:
        team.source("send", {"watch": [watch | {"initial": "Send"}]})
        team.source("ignore", {"watch": [watch]})
        expected = Counter(("Added", name) for name in names)
        assert Counter(team.settled(sink, "send")) == expected
        assert team.settled(sink, "ignore") == []
        own.stop()
        own.start()
        team.patch(names[0], {"data": {"n": "1"}})
        more = [("Modified", names[0])]
        assert Counter(team.settled(sink, "send", timeout=20)) == expected + Counter(more)
        assert team.settled(sink, "ignore") == more


def test_what_changes_while_suspended_is_sent_afterwards(
    team: Team, sink: Sink, plane: ControlPlane, tmp_path: Path
) -> None:
    """In order and each once, also with a restart while it is suspended."""
    full = f"{team.name}/paused"
    with Operator(plane, sink.url, tmp_path, namespaces=(team.name,)) as own:
        team.source("paused", {"watch": [{}]})
        team.settled(sink, "paused")
        seen = len(sink.of(full))
        generation = team.edit_source("paused", {"suspend": True})
        wait_for(
            lambda: _status(team, "paused").get("observedGeneration") == generation,
            10,
            "suspension",
            own.tail,
        )
        team.put("app", {"n": "0"})
        team.patch("app", {"data": {"n": "1"}})
        wait_for(lambda: _status(team, "paused")["deliveries"].get("pending") == 2, 10, "pending", own.tail)
        own.stop()
        own.start()
        team.patch("app", {"data": {"n": "2"}})
        team.delete("app")
        wait_for(lambda: _status(team, "paused")["deliveries"].get("pending") == 4, 20, "pending", own.tail)
        assert len(sink.of(full)) == seen

        team.edit_source("paused", {"suspend": False})
        sink.wait(full, seen + 4, evidence=own.tail)
        whats = [("Added", "app"), ("Modified", "app"), ("Modified", "app"), ("Deleted", "app")]
        assert team.settled(sink, "paused") == whats
        states = [each.body["data"]["object"]["data"]["n"] for each in sink.of(full)[seen : seen + 4]]
        assert states == ["0", "1", "2", "2"]
