"""An object that only enters or leaves what the API server selects was neither created nor deleted (G7)."""

from tests.support.controlplane import wait_for
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink

RUNNING = {"watch": [{"kind": "Pod", "fieldSelector": "status.phase=Running"}]}
CONTAINERS = [{"name": "main", "image": "example.com/none"}]


def _pod(team: Team, name: str, phase: str = "") -> None:
    """A Pod; no kubelet runs here, so its phase is what the test writes."""
    team.request("POST", "pods", {"metadata": {"name": name}, "spec": {"containers": CONTAINERS}})
    if phase:
        _phase(team, name, phase)


def _phase(team: Team, name: str, phase: str) -> None:
    team.request("PATCH", f"pods/{name}/status", {"status": {"phase": phase}})


def _label(team: Team, name: str) -> None:
    team.request("PATCH", f"pods/{name}", {"metadata": {"labels": {"example.com/a": "b"}}})


def _delete(team: Team, name: str) -> None:
    team.request("DELETE", f"pods/{name}?gracePeriodSeconds=0")


def _told(sink: Sink, full: str) -> list[tuple[str, str]]:
    """Type and name of the events; without the API server's own mark on a Pod that is about to be deleted."""
    events = [(each.what, each.body["data"].get("object", {})) for each in sink.of(full)]
    return [
        what for what, obj in events if what[0] == "Deleted" or "deletionTimestamp" not in obj["metadata"]
    ]


def _until(sink: Sink, full: str, what: list[tuple[str, str]], operator: Operator) -> None:
    """Exactly these events, in this order for each object."""

    def told() -> bool:
        found = _told(sink, full)
        return all([w for w in found if w[1] == n] == [w for w in what if w[1] == n] for _, n in found + what)

    wait_for(told, 15, f"{what} of {full}", lambda: (_told(sink, full), operator.tail()))


def test_a_mutable_field_selector_tells_of_no_creation_and_no_deletion_that_was_none(
    team: Team, sink: Sink, operator: Operator
) -> None:
    full = f"{team.name}/running"
    _pod(team, "before")
    team.source("running", RUNNING)

    _phase(team, "before", "Running")  # existed when the source began
    expected = [("Modified", "before")]
    _until(sink, full, expected, operator)
    _pod(team, "later", "Running")  # was created since, but not selected then
    expected.append(("Modified", "later"))
    _until(sink, full, expected, operator)
    _phase(team, "before", "Pending")
    _phase(team, "before", "Running")  # left, and is back
    _label(team, "later")
    _delete(team, "before")
    expected += [("Modified", "before"), ("Modified", "later"), ("Deleted", "before")]
    _until(sink, full, expected, operator)


def test_an_object_that_is_created_as_the_selector_wants_it_is_added(
    team: Team, sink: Sink, operator: Operator
) -> None:
    """Also one that has the name of a deleted one."""
    full = f"{team.name}/pending"
    team.source("pending", {"watch": [{"kind": "Pod", "fieldSelector": "status.phase=Pending"}]})
    expected: list[tuple[str, str]] = []
    for _ in range(2):
        _pod(team, "app")
        expected.append(("Added", "app"))
        _until(sink, full, expected, operator)
        _delete(team, "app")
        expected.append(("Deleted", "app"))
        _until(sink, full, expected, operator)
