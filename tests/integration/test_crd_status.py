"""Every status and checkpoint that can be built survives a write and a read on the real API server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
import requests
from hypothesis import HealthCheck, given, settings

from eventsource_operator.api.checkpoint import (
    MAX_DATA,
    Chunk,
    FailedEvent,
    Head,
    LedgerRef,
    ObjectRef,
    SourceRef,
    TargetProgress,
    checkpoint_to_dict,
    parse_checkpoint,
)
from eventsource_operator.api.spec import ChangeType
from eventsource_operator.api.status import (
    BindingsStatus,
    Condition,
    DeliveriesStatus,
    Delivery,
    Status,
    WatchStatus,
)
from tests.support.eventsource_objects import event_source
from tests.support.eventsource_statuses import statuses
from tools.controlplane.plane import ControlPlane

many = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SOURCE = SourceRef("app-config", "0b5c9a5e-0d0c-4a4e-9d5f-1f2f3f4f5f6f")


class Api:
    """Server-side apply into one namespace, strictly, encoded as the operator's own client does."""

    def __init__(self, plane: ControlPlane, session: requests.Session, namespace: str) -> None:
        self.root = f"{plane.server}/apis/eventsource-operator.dev/v1alpha1/namespaces/{namespace}"
        self.session = session

    def apply(self, path: str, body: Any) -> requests.Response:
        """Applies and returns the answer."""
        return self.session.patch(
            f"{self.root}/{path}",
            params={"fieldManager": "test", "force": "true", "fieldValidation": "Strict"},
            data=orjson.dumps(body),
            headers={"Content-Type": "application/apply-patch+yaml"},
            timeout=30,
        )

    def read(self, path: str) -> Any:
        """The object as stored."""
        answer = self.session.get(f"{self.root}/{path}", timeout=30)
        assert answer.ok, answer.text
        return answer.json()


@pytest.fixture
def api(plane: ControlPlane, namespace: str) -> Iterator[Api]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(plane.ca)
        session.headers["Authorization"] = f"Bearer {plane.admin_token}"
        found = Api(plane, session, namespace)
        assert found.apply("eventsources/drawn", event_source({"watch": [{}]})).ok
        yield found


def write_status(api: Api, status: dict[str, Any]) -> requests.Response:
    body = {key: value for key, value in event_source(None).items() if key != "spec"}
    return api.apply("eventsources/drawn/status", body | {"status": status})


@given(status=statuses(beyond=True))
@many
def test_nothing_of_a_status_is_refused_or_pruned(api: Api, status: Status) -> None:
    written = status.to_dict()
    answer = write_status(api, written)
    assert answer.ok, answer.text
    stored = api.read("eventsources/drawn")["status"]
    assert stored == written
    assert Status.from_dict(stored).to_dict() == written


def test_a_status_beyond_the_schema_is_refused(api: Api) -> None:
    answer = write_status(api, {"unheard": 1})
    assert not answer.ok
    assert "unheard" in answer.text


def test_another_writers_condition_survives(api: Api) -> None:
    ours = Status(conditions=(_condition("Ready"), _condition("Bound")))
    assert write_status(api, ours.to_dict()).ok
    body = {key: value for key, value in event_source(None).items() if key != "spec"}
    foreign = body | {
        "status": {"conditions": [Status(conditions=(_condition("Reviewed"),)).to_dict()["conditions"][0]]}
    }
    path = "eventsources/drawn/status?fieldManager=other"
    answer = api.session.patch(
        f"{api.root}/{path}",
        data=orjson.dumps(foreign),
        headers={"Content-Type": "application/apply-patch+yaml"},
        timeout=30,
    )
    assert answer.ok, answer.text
    assert write_status(api, replace(ours, conditions=ours.conditions[:1]).to_dict()).ok
    found = {each["type"] for each in api.read("eventsources/drawn")["status"]["conditions"]}
    assert found == {"Ready", "Reviewed"}


