"""Each reason of a condition: brought about on the real control plane, told, and gone once its cause is mended.

Told means: in the condition, with object, cause and remedy, and by a Kubernetes Event where one is promised.

One operator with the rights that it is shipped with (but one, which a case grants again) serves all cases. They are
played at the same time; what a case saw is asserted in a test of its own.
"""

import base64
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventsource_operator.api.checkpoint import Head, LedgerRef, SourceRef, TargetProgress, checkpoint_to_dict
from eventsource_operator.api.status import Condition
from eventsource_operator.core.conditions import REASONS, Reason, event_of
from tests.support.controlplane import wait_for
from tests.support.recorder import Fault, Recorder
from tests.support.running_operator import SOURCES, Operator, Team
from tests.support.sink import Sink
from tools.controlplane.argo import create_namespace
from tools.controlplane.pins import CHECKOUT
from tools.controlplane.plane import ControlPlane
from tools.controlplane.rest import write_kubeconfig

SHOWN_SECONDS = 40.0
"""Until the reason shows: 2 s between two status writes; a gate's probe, a busy machine."""
MENDED_SECONDS = 60.0
"""Until all is well again: the longest pause between two tries is 15 s (missing credentials)."""
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


def crd(group: str, kind: str) -> str:
    """A namespaced kind of one version."""
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return yaml.safe_dump(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            },
        }
    )


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
    return lambda stage: void(stage.plane.apply(crd(group, kind)))


def prepare_moving(stage: Stage) -> None:
    """A kind that is there at first."""
    watchable(stage, MOVING, "movings")
    stage.plane.apply(crd(MOVING, "Moving"))


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
    stage.plane.apply(crd(f"broken.{GROUP}", "Gadget"))


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


PENDING = (
    Told("Authorized", "Unknown", Reason.PENDING, ("not been asked",)),
    Told("Watching", "Unknown", Reason.PENDING, ("the spec is not accepted",)),
    Told("Delivering", "Unknown", Reason.PENDING, ("nothing is sent while the spec is not accepted",)),
    Told("Bound", "Unknown", Reason.PENDING, ("not been listed",)),
)

