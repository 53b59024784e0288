"""What each folder of `manifests/samples` promises, for any cluster: its change, its Workflow, what that is given.

The integration tests run them on the control plane, the end-to-end tests on a node with the operator's own rights.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.support.controlplane import wait_for

FOLDER = Path("manifests/samples")
REVISION = "deployment.kubernetes.io/revision"
Parameters = dict[str, str]


class Kubectl(Protocol):
    """Runs kubectl as administrator, in the checkout's directory, and returns what it printed."""

    def __call__(self, *args: str, stdin: str | None = None) -> str:
        """The arguments are kubectl's."""


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace that a sample is applied to."""

    kubectl: Kubectl
    namespace: str

    def run(self, *args: str, stdin: str | None = None) -> str:
        """As `kubectl`, in the namespace."""
        return self.kubectl("--namespace", self.namespace, *args, stdin=stdin)

    def get(self, *args: str) -> Any:
        """`kubectl get … -o json`, decoded."""
        return json.loads(self.run("get", *args, "-o", "json"))

    def patch(self, kind: str, name: str, body: dict[str, Any], *more: str) -> None:
        """A merge patch."""
        self.run("patch", kind, name, "--type=merge", "-p", json.dumps(body), *more)

    def ready(self, source: str) -> None:
        """Waits for a source, as the samples' texts do."""
        for condition in ("Ready", "Bound"):
            self.run("wait", f"--for=condition={condition}", f"eventsource/{source}", "--timeout=60s")

    def workflows(self, selector: str) -> list[dict[str, Any]]:
        """The namespace's Workflows."""
        found: list[dict[str, Any]] = self.get("workflows", "-l", selector)["items"]
        return found

    def workflow(self, selector: str, phase: str, text: str = "") -> dict[str, Any]:
        """The only Workflow with this text in its parameters, once it is in that phase (empty: in any)."""

        def found() -> dict[str, Any]:
            every = [each for each in self.workflows(selector) if text in json.dumps(parameters(each))]
            assert len(every) == 1
            assert phase in {"", every[0].get("status", {}).get("phase")}
            return every[0]

        return wait_for(found, 60, f"one Workflow {selector} {phase}", lambda: self.workflows(""))


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample and its promise.

    Attributes:
        source: its EventSource.
        change: what its text tells people to do.
        selector: finds the Workflow of that change.
        check: looks at the Workflow and its parameters.
        needs_node: the Workflow starts pods; else it succeeds without any.
        text: in its parameters; what the sample brings may have a Workflow, too, if it is seen as new.
    """

    source: str
    change: Callable[[Place], None]
    selector: str
    check: Callable[[Place, dict[str, Any], Parameters], None]
    needs_node: bool = False
    text: str = ""


def parameters(workflow: dict[str, Any]) -> Parameters:
    """A Workflow's arguments by name."""
    return {item["name"]: item["value"] for item in workflow["spec"]["arguments"]["parameters"]}


# ---------------------------------------------------------------- quickstart
def _quickstart(place: Place) -> None:
    place.patch("configmap", "app", {"data": {"LOG_LEVEL": "debug"}})


def _quickstart_done(place: Place, _workflow: dict[str, Any], given: Parameters) -> None:
    assert given == {
        "configmap": f"{place.namespace}/app",
        "change": "Modified",
        "changed": '["data.LOG_LEVEL"]',
        "data": '{"GREETING":"hello","LOG_LEVEL":"debug"}',
    }


# ---------------------------------------------------------------- restart-on-config-change
def _three_edits(place: Place) -> None:
    for currency in ("CHF", "USD", "GBP"):
        place.patch("configmap", "shop", {"data": {"CURRENCY": currency}})


def _one_restart(_place: Place, workflow: dict[str, Any], given: Parameters) -> None:
    assert (given["deployment"], given["cause"]) == ("shop", "ConfigMap/shop")
    assert workflow["metadata"]["name"] == f"restart-{given['event']}"


# ---------------------------------------------------------------- validate-config
def _broken_candidate(place: Place) -> None:
    place.patch("configmap", "shop-candidate", {"data": {"config.json": '{"timeout": -1}'}})


