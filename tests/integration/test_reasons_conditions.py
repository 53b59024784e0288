"""Each reason of a condition: brought about on the real control plane, told, and gone once its cause is mended.

Told means: in the condition, with object, cause and remedy, and by a Kubernetes Event where one is promised. The module
is long for its table: a row for each reason, to be read beside docs/conditions.md; what a row needs done is in
`tests/support/reasons.py`.

One operator with the rights that it is shipped with (but one, which a case grants again) serves all cases. They are
played at the same time; what a case saw is asserted in a test of its own. The module is long because the table is.
"""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventsource_operator.core.conditions import REASONS, Reason
from tests.support.controlplane import wait_for
from tests.support.reasons import (
    GROUP,
    MOVING,
    OPERATOR,
    QUICK,
    SHOWN_SECONDS,
    Case,
    Stage,
    Told,
    bind,
    broken_api,
    corrupt,
    edit,
    follow_message,
    install,
    let_list_namespaces,
    mend_api,
    nothing,
    prepare_moving,
    real,
    remove_crd,
    to,
    watch,
    watchable,
)
from tests.support.recorder import Recorder
from tests.support.running_operator import SOURCES, Operator, Team
from tests.support.sink import Fault, Sink
from tools.controlplane.argo import create_namespace
from tools.controlplane.pins import CHECKOUT
from tools.controlplane.plane import ControlPlane
from tools.controlplane.rest import write_kubeconfig

MENDED_SECONDS = 60.0
"""Until all is well again: the longest pause between two tries is 15 s (missing credentials)."""

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
                ("spec.watch[0].kind", "Unmade", "CustomResourceDefinition"),
            ),
        ),
        watch(apiVersion=f"{GROUP}/v1", kind="Unmade"),  # a kind of no other group: that would be the remedy
        install(GROUP, "Unmade"),
        before=lambda stage: watchable(stage, GROUP, "unmades"),
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
    promised = {(str(told.reason), told.type) for told in case.told if event_type(told)}
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


def event_type(told: Told) -> str | None:
    """Of which type the Event is that docs/conditions.md promises."""
    if told.status == "False":
        return "Normal" if told.reason is Reason.SUSPENDED else "Warning"
    return "Warning" if told.reason is Reason.LIST_FAILED else None


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


def clean(stage: Stage) -> None:
    """Takes away what belongs to no namespace: an API that is broken would keep every namespace from ending."""
    delete = ("delete", "--ignore-not-found", "--wait=false")
    kubectl = stage.plane.kubectl
    if kubectl(
        "get", "apiservice", f"v1.broken.{GROUP}", "--ignore-not-found", "-o", "jsonpath={.spec.service}"
    ):
        kubectl(*delete, "apiservice", f"v1.broken.{GROUP}")
    kubectl(*delete, "crd", f"widgets.{GROUP}", f"movings.{MOVING}", f"gadgets.broken.{GROUP}")
    kubectl(*delete, "clusterrole,clusterrolebinding", "reasons-namespaces")
    roles = [f"watch-{plural}" for plural in ("widgets", "movings", "gadgets", "deployments")]
    kubectl(*delete, "clusterrole", *roles)
    for team in (stage.team, stage.other):
        team.end()


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
            clean(stage)
            assert "unforeseen" not in operator.log.read_text("utf-8")


@pytest.mark.parametrize("name", CASES)
def test_a_reason_is_told_and_clears_by_itself(name: str, played: dict[str, Future[Seen]]) -> None:
    case, seen = CASES[name], played[name].result(SHOWN_SECONDS * 3 + MENDED_SECONDS)
    for told in case.told:
        found = seen.broken[told.type]
        assert (found["status"], found["reason"]) == (told.status, told.reason)
        assert not [word for word in told.words if word not in found["message"]], found["message"]
        kind = event_type(told)
        about = [each for each in seen.events if (each["reason"], each["action"]) == (told.reason, told.type)]
        assert [each["type"] for each in about[:1]] == ([kind] if kind else [])
        for each in about:
            assert told.words[0] in each["note"]
            assert each["reportingController"] == "eventsource-operator.dev/operator"
            assert each["regarding"]["kind"] == "EventSource"
    for condition in case.healthy:
        good = (Reason.READY,) if condition == "Ready" else REASONS[condition]["True"]
        assert seen.mended[condition]["reason"] in good