CASES: Mapping[str, Case] = {
    "invalid": Case(
        (
            Told("Accepted", "False", Reason.INVALID_SPEC, ("spec.watch[0].condition",)),
            *PENDING,
        ),
        watch(condition="object.data.env =="),
        edit("invalid", {"watch": [{"names": ["invalid"], "condition": "object.data.env == 'prod'"}]}),
    ),
    "starting": Case(
        (Told("Watching", "Unknown", Reason.STARTING, ("not",)),),
        watch(),
        nothing,
    ),
    "denied-watch": Case(
        (
            Told("Authorized", "False", Reason.DENIED, ("list and watch configmaps", "kubectl create role")),
            Told("Watching", "False", Reason.DENIED, ("list and watch configmaps", "kubectl create role")),
        ),
        lambda stage: {"watch": [{"namespaces": {"names": [stage.other.name]}}], "bindings": QUICK},
        follow_message("denied-watch", "Authorized"),
    ),
    "denied-send": Case(
        (
            Told("Authorized", "False", Reason.DENIED, ("create workflows.argoproj.io", "kubectl create role")),
            Told("Delivering", "Unknown", Reason.PENDING, ("before the source is authorized",)),
        ),
        lambda stage: {"watch": [{}], "event": {"namespace": stage.other.name}, "bindings": QUICK},
        follow_message("denied-send", "Authorized"),
    ),
    "not-allowed": Case(
        (
            Told("Authorized", "False", Reason.SERVER_NOT_ALLOWED, ("spec.server.url", "--allow-server http://127.0.0.1:9")),
            Told("Watching", "Unknown", Reason.PENDING, ("before the server may be used",)),
        ),
        lambda _stage: {"watch": [{}], "server": {"url": "http://127.0.0.1:9"}, "bindings": QUICK},
        edit("not-allowed", {"server": None}),
    ),
    "no-kind": Case(
        (
            Told(
                "Watching", "False", Reason.KIND_NOT_FOUND,
                ("spec.watch[0].kind", "Widget", "CustomResourceDefinition"),
            ),
        ),
        watch(apiVersion=f"{GROUP}/v1", kind="Widget"),
        install(GROUP, "Widget"),
        before=lambda stage: watchable(stage, GROUP, "widgets"),
    ),
    "kind-gone": Case(
        (
            Told(
                "Watching", "False", Reason.KIND_NOT_FOUND,
                ("spec.watch[0]", f"movings.{MOVING}", "CustomResourceDefinition"),
            ),
        ),
        watch(apiVersion=f"{MOVING}/v1", kind="Moving"),
        install(MOVING, "Moving"),
        before=prepare_moving,
        breaks=remove_crd,
    ),
    "not-watchable": Case(
        (
            Told(
                "Watching", "False", Reason.NOT_WATCHABLE,
                ("spec.watch[0].kind", "TokenReview", "choose another kind"),
            ),
        ),
        watch(apiVersion="authentication.k8s.io/v1", kind="TokenReview"),
        edit("not-watchable", {"watch": [{"names": ["not-watchable"]}]}),
    ),
    "no-namespaces": Case(
        (
            Told(
                "Watching", "False", Reason.NAMESPACES_FORBIDDEN,
                ("spec.watch[0].namespaces.selector", "namespaces is forbidden", "let the operator list"),
            ),
        ),
        lambda stage: {
            "watch": [{"namespaces": {"selector": {"matchLabels": {"kubernetes.io/metadata.name": stage.team.name}}}}],
            "bindings": QUICK,
        },
        let_list_namespaces,
    ),
    "bad-selector": Case(
        (Told("Watching", "False", Reason.INVALID_SELECTOR, ("spec.nope", "correct spec.watch[0].fieldSelector")),),
        watch(fieldSelector="spec.nope=1"),
        edit("bad-selector", {"watch": [{"names": ["bad-selector"]}]}),
    ),
    "no-right": Case(
        (
            Told(
                "Watching", "False", Reason.FORBIDDEN,
                ("spec.watch[0]", "deployments.apps", "kubectl create clusterrole"),
            ),
        ),
        watch(apiVersion="apps/v1", kind="Deployment"),
        follow_message("no-right", "Watching"),
    ),
    "corrupt": Case(
        (Told("Watching", "False", Reason.CHECKPOINT_CORRUPT, ("0 of 1 chunks", "kubectl -n ", "delete evsc")),),
        watch(condition="broken =="),
        follow_message("corrupt", "Watching"),
        breaks=corrupt,
    ),
    "broken-api": Case(
        (Told("Watching", "False", Reason.API_SERVER_ERROR, ("spec.watch[0].kind", "Gadget", "tried again")),),
        watch(apiVersion=f"broken.{GROUP}/v1", kind="Gadget"),
        mend_api,
        before=broken_api,
    ),
    "suspended": Case(
        (Told("Delivering", "False", Reason.SUSPENDED, ("spec.suspend", "set it to false")),),
        lambda _stage: {"watch": [{}], "suspend": True, "bindings": QUICK},
        edit("suspended", {"suspend": False}),
        send=True,
    ),
    "away": Case(
        (
            Told("Delivering", "False", Reason.SERVER_UNREACHABLE, ("http://127.0.0.1:", "see why the server is away")),
            Told("Bound", "Unknown", Reason.LIST_FAILED, ("http://127.0.0.1:", "see why the server is away")),
        ),
        to(lambda stage: stage.away),
        lambda stage: stage.away.accept(),
        before=lambda stage: stage.away.refuse(),
        send=True,
    ),
    "shedding": Case(
        (Told("Delivering", "False", Reason.SERVER_OVERLOADED, ("HTTP 429", "spec.delivery.maxConcurrency")),),
        to(lambda stage: stage.shedding, maxConcurrency=1),
        lambda stage: stage.shedding.always(Fault.NONE),
        before=lambda stage: stage.shedding.always(Fault.SHED),
        send=True,
    ),
    "bad-token": Case(
        (
            Told("Delivering", "False", Reason.UNAUTHORIZED, ("HTTP 401", "renew the token", "/bad-token/token")),
            Told("Bound", "Unknown", Reason.LIST_FAILED, ("HTTP 401", "renew the token")),
        ),
        real("bad-token"),
        lambda stage: stage.secret("bad-token", stage.plane.argo_token),
        before=lambda stage: stage.secret("bad-token", "x.y.z"),
        send=True,
    ),
    "powerless": Case(
        (
            Told("Delivering", "False", Reason.FORBIDDEN, ("HTTP 403", "grant that right", "/powerless/token")),
            Told("Bound", "Unknown", Reason.LIST_FAILED, ("HTTP 403", "grant list workfloweventbindings")),
        ),
        real("powerless"),
        lambda stage: stage.plane.allow_sending(stage.team.name, f"{stage.team.name}:powerless"),
        before=lambda stage: stage.secret("powerless", stage.plane.token(stage.team.name, "powerless")),
        send=True,
    ),
    "no-secret": Case(
        (Told("Delivering", "False", Reason.CREDENTIALS_UNAVAILABLE, ("/no-secret does not exist", "create it")),),
        real("no-secret"),
        lambda stage: stage.secret("no-secret", stage.plane.argo_token),
        send=True,
    ),
    "unbound": Case(
        (Told("Bound", "False", Reason.NO_BINDINGS, ("no WorkflowEventBinding in namespace", "create one")),),
        lambda stage: {
            "watch": [{}],
            "server": {"url": stage.plane.argo_url},
            "bindings": {"labelSelector": "team=reasons", **QUICK},
        },
        bind,
        healthy=("Ready", "Accepted", "Authorized", "Watching", "Delivering", "Bound"),
    ),
}  # fmt: skip

