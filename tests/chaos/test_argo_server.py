"""The Argo Server fails in each of its ways while a writer works."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.conftest import Tell
from tests.chaos.kit import (
    NAMESPACE,
    PATIENCE_SECONDS,
    Operator,
    Return,
    lasting,
    new_source,
    settled,
    status,
    until_more,
    until_watching,
)
from tests.support.controlplane import PlaneFactory, wait_for
from tests.support.recorder import Recorder
from tests.support.sink import Fault
from tests.support.writer import Writer
from tools.controlplane.plane import ControlPlane

OUTAGE_SECONDS = 120.0 if os.environ.get("CHAOS_LONG") else 20.0
RETURN_SECONDS = 3.0
RESIDENT_MIB = 200.0
DOWN: dict[str, tuple[Callable[[Recorder], None], Callable[[Recorder], None]]] = {
    "503": (lambda sink: sink.always(Fault.AWAY), lambda sink: sink.always(Fault.NONE)),
    "refused": (Recorder.refuse, Recorder.accept),
    "hung": (lambda sink: sink.always(Fault.HANG), lambda sink: sink.always(Fault.NONE)),
}


def no_failure(plane: ControlPlane) -> None:
    """The status tells that all is delivered and that nothing failed."""

    def told() -> bool:
        deliveries = status(plane).get("deliveries", {})
        assert deliveries.get("pending") == 0
        assert deliveries.get("failed") == 0
        assert "lastFailure" not in deliveries
        return True

    wait_for(told, PATIENCE_SECONDS, "the status tells that all is delivered")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", DOWN)
def test_an_outage_costs_no_event(
    way: str, own_plane: ControlPlane, recorder: Recorder, tmp_path: Path, tell: Tell
) -> None:
    # few retries, so that an outage that used them up would show
    new_source(own_plane, retry={"limit": 2, "backoffSeconds": 1, "maxBackoffSeconds": 1})
    go_down, return_ = DOWN[way]
    with Operator(own_plane, recorder.url, tmp_path) as operator:
        until_watching(own_plane, operator)
        with Writer(own_plane, NAMESPACE, int(OUTAGE_SECONDS * 60), rate=50) as writer:
            until_more(recorder, 1, operator)
            go_down(recorder)
            resident: list[float] = []
            lasting(OUTAGE_SECONDS, lambda: resident.append(operator.resident))
            before, back = len(recorder.received), Return(operator)
            return_(recorder)
            if way == "hung":
                recorder.let_go()
            wait_for(
                lambda: len(recorder.received) > before, PATIENCE_SECONDS, "a delivery again", operator.tail
            )
            after = back.took(recorder.received[before].at)
            writer.stop()
            writer.join()
            changes = writer.changes
        verdict = settled(changes, recorder, operator)
        most, retried = max(*resident, operator.resident), operator.retried
        tell(
            f"away {OUTAGE_SECONDS:.0f} s, first delivery {after:.2f} s after; {most:.0f} MiB, "
            f"{retried:.0f} retries; {verdict}"
        )
        no_failure(own_plane)
    assert retried == 0
    assert after <= RETURN_SECONDS
    assert most < RESIDENT_MIB


def test_a_reset_after_processing_repeats_the_same_id(
    own_plane: ControlPlane, recorder: Recorder, tmp_path: Path, tell: Tell
) -> None:
    new_source(own_plane)
    recorder.fault = lambda number: Fault.RESET if number % 10 == 0 else Fault.NONE
    with Operator(own_plane, recorder.url, tmp_path) as operator:
        until_watching(own_plane, operator)
        with Writer(own_plane, NAMESPACE, 400, rate=60) as writer:
            writer.join()
            changes = writer.changes
        verdict = settled(changes, recorder, operator, repeats=lambda: recorder.faults[Fault.RESET])
        no_failure(own_plane)
    tell(f"{recorder.faults[Fault.RESET]} resets: {verdict}")
    assert recorder.faults[Fault.RESET] > 20
    assert verdict.duplicates == recorder.faults[Fault.RESET]


def test_shedding_and_transient_dispatch_errors_cost_no_event(
    own_plane: ControlPlane, recorder: Recorder, tmp_path: Path, tell: Tell
) -> None:
    new_source(own_plane)
    recorder.fault = lambda number: {3: Fault.SHED, 8: Fault.DISPATCH, 5: Fault.SLOW}.get(
        number % 10, Fault.NONE
    )
    with Operator(own_plane, recorder.url, tmp_path) as operator:
        until_watching(own_plane, operator)
        with Writer(own_plane, NAMESPACE, 400, rate=60) as writer:
            writer.join()
            changes = writer.changes
        verdict = settled(changes, recorder, operator)
        no_failure(own_plane)
    shown = {fault.name: count for fault, count in recorder.faults.items()}
    tell(f"{shown}: {verdict}")
    assert recorder.faults[Fault.SHED] > 10
    assert recorder.faults[Fault.DISPATCH] > 10


TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: once}
spec: {entrypoint: main, templates: [{name: main, suspend: {duration: "0"}}]}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowEventBinding
metadata: {name: once}
spec:
  event: {selector: payload.data.kind == "ConfigMap"}
  submit:
    metadata:
      name: "'once-' + payload.id"
      labels: {type: payload.data.type, uid: payload.data.uid, version: payload.data.resourceVersion}
    workflowTemplateRef: {name: once}
"""


