"""Each sample, applied as it is written, on the real control plane: its Workflow comes to exist, and runs.

There is no node here: Workflows of `suspend` steps run to their end, and of the others the pod that Argo makes
is looked at, and what it would do is done with its own account's rights.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.controlplane import wait_for
from tests.support.running_operator import Operator, Team
from tests.support.samples import (
    FOLDER,
    REVISION,
    SAMPLES,
    Kubectl,
    Place,
    parameters,
    run_broadcast,
    run_sample,
)
from tools.controlplane.argo import create_namespace
from tools.controlplane.pins import CHECKOUT
from tools.controlplane.plane import ControlPlane

ACCOUNT = "eventsource-operator"
"""Namespace and name of the sender that the samples' Roles are for."""

pytestmark = pytest.mark.usefixtures("sender")


@pytest.fixture(scope="module")
def sender(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator that sends to the real argo-server with the account that the samples name, and no other right."""
    folder = tmp_path_factory.mktemp("samples")
    create_namespace(plane.api, ACCOUNT)
    running = Operator(plane, plane.argo_url, folder)
    (folder / "argo.token").write_text(plane.token(ACCOUNT, ACCOUNT), encoding="utf-8")
    with running:
        yield running


def _kubectl(plane: ControlPlane) -> Kubectl:
    """A kubectl that finds the samples: their paths are told from the checkout's directory."""

    def run(*args: str, stdin: str | None = None) -> str:
        found = (str(CHECKOUT / each) if each.startswith(str(FOLDER)) else each for each in args)
        return plane.kubectl(*found, stdin=stdin)

    return run


@pytest.fixture
def place(plane: ControlPlane, team: Team) -> Place:
    """A namespace of its own."""
    return Place(_kubectl(plane), team.name)


def test_every_sample_has_a_promise_that_is_kept() -> None:
    """A folder that nobody tests is a text, not a sample."""
    folders = {each.name for each in (CHECKOUT / FOLDER).iterdir() if each.is_dir()}
    assert folders == {*SAMPLES, "broadcast"}


@pytest.mark.parametrize("folder", ["quickstart", "audit-deletions"])
def test_its_workflow_runs_to_its_end(place: Place, folder: str) -> None:
    run_sample(place, folder)


def test_sync_on_status(place: Place) -> None:
    """Its definition is applied first, as the text says; four status writes are one Workflow."""
    place.kubectl("apply", "-f", str(FOLDER / "sync-on-status" / "crd"))
    place.kubectl("wait", "--for=condition=Established", "crd/databases.samples.eventsource-operator.dev")
    try:
        run_sample(place, "sync-on-status")
    finally:
        place.kubectl("delete", "-f", str(FOLDER / "sync-on-status" / "crd"), "--wait=false")
        place.kubectl("delete", "clusterrole", "eventsource-operator-watch-databases")


def test_release_per_deployment(place: Place) -> None:
    """The Deployment controller's number is written by the test: that controller does not run here."""

    def numbered(revision: int, at: Place) -> None:
        at.run("annotate", "deployment/web", f"{REVISION}={revision}", "--overwrite")

    workflow = run_sample(place, "release-per-deployment", after=partial(numbered, 2))
    numbered(2, place)
    place.run("label", "deployment/web", "team=shop")  # nor is a label a release
    numbered(3, place)
    place.workflow("example.com/revision=3", "Succeeded")
    assert len(place.workflows("example.com/deployment=web")) == 2
    assert workflow["metadata"]["name"].endswith("-2")


def test_broadcast(plane: ControlPlane) -> None:
    run_broadcast(_kubectl(plane))


def _pod_template(place: Place, workflow: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pod that Argo made for a Workflow, and the template that it is to run, filled in."""
    name = workflow["metadata"]["name"]

    def made() -> dict[str, Any]:
        (pod,) = place.get("pods", "-l", f"workflows.argoproj.io/workflow={name}")["items"] or [{}]
        return dict(pod)

    pod = wait_for(made, 30, f"the pod of {name}")
    containers = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    variables = {each["name"]: each.get("value", "") for part in containers for each in part.get("env", [])}
    template: dict[str, Any] = json.loads(variables["ARGO_TEMPLATE"])
    return pod, template


def test_restart_on_config_change(place: Place) -> None:
    """Three edits are one Workflow; what its pod is to do, its own account may do, and it rolls the Deployment."""
    workflow = run_sample(place, "restart-on-config-change")
    pod, template = _pod_template(place, workflow)
    account = pod["spec"]["serviceAccountName"]
    assert (account, template["resource"]["action"]) == ("restarter", "patch")
    change = yaml.safe_load(template["resource"]["manifest"])
    place.run(
        "patch", "deployment", change["metadata"]["name"], "--type=strategic", "-p", json.dumps(change),
        f"--as=system:serviceaccount:{place.namespace}:{account}",
    )  # fmt: skip
    marked = place.get("deployment", "shop")["spec"]["template"]["metadata"]["annotations"]
    event = parameters(workflow)["event"]
    assert marked == {"example.com/restarted-by": f"ConfigMap/shop {event}"}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ('{"timeout": 30}', ""),
        ('{"timeout": -1}', "timeout must be a positive number of seconds, not -1"),
        ('{"timeout": ', "config.json is not JSON"),
        ("[]", "timeout must be a positive number of seconds, not None"),
    ],
)
def test_what_validate_config_says(config: str, told: str, tmp_path: Path) -> None:
    """The program of its template, run as the pod would run it."""
    document = yaml.safe_load(
        (CHECKOUT / FOLDER / "validate-config" / "10-workflowtemplate.yaml").read_text()
    )
    templates = {each["name"]: each for each in document["spec"]["templates"]}
    files = tmp_path / "files.json"
    files.write_text(json.dumps({"config.json": config}), encoding="utf-8")
    source = templates["check"]["script"]["source"].replace("/in/files.json", str(files))
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (not told)
    assert told in done.stderr


def test_validate_config(place: Place) -> None:
    """The broken candidate's Workflow gets it as a file; the publisher's account may publish what is valid."""
    workflow = run_sample(place, "validate-config")
    pod, template = _pod_template(place, workflow)
    account = pod["spec"]["serviceAccountName"]
    (artifact,) = template["inputs"]["artifacts"]
    assert (account, artifact["path"]) == ("config-publisher", "/in/files.json")
    given = parameters(workflow)
    assert artifact["raw"]["data"] == given["files"]
    assert given["files"] not in template["script"]["source"]

    published = place.get("workflowtemplate", "validate-config")["spec"]["templates"]
    manifest = next(each for each in published if each["name"] == "publish")["resource"]["manifest"]
    manifest = manifest.replace("{{inputs.parameters.files}}", given["files"])
    manifest = manifest.replace("{{workflow.parameters.event}}", given["event"])
    place.run("apply", "-f", "-", f"--as=system:serviceaccount:{place.namespace}:{account}", stdin=manifest)
    assert place.get("configmap", "shop-config")["data"] == json.loads(given["files"])