EXEMPT: Mapping[tuple[str, str, Reason], str] = {
    ("Accepted", "Unknown", Reason.PENDING): "replaced before a status is written for the first time",
    (
        "Watching",
        "False",
        Reason.UNAUTHORIZED,
    ): "the status cannot be written with credentials that are refused",
    ("Watching", "False", Reason.CONNECTION_FAILED): "the status cannot be written without the API server",
    ("Watching", "False", Reason.INTERNAL_ERROR): "only a bug brings it about",
}
"""Reasons that cannot be brought about here; tests/unit/test_report.py shows their messages."""


@dataclass(frozen=True)
class Seen:
    """What a case saw: the conditions when it was broken, the Events then, the conditions when it was mended."""

    broken: dict[str, dict[str, Any]]
    events: list[dict[str, Any]]
    mended: dict[str, dict[str, Any]]
    seconds: float


def conditions(stage: Stage, name: str) -> dict[str, dict[str, Any]]:
    path = f"{SOURCES}/namespaces/{stage.team.name}/eventsources/{name}"
    status = stage.plane.api.request("GET", path).get("status", {})
    return {each["type"]: each for each in status.get("conditions", [])}


def events(stage: Stage, name: str) -> list[dict[str, Any]]:
    path = f"/apis/events.k8s.io/v1/namespaces/{stage.team.name}/events"
    items = stage.plane.api.request("GET", path)["items"]
    return [each for each in items if each["regarding"]["name"] == name]


