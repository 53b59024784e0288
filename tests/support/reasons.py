"""How the causes of a condition's reasons are brought about and mended: for `tests/integration/test_reasons_*`."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from eventsource_operator.api.checkpoint import Head, LedgerRef, SourceRef, TargetProgress, checkpoint_to_dict
from eventsource_operator.core.conditions import Reason
from tests.support.definitions import definition
from tests.support.recorder import Recorder
from tests.support.running_operator import SOURCES, Team
from tools.controlplane.plane import ControlPlane

SHOWN_SECONDS = 40.0
"""Until the reason shows: 2 s between two status writes; a gate's probe, a busy machine."""
OPERATOR = "eventsource-operator"
QUICK = {"resyncSeconds": 5}
GROUP = "reasons.example.com"
MOVING = f"moving.{GROUP}"


@dataclass
class Stage:
    """What the cases play with."""

    plane: ControlPlane
    team: Team
    other: Team
    away: Recorder
    shedding: Recorder
    uids: dict[str, str] = field(default_factory=dict)

    def condition(self, source: str, kind: str) -> dict[str, Any]:
        """A condition as it is now."""
        return self.team.condition(source, kind)

    def run(self, message: str) -> None:
        """Runs the kubectl commands of a message as its reader would."""
        for command in re.findall(r"kubectl [^;&(]+", message):
            self.plane.kubectl(*command.split()[1:])

    def secret(self, name: str, token: str) -> None:
        """Writes a token's Secret."""
        value = base64.b64encode(token.encode()).decode()
        text = yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": self.team.name},
                "data": {"token": value},
            }
        )
        self.plane.apply(text)


@dataclass(frozen=True)
class Told:
    """What a condition has to say; `words` must be in its message: object, cause and remedy."""

    type: str
    status: str
    reason: Reason
    words: tuple[str, ...]


def nothing(_stage: Stage) -> None:
    """Nothing has to be done."""


@dataclass(frozen=True)
class Case:
    """How a reason comes about and how it is mended.

    Attributes:
        told: the conditions that show it.
        spec: of the EventSource; its first target gets the case's name as `names`, so that cases share no objects.
        before: what is done before the source is created.
        breaks: what is done after it was created.
        send: whether a change has to wait for delivery.
        mend: what people do about it.
        healthy: conditions that are not True at the end, for want of something the case is not about.
    """

    told: tuple[Told, ...]
    spec: Callable[[Stage], dict[str, Any]]
    mend: Callable[[Stage], None]
    before: Callable[[Stage], None] = nothing
    breaks: Callable[[Stage], None] = nothing
    send: bool = False
    healthy: tuple[str, ...] = ("Ready", "Accepted", "Authorized", "Watching", "Delivering")


def edit(source: str, spec: dict[str, Any]) -> Callable[[Stage], None]:
    """Mends by a change of the spec."""
    return lambda stage: void(stage.team.edit_source(source, spec))


def void(_value: object) -> None:
    """For functions whose value nobody wants."""


def watch(**target: Any) -> Callable[[Stage], dict[str, Any]]:
    """A spec with one target."""
    return lambda _stage: {"watch": [target], "bindings": QUICK}


def follow_message(source: str, kind: str) -> Callable[[Stage], None]:
    """Does what the condition's message says."""
    return lambda stage: stage.run(str(stage.condition(source, kind)["message"]))


def watchable(stage: Stage, group: str, plural: str) -> None:
    """Lets the operator watch a kind, as docs/install.md says."""
    stage.plane.apply(
        yaml.safe_dump(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {
                    "name": f"watch-{plural}",
                    "labels": {"eventsource-operator.dev/aggregate-to-watcher": "true"},
                },
                "rules": [{"apiGroups": [group], "resources": [plural], "verbs": ["get", "list", "watch"]}],
            }
        )
    )


def install(group: str, kind: str) -> Callable[[Stage], None]:
    """Installs a CRD."""
    return lambda stage: void(stage.plane.apply(definition(group, kind)))


