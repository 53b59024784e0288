"""What the real API server accepts, the parser accepts, and the other way round, with the same defaults."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings

from eventsource_operator.api.eventsource import EventSource, SpecError, parse_event_source, spec_to_dict
from tests.support.eventsource_objects import broken_specs, event_source, schema, single_faults, specs
from tools.controlplane.plane import ControlPlane

REFUSED = {400, 422}
many = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
    ],
)


@pytest.fixture(scope="session")
def dry_run(plane: ControlPlane) -> Iterator[requests.Session]:
    """A session that asks for strict validation and stores nothing, as `kubectl apply --dry-run=server`."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(plane.ca)
        session.headers["Authorization"] = f"Bearer {plane.admin_token}"
        session.params = {"dryRun": "All", "fieldValidation": "Strict"}
        yield session


def judge(plane: ControlPlane, session: requests.Session, obj: Any) -> tuple[dict[str, Any] | None, str]:
    """The object as the server would store it, or None and why it would not."""
    url = f"{plane.server}/apis/eventsource-operator.dev/v1alpha1/namespaces/default/eventsources"
    answer = session.post(url, json=obj, timeout=30)
    if answer.status_code in REFUSED:
        return None, answer.json()["message"]
    assert answer.status_code == 201, answer.text
    return answer.json(), ""


def parsed(obj: Any) -> tuple[EventSource | None, str]:
    """The parser's counterpart of `judge`."""
    try:
        return parse_event_source(obj), ""
    except SpecError as error:
        return None, str(error)


def agree(plane: ControlPlane, session: requests.Session, spec: Any) -> bool:
    """Asserts that server and parser agree; returns whether they accepted."""
    obj = event_source(spec)
    stored, refusal = judge(plane, session, obj)
    ours, objection = parsed(obj)
    if ours is None:
        assert stored is None, f"only the parser refuses: {objection}"
        return False
    assert stored is not None, f"only the server refuses: {refusal}"
    assert parse_event_source(stored).spec == ours.spec, "the defaults differ"
    again, refusal = judge(plane, session, event_source(spec_to_dict(ours.spec)))
    assert again is not None, f"the server refuses what spec_to_dict writes: {refusal}"
    assert parse_event_source(again).spec == ours.spec
    return True


@given(spec=specs())
@many
def test_valid_objects(plane: ControlPlane, dry_run: requests.Session, spec: Any) -> None:
    assert agree(plane, dry_run, spec), "the strategy should draw valid objects"


@given(spec=broken_specs())
@example(spec=None)
@example(spec=[])
@example(spec={})
@example(spec={"watch": None})
@example(spec={"watch": []})
@example(spec={"watch": [{}] * 17})
@example(spec={"watch": [{"labelSelector": {"matchLabels": {"a" * 254 + "/b": "c"}}}]})
@example(spec={"watch": [{"labelSelector": {"matchLabels": {"a" * 253 + "/" + "b" * 63: "c"}}}]})
@example(
    spec={
        "watch": [{"labelSelector": {"matchExpressions": [{"key": "a" * 254 + "/b", "operator": "Exists"}]}}]
    }
)
@example(spec={"watch": [{"namespaces": {"names": ["a"], "all": False}}]})
@example(spec={"watch": [{"namespaces": {"names": ["a"], "selector": {}}}]})
@example(spec={"watch": [{"namespaces": {"selector": None, "all": True}}]})
@example(spec={"watch": [{}], "event": {"broadcast": True, "namespace": "a"}})
@example(spec={"watch": [{}], "event": {"discriminator": ".."}})
@example(spec={"watch": [{}], "event": {"maxBytes": 1024.0}})
@example(spec={"watch": [{}], "server": {"timeoutSeconds": 2.0}})
@example(spec={"watch": [{}], "server": {"tls": {"insecureSkipVerify": True, "caRef": {"name": "a"}}}})
@example(spec={"watch": [{}], "delivery": {"retry": {"backoffSeconds": 0}}})
@example(spec={"watch": [{}], "delivery": {"retry": {"backoffSeconds": 2, "maxBackoffSeconds": 1}}})
@example(spec={"watch": [{}], "delivery": {"retry": {"backoffSeconds": 2, "maxBackoffSeconds": 2}}})
@many
def test_broken_objects(plane: ControlPlane, dry_run: requests.Session, spec: Any) -> None:
    agree(plane, dry_run, spec)


