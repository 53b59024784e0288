"""What changed while the operator was down: exactly that is sent after its start."""

from collections import Counter
from pathlib import Path

import pytest

from tests.support.controlplane import PlaneFactory, wait_for
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink
from tools.controlplane.plane import ControlPlane

UNCHANGED = 1_000
MATCH = {"watch": [{"kind": "ConfigMap"}]}


def _fill(team: Team, count: int) -> None:
    team.each("put", *((f"cm-{number:04}", {"n": "0"}) for number in range(count)))


def _disturb(team: Team) -> Counter[tuple[str, str]]:
    """50 changed, 10 deleted, 5 created, 3 deleted and created again; what must be told of it."""
    changed = [f"cm-{number:04}" for number in range(50)]
    deleted = [f"cm-{number:04}" for number in range(50, 60)]
    renewed = [f"cm-{number:04}" for number in range(60, 63)]
    created = [f"new-{number}" for number in range(5)]
    team.each("patch", *((name, {"data": {"n": "1"}}) for name in changed))
    team.each("delete", *((name,) for name in (*deleted, *renewed)))
    team.each("put", *((name, {"n": "2"}) for name in (*created, *renewed)))
    return Counter(
        [("Modified", name) for name in changed]
        + [("Deleted", name) for name in (*deleted, *renewed)]
        + [("Added", name) for name in (*created, *renewed)]
    )


def _down_and_up(team: Team, sink: Sink, own: Operator, *, forget: bool, count: int) -> None:
    full = f"{team.name}/all"
    _fill(team, count)
    own.start()
    team.source("all", MATCH)
    assert team.settled(sink, "all") == []  # initial: Ignore
    assert own.stop() == 0
    seen = len(sink.of(full))

    expected = _disturb(team)
    if forget:
        team.plane.forget_history()
    assert len(sink.of(full)) == seen
    own.start()

    wait_for(
        lambda: len(sink.of(full)) >= seen + expected.total(), 30, "the events of the outage",
        lambda: f"{len(sink.of(full)) - seen} of {expected.total()}\n{own.tail()}",
    )  # fmt: skip
    whats = team.settled(sink, "all")
    assert Counter(whats) == expected
    assert len({each.body["id"] for each in sink.of(full)}) == len(sink.of(full))
    for name in ("cm-0060", "cm-0061", "cm-0062"):
        assert [what[0] for what in whats if what[1] == name] == ["Deleted", "Added"]
    assert own.stop() == 0


def test_exactly_what_changed_during_the_downtime_is_sent(
    plane: ControlPlane, team: Team, sink: Sink, tmp_path: Path
) -> None:
    with Operator(plane, sink.url, tmp_path, namespaces=(team.name,)) as own:
        own.stop()
        _down_and_up(team, sink, own, forget=False, count=100)


def test_also_when_the_server_has_forgotten_its_history(
    fresh_plane: PlaneFactory, sink: Sink, tmp_path: Path
) -> None:
    """The position is answered with 410: the difference to the ledger is the same set of changes."""
    plane = fresh_plane(argo=False, controller_manager=False)
    team = Team(plane)
    with Operator(plane, sink.url, tmp_path, namespaces=(team.name,)) as own:
        own.stop()
        _down_and_up(team, sink, own, forget=True, count=100)


@pytest.mark.parametrize("forget", [False, True], ids=["watch", "410"])
def test_a_restart_with_nothing_changed_sends_nothing(
    fresh_plane: PlaneFactory, sink: Sink, tmp_path: Path, *, forget: bool
) -> None:
    plane = fresh_plane(argo=False, controller_manager=False)
    team = Team(plane)
    _fill(team, UNCHANGED)
    with Operator(plane, sink.url, tmp_path, namespaces=(team.name,)) as own:
        team.source("all", MATCH)
        assert team.settled(sink, "all") == []
        assert own.stop() == 0
        if forget:
            plane.forget_history()
        own.start()

        assert team.settled(sink, "all", timeout=20) == []
        ids = [each.body["id"] for each in sink.of(f"{team.name}/all")]
        assert len(ids) == len(set(ids)) == 4  # the markers, each once


def test_a_source_can_be_deleted_while_the_operator_does_not_run(
    plane: ControlPlane, team: Team, sink: Sink, tmp_path: Path
) -> None:
    """No finalizer holds it, its checkpoint is collected, and the next start knows nothing of it."""
    with Operator(plane, sink.url, tmp_path, namespaces=(team.name,)) as own:
        team.source("gone", {"watch": [{"names": ["app"]}]})
        team.put("app", {})
        sink.wait(f"{team.name}/gone", 1, evidence=own.tail)
        wait_for(team.checkpoints, 10, "a checkpoint", own.tail)
        assert own.stop() == 0

        team.delete_source("gone")
        wait_for(lambda: not team.checkpoints(), 20, "its checkpoint is gone")
        team.patch("app", {"data": {"n": "1"}})

        own.start()
        team.source("next", {"watch": [{}]})
        team.settled(sink, "next")
        assert sink.whats(f"{team.name}/gone") == [("Added", "app")]