def test_the_columns_of_kubectl_get(api: Api, plane: ControlPlane, namespace: str) -> None:
    now = "2026-01-02T03:04:05Z"
    status = Status(
        observed_generation=1,
        conditions=(replace(_condition("Ready"), reason="Delivering"),),
        server="http://localhost:2746",
        namespace="argo",
        watches=(WatchStatus("v1/ConfigMap", 1, 42, live=True), WatchStatus("v1/Secret")),
        bindings=BindingsStatus(2, ("deploy", "notify"), now),
        deliveries=DeliveriesStatus(120, 1, 0, Delivery("ab", ChangeType.ADDED, "ConfigMap a/b", now, 0.25)),
    )
    assert write_status(api, status.to_dict()).ok
    shown = plane.kubectl("--namespace", namespace, "get", "evs", "drawn", "-o", "wide")
    header, row = (line.split() for line in shown.strip().splitlines())
    assert header == [
        "NAME",
        "READY",
        "REASON",
        "WATCHES",
        "BINDINGS",
        "DELIVERED",
        "FAILED",
        "LAST",
        "AGE",
        "SERVER",
        "NAMESPACE",
    ]
    assert row[:7] == ["drawn", "True", "Delivering", "1/2", "2", "120", "1"]
    assert row[-2:] == ["http://localhost:2746", "argo"]
    narrow = plane.kubectl("--namespace", namespace, "get", "evs", "drawn").split("\n")[0].split()
    assert narrow == header[:-2]


def _condition(type_: str) -> Condition:
    return Condition(type_, "True", "Yes", "", 1, "2026-01-02T03:04:05Z")


def _metadata(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}}


def _fullest_head() -> Head:
    ledger = LedgerRef(1, "9" * 20, 2**63 - 1, 12, 10_000, "0" * 128)
    target = TargetProgress(
        key="k" * 512,
        resource="apps/v1/deployments",
        namespace="n" * 63,
        position="18446744073709551615",
        time="2026-01-02T03:04:05.123456Z",
        shape="s" * 64,
        done=tuple(f"{number:064}" for number in range(1000)),
        delta="QUJD" * 1000,
        ledger=ledger,
    )
    failure = FailedEvent(
        id="f" * 64,
        type=ChangeType.DELETED,
        resource=ObjectRef("apps/v1", "Deployment", "a" * 63, "b" * 253, "u" * 128),
        resource_version="123",
        time="2026-01-02T03:04:05+01:00",
        reason="Rejected",
        message="é" * 1024,
    )
    others = tuple(replace(target, key=f"k{number}", done=(), delta="") for number in range(500))
    return Head(SOURCE, (target, *others), (failure,) * 100)


@pytest.mark.parametrize(
    "value",
    [
        Head(SOURCE),
        Head(SOURCE, (TargetProgress("0", "v1/configmaps", "", "0", "2026-01-02T03:04:05Z"),)),
        _fullest_head(),
        Chunk(SOURCE, "0", 0, 0, ""),
        Chunk(SOURCE, "0", 2**63 - 1, 3, "A" * MAX_DATA),
    ],
    ids=["empty head", "first head", "full head", "empty chunk", "full chunk"],
)
def test_a_checkpoint_survives(api: Api, value: Head | Chunk) -> None:
    body = checkpoint_to_dict(value)
    answer = api.apply("eventsourcecheckpoints/c", body | _metadata("c"))
    assert answer.ok, answer.text
    stored = api.read("eventsourcecheckpoints/c")
    assert parse_checkpoint(stored) == value
    assert {name: stored[name] for name in body} == body


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": {"name": "app-config", "uid": "another"}}, "does not change its source"),
        ({"role": "Chunk"}, "does not change its role"),
        ({"data": "QUJD"}, "a Head has targets and failures"),
        ({"targets": [{"key": "0", "resource": "v1/configmaps", "position": "-1", "time": "x"}]}, "position"),
        ({"targets": [{"key": "0", "resource": "v1/configmaps"}]}, "position"),
    ],
)
def test_a_checkpoint_that_contradicts_itself_is_refused(
    api: Api, change: dict[str, Any], words: str
) -> None:
    body = checkpoint_to_dict(Head(SOURCE)) | _metadata("c")
    assert api.apply("eventsourcecheckpoints/c", body).ok
    answer = api.apply("eventsourcecheckpoints/c", body | change)
    assert answer.status_code == 422
    assert words in answer.text
