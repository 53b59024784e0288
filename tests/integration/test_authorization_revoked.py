"""Rights that are taken away while events flow, and given back; and how often they are asked for."""

import itertools
import time
from collections import Counter
from datetime import datetime

import pytest

from tests.support.controlplane import wait_for
from tests.support.rights import run_as_printed
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink
from tests.support.writer import Writer
from tools.controlplane.plane import ControlPlane

RESYNC = 5.0
JITTER = 1.1
"""A resync comes after at most this much of its interval."""
SLACK = 3.0
"""Seconds for the pass itself, on a busy machine."""
QUIET = 2.5
"""Seconds without an event, while changes go on, after which the flow has stopped."""

RULES = {
    "watch": ("--verb=list,watch", "--resource=configmaps"),
    "send": ("--verb=create", "--resource=workflows.argoproj.io"),
}


def _stopped(sink: Sink, source: str) -> bool:
    return time.monotonic() - sink.of(source)[-1].at > QUIET


@pytest.mark.parametrize("right", RULES)
def test_a_revoked_right_stops_the_flow_and_its_return_loses_nothing(
    plane: ControlPlane, team: Team, sink: Sink, operator: Operator, right: str
) -> None:
    """The binding is deleted under load: quiet within a resync. Given back as told: all that changed, each once."""
    other = Team(plane, "other")
    full = f"{team.name}/afar"
    plane.kubectl("-n", other.name, "create", "role", "borrowed", *RULES[right])
    bind = ("create", "rolebinding", "borrowed", "--role=borrowed", f"--serviceaccount={team.name}:default")
    plane.kubectl("-n", other.name, *bind)
    watch = {"names": ["cm-*"]} | ({"namespaces": {"names": [other.name]}} if right == "watch" else {})
    spec = {"watch": [watch], "bindings": {"resyncSeconds": int(RESYNC)}}
    if right == "send":
        spec["event"] = {"namespace": other.name}
    team.source("afar", spec)
    where = other.name if right == "watch" else team.name
    with Writer(plane, where, 100_000, rate=30) as writer:
        sink.wait(full, 60, evidence=operator.tail)
        for _ in range(2 if right == "watch" else 1):  # the second time the role of the hint is still there
            plane.kubectl("-n", other.name, "delete", "rolebinding", "--all")
            revoked = time.monotonic()
            wait_for(lambda: _stopped(sink, full), RESYNC * JITTER + SLACK + QUIET + 2, "the flow to stop")
            count, written = len(sink.of(full)), len(writer.changes)
            assert sink.of(full)[-1].at - revoked <= RESYNC * JITTER + SLACK
            denied = team.until("afar", "Authorized", "False")
            assert team.condition("afar", "Ready")["status"] == "False"
            wait_for(lambda n=written: len(writer.changes) > n + 60, 20, "changes meanwhile")  # type: ignore[misc]
            assert len(sink.of(full)) == count, "sent without a right"

            run_as_printed(plane, denied["message"])
            team.until("afar", "Ready", "True")
            sink.wait(full, count + 60, evidence=operator.tail)
        writer.stop()
        writer.join()
        changes = writer.changes
    sent = Counter(change.identity for change in changes)

    def arrived() -> Counter[tuple[str, str, int]]:
        found: Counter[tuple[str, str, int]] = Counter()
        for request in sink.of(full):
            data = request.body["data"]
            version = 0 if data["type"] == "Deleted" else int(data["resourceVersion"])
            found[data["type"], data["uid"], version] += 1
        return found

    wait_for(lambda: arrived() >= sent, 20, "every change", lambda: list((sent - arrived()).items())[:5])
    assert arrived() == sent, "each once, and nothing else"
    assert team.plane.api.request("GET", team._path("afar"))["status"]["deliveries"]["failed"] == 0
    other.end()


def test_a_denied_review_is_asked_again_with_each_resync_only(
    plane: ControlPlane, team: Team, sink: Sink, operator: Operator
) -> None:
    """By the audit log: two reviews a resync, however often the source looks after what it lacks."""
    other = Team(plane, "other")
    spec = {"watch": [{"namespaces": {"names": [other.name]}}], "bindings": {"resyncSeconds": int(RESYNC)}}
    team.source("afar", spec, ready=False)
    team.until("afar", "Authorized", "False")

    def asked() -> list[float]:
        found = []
        for event in plane.audit_events():
            ref = event.get("objectRef", {})
            if ref.get("resource") == "localsubjectaccessreviews" and ref.get("namespace") == other.name:
                found.append(datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp())
        return sorted(found)

    wait_for(lambda: len(asked()) >= 7, 40, "a fourth round of reviews", operator.tail)
    rounds = asked()[::2]
    pauses = [later - earlier for earlier, later in itertools.pairwise(rounds)]
    assert min(pauses) > RESYNC * 0.9 - 0.5, pauses
    assert not sink.of(f"{team.name}/afar")
    other.end()