def _workflows(plane: ControlPlane) -> list[tuple[str, str, int]]:
    """The change that each Workflow was made of; a deletion's version is not known to the writer."""
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/workflows"
    labels = [each["metadata"]["labels"] for each in plane.api.request("GET", path)["items"]]
    return [(of["type"], of["uid"], 0 if of["type"] == "Deleted" else int(of["version"])) for of in labels]


@pytest.mark.timeout(900)
def test_the_real_argo_server_killed_leaves_one_workflow_per_change(
    fresh_plane: PlaneFactory, tmp_path: Path, tell: Tell
) -> None:
    plane = fresh_plane(controller_manager=False, workflow_controller=False)
    new_source(plane, retry={"limit": 2, "backoffSeconds": 1, "maxBackoffSeconds": 1})
    plane.allow_sending(NAMESPACE)
    plane.apply(TEMPLATE, "--namespace", NAMESPACE)
    with Operator(plane, plane.argo_url, tmp_path) as operator:
        until_watching(plane, operator)
        with Writer(plane, NAMESPACE, 10_000, rate=5) as writer:
            wait_for(
                lambda: len(_workflows(plane)) >= 10, PATIENCE_SECONDS, "the first Workflows", operator.tail
            )
            plane.kill("argo-server")
            resident: list[float] = []
            lasting(OUTAGE_SECONDS, lambda: resident.append(operator.resident))
            made = len(_workflows(plane))
            plane.start_component("argo-server")
            back, clock = Return(operator), time.time()
            again = wait_for(
                lambda: operator.last_delivery > clock and operator.last_delivery, PATIENCE_SECONDS,
                "a delivery again", operator.tail,
            )  # fmt: skip
            after = back.took(back.at + again - clock)
            writer.stop()
            writer.join()
            changes = writer.changes
        wanted = {change.identity for change in changes}
        wait_for(lambda: set(_workflows(plane)) >= wanted, PATIENCE_SECONDS, "every Workflow", operator.tail)
        no_failure(plane)
        retried, workflows = operator.retried, _workflows(plane)
    tell(
        f"argo-server killed, away {OUTAGE_SECONDS:.0f} s: {made} Workflows before, {len(workflows)} of "
        f"{len(changes)} changes after; first delivery {after:.2f} s after the return at most, "
        f"{retried:.0f} retries, {max(resident):.0f} MiB"
    )
    assert len(workflows) == len(changes)
    assert retried == 0
    assert after <= RETURN_SECONDS
    assert max(resident) < RESIDENT_MIB