def _checked(_place: Place, workflow: dict[str, Any], given: Parameters) -> None:
    assert given["candidate"] == "shop-candidate"
    assert json.loads(given["files"]) == {"config.json": '{"timeout": -1}'}
    assert workflow["metadata"]["name"] == f"validate-{given['event']}"


# ---------------------------------------------------------------- sync-on-status
def _four_states(place: Place) -> None:
    for status in (
        {"phase": "Pending"},
        {"phase": "Pending", "lastProbeTime": "2026-01-01T00:00:00Z"},
        {"phase": "Ready", "endpoint": "orders:5432"},
        {"phase": "Ready", "lastProbeTime": "2026-01-01T00:00:10Z"},
    ):
        place.patch("database", "orders", {"status": status}, "--subresource=status")


def _registered(_place: Place, _workflow: dict[str, Any], given: Parameters) -> None:
    assert given == {"database": "orders", "phase": "Ready", "endpoint": "orders:5432"}


# ---------------------------------------------------------------- audit-deletions
def _deletion(place: Place) -> None:
    place.run("delete", "configmap", "important")


def _recorded(place: Place, _workflow: dict[str, Any], given: Parameters) -> None:
    assert given["resource"] == f"configmaps/{place.namespace}/important"
    assert json.loads(given["lastState"])["data"] == {"owner": "accounting"}


# ---------------------------------------------------------------- release-per-deployment
def _release(place: Place) -> None:
    place.run("scale", "deployment/web", "--replicas=0")  # no release
    place.run("set", "env", "deployment/web", "VERSION=2")


def _released(place: Place, workflow: dict[str, Any], given: Parameters) -> None:
    uid = place.get("deployment", "web")["metadata"]["uid"]
    assert workflow["metadata"]["name"] == f"release-{uid}-2"
    images = '["registry.k8s.io/pause:3.10"]'
    assert given == {"deployment": "web", "revision": "2", "images": images}


SAMPLES = {
    "quickstart": Sample("app-config", _quickstart, "example.com/configmap=app", _quickstart_done),
    "restart-on-config-change": Sample(
        "restart-on-config-change", _three_edits, "", _one_restart, needs_node=True
    ),
    "validate-config": Sample(
        "validate-config",
        _broken_candidate,
        "example.com/config=shop-candidate",
        _checked,
        needs_node=True,
        text="-1",
    ),
    "sync-on-status": Sample("database-phase", _four_states, "example.com/database=orders", _registered),
    "audit-deletions": Sample("audit-deletions", _deletion, "example.com/audit=deleted", _recorded),
    "release-per-deployment": Sample(
        "deployment-released", _release, "example.com/deployment=web,example.com/revision=2", _released
    ),
}
"""Those that are applied to any namespace; `broadcast` brings its own."""


def run_sample(place: Place, folder: str, *, after: Callable[[Place], None] | None = None) -> dict[str, Any]:
    """Applies a sample as it is written, does what its text says, and returns its one Workflow, checked.

    Args:
        place: where to.
        folder: which one.
        after: what a part of the cluster would do after the change that is not there.
    """
    sample = SAMPLES[folder]
    place.run("apply", "-f", str(FOLDER / folder))
    place.ready(sample.source)
    sample.change(place)
    if after is not None:
        after(place)
    workflow = place.workflow(sample.selector, "" if sample.needs_node else "Succeeded", sample.text)
    sample.check(place, workflow, parameters(workflow))
    return workflow


def run_broadcast(kubectl: Kubectl) -> None:
    """The broadcast sample: one change, one Workflow in each of the two teams, run to its end."""
    kubectl("apply", "-f", str(FOLDER / "broadcast"))
    try:
        platform = Place(kubectl, "platform")
        platform.ready("base-settings")
        platform.patch("configmap", "base-settings", {"data": {"proxy": "proxy-b:3128"}})
        names = set()
        for team in ("team-a", "team-b"):
            # Its own ConfigMap has one, too, if it is seen as new.
            workflow = Place(kubectl, team).workflow(
                "example.com/follows=base-settings", "Succeeded", "proxy-b"
            )
            assert parameters(workflow) == {"settings": '{"proxy":"proxy-b:3128"}'}
            names.add(workflow["metadata"]["name"])
        assert len(names) == 1, "one event, one id"
        assert platform.workflows("") == []
    finally:
        kubectl("delete", "-f", str(FOLDER / "broadcast"), "--wait=false")
