"""What the log says when nothing is wrong: hardly anything, and nothing when a namespace with sources is deleted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.controlplane import wait_for
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink
from tools.controlplane.plane import ControlPlane
from tools.controlplane.rest import HttpError

ENDING_SECONDS = 90.0
ROUNDS = 2
SOURCES_EACH = 5


def _gone(plane: ControlPlane, name: str) -> bool:
    try:
        plane.api.request("GET", f"/api/v1/namespaces/{name}")
    except HttpError as error:
        return error.status == 404
    return False


def _ending(plane: ControlPlane) -> list[str]:
    """The namespaces that are being deleted."""
    items = plane.api.request("GET", "/api/v1/namespaces")["items"]
    return [each["metadata"]["name"] for each in items if "deletionTimestamp" in each["metadata"]]


@pytest.fixture
def operator(plane: ControlPlane, sink: Sink, tmp_path: Path) -> Iterator[Operator]:
    """Starts when no namespace of another test is being deleted: it would tell that it finds half of what was there."""
    wait_for(
        lambda: not _ending(plane), ENDING_SECONDS, "no namespace is being deleted", lambda: _ending(plane)
    )
    with Operator(plane, sink.url, tmp_path) as running:
        yield running


def test_a_namespace_that_is_deleted_makes_no_noise(
    plane: ControlPlane, sink: Sink, operator: Operator
) -> None:
    """Sources that watch what is being deleted with them, events under way; after it the next namespace works."""
    for _ in range(ROUNDS):
        team = Team(plane, "quiet")
        watch = {"watch": [{}], "bindings": {"resyncSeconds": 5}}
        team.each("source", *((f"s-{number}", watch) for number in range(SOURCES_EACH)))
        for number in range(10):
            team.put(f"c-{number}", {})
        sink.wait(f"{team.name}/s-0", 5, evidence=operator.tail)
        plane.api.request("DELETE", f"/api/v1/namespaces/{team.name}")
        wait_for(lambda name=team.name: _gone(plane, name), 60, "the namespace is gone", operator.tail)  # type: ignore[misc]
    last = Team(plane, "quiet")
    last.source("after", {"watch": [{"names": ["app"]}]})
    last.put("app", {})
    sink.wait(f"{last.name}/after", 1, evidence=operator.tail)

    lines = operator.log.read_text("utf-8").splitlines()
    assert [line for line in lines if " INFO " not in line] == []
    assert len(lines) <= 3  # where it listens, that it leads
    last.end()
