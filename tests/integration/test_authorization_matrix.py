"""The authorization matrix on the real API server: who may watch what and send where, told exactly, and mended.

All rows run at once, under one operator for each policy. What cannot be run here, all 1,440 combinations, is decided
by the same functions in tests/unit/test_authorization_table.py.
"""

import base64
import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.controlplane import wait_for
from tests.support.rights import (
    KINDS,
    POLICIES,
    Case,
    Policy,
    expected,
    grants,
    namespaces_of,
    run_as_printed,
    spec_of,
)
from tests.support.running_operator import Operator, Team
from tests.support.sink import Sink
from tools.controlplane.plane import ControlPlane

RBAC = "/apis/rbac.authorization.k8s.io/v1"
WITHIN = 40.0
"""Seconds for all rows to come to a state: a review is asked again every 5 s, for about 50 sources at once."""

ROWS = [
    *(Case(kind=kind) for kind in ("ConfigMap", "WorkflowTemplate")),
    *(Case(kind="Secret", rights=rights) for rights in ("none", "list", "watch", "role", "cluster")),
    *(Case(kind="PriorityClass", rights=rights) for rights in ("none", "role", "cluster")),
    *(Case(target="other", rights=rights) for rights in ("none", "list", "watch", "role", "cluster")),
    *(Case(target="other", kind="Secret", rights=rights) for rights in ("none", "role")),
    *(Case(target="other", kind="WorkflowTemplate", rights=rights) for rights in ("watch", "cluster")),
    *(Case(target="selector", rights=rights) for rights in ("none", "role", "cluster")),
    *(Case(target="selector", kind="Secret", rights=rights) for rights in ("none", "list", "role")),
    *(Case(target="all", rights=rights) for rights in ("none", "role", "cluster")),
    Case(target="all", kind="Secret", rights="role"),
    *(Case(send="other", send_rights=rights) for rights in ("none", "role", "cluster")),
    *(Case(send="broadcast", send_rights=rights) for rights in ("none", "role", "cluster")),
    Case(target="other", send="other"),
    *(Case("strict", rights=rights) for rights in ("none", "list", "watch", "role", "cluster")),
    Case("strict", kind="WorkflowTemplate", rights="role", send_rights="role"),
    Case("strict", kind="Secret", rights="cluster", send_rights="cluster"),
    Case("strict", kind="PriorityClass", rights="cluster", send_rights="role"),
    Case("strict", target="selector", send_rights="role"),
    Case("strict", target="all", rights="cluster", send="other", send_rights="role"),
    Case("strict", target="other", rights="role", send="broadcast", send_rights="cluster"),
]


@dataclass(frozen=True)
class Place:
    """One policy: its operator's namespace, another one, and the label that both carry."""

    own: Team
    other: Team
    label: str

    def account(self, case: Case) -> str:
        """The row's service account, `namespace:name`; RBAC asks for no object of that name."""
        return f"{self.own.name}:{case}"

    def missing(self, case: Case) -> str:
        """The message of `Authorized`, as the contract has it; empty when nothing is missing."""
        told = expected(case, self.own.name, self.other.name)
        return "; ".join(each.told(self.account(case)) for each in told)


@pytest.fixture(scope="module")
def places(
    plane: ControlPlane, sink: Sink, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Policy, Place]]:
    """Per policy two namespaces and an operator."""
    made = {each: Place(Team(plane, "own"), Team(plane, "other"), f"select-{each}") for each in POLICIES}
    for place in made.values():
        for team in (place.own, place.other):
            plane.kubectl("label", "namespace", team.name, f"{place.label}=yes")
    operators = [
        Operator(
            plane, sink.url, tmp_path_factory.mktemp(policy),
            namespaces=(place.own.name,), options=(f"--policy={policy}",),
        )
        for policy, place in made.items()
    ]  # fmt: skip
    with operators[0], operators[1]:
        yield made
    for place in made.values():
        place.own.end()
        place.other.end()


def _grant(plane: ControlPlane, place: Place, case: Case) -> None:
    """What the row's service account is to have."""
    namespace, account = place.account(case).split(":")
    subject = [{"kind": "ServiceAccount", "namespace": namespace, "name": account}]
    for resource, verbs, where in grants(case, place.own.name, place.other.name):
        plural, _, group = resource.partition(".")
        name = f"{account}:{resource}"
        kind, base = ("Role", f"{RBAC}/namespaces/{where}/") if where else ("ClusterRole", f"{RBAC}/")
        name = name if where else f"{namespace}:{name}"
        rule = {"apiGroups": [group], "resources": [plural], "verbs": list(verbs)}
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}
        meta = {"metadata": {"name": name}}
        plane.api.request("POST", f"{base}{kind.lower()}s", meta | {"rules": [rule]})
        plane.api.request(
            "POST", f"{base}{kind.lower()}bindings", meta | {"roleRef": ref, "subjects": subject}
        )