def prepare_moving(stage: Stage) -> None:
    """A kind that is there at first."""
    watchable(stage, MOVING, "movings")
    stage.plane.apply(definition(MOVING, "Moving"))


def remove_crd(stage: Stage) -> None:
    """Takes a kind away that is being watched."""
    stage.team.until("kind-gone", "Watching", "True", timeout=SHOWN_SECONDS)
    stage.plane.kubectl("delete", "crd", f"movings.{MOVING}")


def broken_api(stage: Stage) -> None:
    """An aggregated API whose server does not exist: each request for it is answered with 503."""
    watchable(stage, f"broken.{GROUP}", "gadgets")
    stage.plane.apply(
        yaml.safe_dump(
            {
                "apiVersion": "apiregistration.k8s.io/v1",
                "kind": "APIService",
                "metadata": {"name": f"v1.broken.{GROUP}"},
                "spec": {
                    "group": f"broken.{GROUP}",
                    "version": "v1",
                    "groupPriorityMinimum": 100,
                    "versionPriority": 10,
                    "insecureSkipTLSVerify": True,
                    "service": {"namespace": stage.team.name, "name": "nobody"},
                },
            }
        )
    )


def mend_api(stage: Stage) -> None:
    """The kind is served after all."""
    stage.plane.kubectl("delete", "apiservice", f"v1.broken.{GROUP}")
    stage.plane.apply(definition(f"broken.{GROUP}", "Gadget"))


def corrupt(stage: Stage) -> None:
    """A checkpoint that tells of a ledger of which nothing is stored, before the operator reads it."""
    stage.team.until("corrupt", "Accepted", "False", timeout=SHOWN_SECONDS)
    uid = stage.uids["corrupt"]
    ledger = LedgerRef(1, "1", 1, 1, 1, "0" * 32)
    progress = TargetProgress(
        "k", "v1/configmaps", stage.team.name, "1", "2026-01-01T00:00:00Z", ledger=ledger
    )
    body = checkpoint_to_dict(Head(SourceRef("corrupt", uid), (progress,)))
    labels = {"eventsource-operator.dev/source-uid": uid}
    body["metadata"] = {"name": "corrupt-by-hand", "labels": labels}
    stage.plane.api.request("POST", f"{SOURCES}/namespaces/{stage.team.name}/eventsourcecheckpoints", body)
    stage.team.edit_source("corrupt", {"watch": [{"names": ["corrupt"], "condition": "true"}]})


def let_list_namespaces(stage: Stage) -> None:
    """Gives the right back that the operator was started without."""
    kubectl = stage.plane.kubectl
    kubectl("create", "clusterrole", "reasons-namespaces", "--verb=get,list,watch", "--resource=namespaces")
    kubectl(
        "create", "clusterrolebinding", "reasons-namespaces", "--clusterrole=reasons-namespaces",
        f"--serviceaccount={OPERATOR}:{OPERATOR}",
    )  # fmt: skip


def real(secret: str) -> Callable[[Stage], dict[str, Any]]:
    """Sends to the real argo-server with a token of the test's own."""
    return lambda stage: {
        "watch": [{}],
        "server": {"url": stage.plane.argo_url, "auth": {"secretRef": {"name": secret}}},
        "bindings": QUICK,
    }


def to(server: Callable[[Stage], Recorder], **delivery: Any) -> Callable[[Stage], dict[str, Any]]:
    """Sends to a server that misbehaves."""
    return lambda stage: {
        "watch": [{}], "server": {"url": server(stage).url}, "delivery": delivery, "bindings": QUICK,
    }  # fmt: skip


def bind(stage: Stage) -> None:
    """Somebody listens now."""
    stage.plane.apply(
        yaml.safe_dump(
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "WorkflowEventBinding",
                "metadata": {"name": "listens", "namespace": stage.team.name, "labels": {"team": "reasons"}},
                "spec": {"event": {"selector": "false"}},
            }
        )
    )