def test_every_field_with_every_odd_value_and_at_its_bounds(
    plane: ControlPlane, dry_run: requests.Session
) -> None:
    faults = list(single_faults())

    def disagreement(fault: tuple[str, Any]) -> str:
        path, spec = fault
        obj = event_source(spec)
        stored, refusal = judge(plane, dry_run, obj)
        ours, objection = parsed(obj)
        if (stored is None) != (ours is None):
            return (
                f"{path}: server {refusal or 'accepts'}, parser {objection or 'accepts'}, {str(spec)[:300]}"
            )
        if (
            stored is not None
            and ours is not None
            and parse_event_source(stored) != replace(ours, uid=stored["metadata"]["uid"], generation=1)
        ):
            return f"{path}: another value is stored than parsed: {str(spec)[:300]}"
        return ""

    with ThreadPoolExecutor(4) as pool:
        found = [each for each in pool.map(disagreement, faults) if each]
    assert not found, "\n".join(found[:20])
    assert len({path for path, _ in faults}) > 60


def test_the_least_source_gets_the_documented_defaults(
    plane: ControlPlane, dry_run: requests.Session
) -> None:
    stored, refusal = judge(plane, dry_run, event_source({"watch": [{}]}))
    assert stored is not None, refusal
    assert stored["spec"] == {
        "suspend": False,
        "serviceAccountName": "default",
        "watch": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "fieldSelector": "",
                "events": ["Added", "Modified", "Deleted"],
                "condition": "",
                "initial": "Ignore",
            }
        ],
        "event": {
            "broadcast": False,
            "discriminator": "",
            "content": "Object",
            "payload": "",
            "maxBytes": 262144,
        },
        "server": {"timeoutSeconds": 30},
        "delivery": {"dispatchErrors": "RetryTransient", "quietPeriodSeconds": 0},
        "bindings": {"labelSelector": "", "fieldSelector": "", "resyncSeconds": 60},
    }


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"watch": [{"namespaces": {}}]},
            "spec.watch[0].namespaces: Invalid value: give exactly one of names, selector",
        ),
        (
            {"watch": [{}], "event": {"broadcast": True, "namespace": "a"}},
            "give either broadcast or namespace",
        ),
        ({"watch": [{"kidn": "Pod"}]}, 'unknown field "spec.watch[0].kidn"'),
        ({"watch": [{"events": ["Renamed"]}]}, 'supported values: "Added", "Modified", "Deleted"'),
        ({"watch": [{}], "bindings": {"resyncSeconds": 1}}, "should be greater than or equal to 5"),
    ],
)
def test_a_refusal_names_the_field(
    plane: ControlPlane, dry_run: requests.Session, spec: Any, words: str
) -> None:
    stored, refusal = judge(plane, dry_run, event_source(spec))
    assert stored is None
    assert words in refusal


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("eventsource.spec.watch.fields", "A path names a whole subtree"),
        ("eventsource.spec.delivery.retry.limit", "built in is 10"),
        ("eventsource.status.conditions", "Accepted"),
        ("eventsourcecheckpoint.targets.position", "acknowledged"),
    ],
)
def test_kubectl_explain_answers(plane: ControlPlane, path: str, words: str) -> None:
    assert words in " ".join(plane.kubectl("explain", path).split())


def test_names_by_which_kubectl_finds_the_kinds(plane: ControlPlane) -> None:
    for name in ("eventsources", "eventsource", "evs", "evsc", "workflow-events"):
        assert plane.kubectl("get", name, "--all-namespaces", "-o", "name") == ""
    assert schema("eventsourcecheckpoints").get("properties", {}).keys() >= {"source", "role", "targets"}