def play(stage: Stage, name: str, case: Case) -> Seen:
    """Breaks it, looks, mends it, looks again."""
    case.before(stage)
    spec = case.spec(stage)
    spec["watch"][0].setdefault("names", [name])
    stage.uids[name] = stage.team.source(name, spec, ready=False)
    case.breaks(stage)
    if case.send:
        stage.team.until(name, "Watching", "True", timeout=SHOWN_SECONDS)
        stage.team.put(name, {})
    broken: dict[str, dict[str, Any]] = {}

    def shown() -> bool:
        now = conditions(stage, name)
        for told in case.told:
            found = now.get(told.type, {})
            if (found.get("status"), found.get("reason")) == (told.status, told.reason):
                broken.setdefault(told.type, found)
        return len(broken) == len(case.told)

    wait_for(shown, SHOWN_SECONDS, f"{name}: {case.told}", lambda: conditions(stage, name))
    promised = {
        (str(told.reason), told.type) for told in case.told if event_of(as_condition(broken[told.type]))
    }
    wait_for(
        lambda: promised <= {(each["reason"], each["action"]) for each in events(stage, name)},
        SHOWN_SECONDS, f"{name}: Events {promised}", lambda: events(stage, name),
    )  # fmt: skip
    told_events = events(stage, name)
    began = time.monotonic()
    case.mend(stage)

    def well() -> bool:
        now = conditions(stage, name)
        return all(now.get(kind, {}).get("status") == "True" for kind in case.healthy)

    wait_for(well, MENDED_SECONDS, f"{name} is mended", lambda: conditions(stage, name))
    return Seen(broken, told_events, conditions(stage, name), time.monotonic() - began)


def as_condition(found: dict[str, Any]) -> Condition:
    return Condition(found["type"], found["status"], found["reason"], found["message"], 0, "")


def shipped_operator(plane: ControlPlane, folder: Path) -> Path:
    """A kubeconfig of a service account with the rights of manifests/base, except to namespaces."""
    create_namespace(plane.api, OPERATOR)
    for name in ("operator", "watcher", "credentials"):
        documents = yaml.safe_load_all((CHECKOUT / f"manifests/base/cluster/{name}.yaml").read_text("utf-8"))
        for document in documents:
            document["rules"] = [
                each for each in document.get("rules") or [] if each["resources"] != ["namespaces"]
            ]
            if document["kind"] != "ClusterRole" or "aggregationRule" in document:
                del document["rules"]
            plane.apply(yaml.safe_dump(document))
    path = folder / "kubeconfig"
    write_kubeconfig(path, plane.server, plane.token(OPERATOR, OPERATOR), plane.ca)
    return path


@pytest.fixture(scope="module")
def played(
    plane: ControlPlane, sink: Sink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Seen]]]:
    """All cases, under way."""
    folder = tmp_path_factory.mktemp("reasons")
    kubeconfig = shipped_operator(plane, folder)
    with Recorder() as away, Recorder() as shedding:
        stage = Stage(plane, Team(plane, "reasons"), Team(plane, "reasons-other"), away, shedding)
        plane.kubectl(
            "-n", stage.team.name, "create", "rolebinding", "credentials",
            "--clusterrole=eventsource-operator-credentials", f"--serviceaccount={OPERATOR}:{OPERATOR}",
        )  # fmt: skip
        allowed = (plane.argo_url, away.url, shedding.url)
        with Operator(plane, sink.url, folder, allowed=allowed, kubeconfig=kubeconfig) as operator:
            with ThreadPoolExecutor(len(CASES)) as pool:
                yield {name: pool.submit(play, stage, name, case) for name, case in CASES.items()}
            assert "unforeseen" not in operator.log.read_text("utf-8")
            for team in (stage.team, stage.other):
                team.end()


@pytest.mark.parametrize("name", CASES)
def test_a_reason_is_told_and_clears_by_itself(name: str, played: dict[str, Future[Seen]]) -> None:
    case, seen = CASES[name], played[name].result(SHOWN_SECONDS * 3 + MENDED_SECONDS)
    for told in case.told:
        found = seen.broken[told.type]
        assert (found["status"], found["reason"]) == (told.status, told.reason)
        assert not [word for word in told.words if word not in found["message"]], found["message"]
        kind = event_of(as_condition(found))
        about = [each for each in seen.events if (each["reason"], each["action"]) == (told.reason, told.type)]
        assert [each["type"] for each in about[:1]] == ([kind] if kind else [])
        for each in about:
            assert told.words[0] in each["note"]
            assert each["reportingController"] == "eventsource-operator.dev/operator"
            assert each["regarding"]["kind"] == "EventSource"
    for condition in case.healthy:
        good = (Reason.READY,) if condition == "Ready" else REASONS[condition]["True"]
        assert seen.mended[condition]["reason"] in good