def _put(plane: ControlPlane, kind: str, namespace: str, name: str) -> None:
    """An object of that kind."""
    manifests: dict[str, tuple[str, dict[str, Any]]] = {
        "ConfigMap": (f"/api/v1/namespaces/{namespace}/configmaps", {"data": {"a": "1"}}),
        "Secret": (
            f"/api/v1/namespaces/{namespace}/secrets",
            {"data": {"a": base64.b64encode(b"1").decode()}},
        ),
        "WorkflowTemplate": (
            f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflowtemplates",
            {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "spec": {}},
        ),
        "PriorityClass": ("/apis/scheduling.k8s.io/v1/priorityclasses", {"value": 1}),
    }
    path, manifest = manifests[kind]
    if kind == "PriorityClass":
        name = f"{name}-{namespace}"
    plane.api.request("POST", path, manifest | {"metadata": {"name": name}})


def _put_everywhere(plane: ControlPlane, places: dict[Policy, Place], name: str) -> None:
    """An object of each kind in each namespace."""
    for place in places.values():
        for kind in KINDS:
            for team in (place.own, place.other):
                if KINDS[kind].namespaced or team is place.own:
                    _put(plane, kind, team.name, name)


def _names(sink: Sink, place: Place, case: Case) -> set[tuple[str, str]]:
    """Where and from which namespace the row's events with a name of ours came."""
    return {
        (request.what[1].split("-")[0], request.headers["x-event-namespace"])
        for request in sink.of(f"{place.own.name}/{case}")
        if request.what[1].startswith(("before", "after"))
    }


def _watched(place: Place, case: Case) -> set[str]:
    """The namespaces of whose objects the row tells: of those made here."""
    found = namespaces_of(case, place.own.name, place.other.name)
    return (
        {place.own.name, place.other.name} if found == ("",) and KINDS[case.kind].namespaced else set(found)
    )


def test_every_row_is_told_exactly_and_mended_by_what_it_says(
    plane: ControlPlane, sink: Sink, places: dict[Policy, Place]
) -> None:
    """Denied: the message, and not one event. Then its commands are run as printed, and everything flows."""
    assert len({str(each) for each in ROWS}) == len(ROWS)
    rows = [(places[case.policy], case) for case in ROWS]
    denied = [(place, case) for place, case in rows if place.missing(case)]
    allowed = [row for row in rows if row not in denied]
    assert len(denied) > 20
    assert len(allowed) > 15
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda row: _grant(plane, *row), rows))
        specs = [
            spec_of(case, place.other.name, place.label)
            | {"serviceAccountName": str(case), "bindings": {"resyncSeconds": 5}}
            for place, case in rows
        ]
        pairs = list(zip(rows, specs, strict=True))
        list(pool.map(lambda each: each[0][0].own.source(str(each[0][1]), each[1], ready=False), pairs))

        for place, case in rows:
            message = place.missing(case)

            def told(place: Place = place, case: Case = case, message: str = message) -> bool:
                found = place.own.condition(str(case), "Authorized")
                assert found.get("message") == message
                assert (found["status"], found["reason"]) == (
                    ("False", "Denied") if message else ("True", "Authorized")
                )
                return True

            wait_for(told, WITHIN, f"{case} to be told")
            if message:
                assert place.own.condition(str(case), "Ready")["status"] == "False"
        for place, case in allowed:
            place.own.until(str(case), "Ready", "True", timeout=WITHIN)
        _put_everywhere(plane, places, "before")
        for place, case in allowed:
            if case.send != "broadcast":
                wanted = {("before", where) for where in _watched(place, case)}
                wait_for(functools.partial(_arrived, sink, place, case, wanted), WITHIN, f"events of {case}")
        for place, case in denied:
            readable = _watched(place, case) if case.target == "selector" else set()
            sent = {where for _, where in _names(sink, place, case)}
            lacking = {each.namespace for each in expected(case, place.own.name, place.other.name)}
            assert sent <= readable - lacking, f"{case} sent of {sent} without a right"

        list(pool.map(lambda row: run_as_printed(plane, row[0].missing(row[1])), denied))
    for place, case in denied:
        place.own.until(str(case), "Authorized", "True", timeout=WITHIN)
        place.own.until(str(case), "Ready", "True", timeout=WITHIN)
    _put_everywhere(plane, places, "after")
    for place, case in rows:
        if case.send != "broadcast":  # the server here has no binding anywhere
            wanted = {("after", where) for where in _watched(place, case)}
            wait_for(functools.partial(_arrived, sink, place, case, wanted), WITHIN, f"events of {case}")
            to = place.other.name if case.send == "other" else place.own.name
            assert {each.namespace for each in sink.of(f"{place.own.name}/{case}")} == {to}


def _arrived(sink: Sink, place: Place, case: Case, wanted: set[tuple[str, str]]) -> bool:
    found = _names(sink, place, case)
    assert wanted <= found, f"{wanted - found} did not arrive"
    return True
