"""Status, Events, checkpoints and credentials against the real API server."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventsource_operator.api.checkpoint import Head, ObjectRef, SourceRef, checkpoint_to_dict
from eventsource_operator.kube import errors
from eventsource_operator.kube.checkpoints import SOURCE_UID_LABEL, CheckpointStore
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.events import EventRecorder
from eventsource_operator.kube.secrets import KeyMissing, OwnToken, read_key
from eventsource_operator.kube.status import apply_status
from tests.support.controlplane import wait_for_async
from tests.support.definitions import definition
from tools.controlplane.plane import ControlPlane
from tools.controlplane.rest import write_kubeconfig

Kubectl = Callable[..., str]

STATUS = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {
        "conditions": {
            "type": "array",
            "items": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": True,
                "required": ["type"],
                "properties": {"type": {"type": "string"}},
            },
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        }
    },
}
"""Conditions are a map, as EventSource's."""


@pytest.fixture
def group(plane: ControlPlane) -> str:
    """An API group with a kind Widget, of this test alone."""
    name = f"{secrets.token_hex(4)}.example.com"
    plane.kubectl(
        "apply",
        "--server-side",
        "-f",
        "-",
        stdin=definition(name, "Widget", {"status": STATUS}, with_status=True),
    )
    plane.kubectl("wait", "--for=condition=Established", f"crd/widgets.{name}", "--timeout=20s")
    return name


async def test_status_keeps_the_conditions_of_others_and_drops_ours(
    client: KubeClient, kubectl: Kubectl, group: str, namespace: str
) -> None:
    widget = Resource(group, "v1", "Widget", "widgets")
    body = {"apiVersion": widget.api_version, "kind": "Widget", "metadata": {"name": "w"}}
    await client.request("POST", widget.path(namespace), body=body)
    foreign = {"conditions": [{"type": "Audited", "status": "True"}, {"type": "Ready", "status": "Unknown"}]}
    stdin = yaml.safe_dump({**body, "status": foreign})
    kubectl(
        "apply", "--server-side", "--field-manager=auditor", "--subresource=status", "-f", "-", stdin=stdin
    )

    async def conditions() -> dict[str, Any]:
        read = await client.request("GET", widget.path(namespace, "w"))
        return {c["type"]: c["status"] for c in read["status"]["conditions"]}

    first = {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Bound", "status": "False"}]}
    assert await apply_status(client, widget, namespace, "w", first)
    assert await conditions() == {"Audited": "True", "Ready": "True", "Bound": "False"}
    assert await apply_status(
        client, widget, namespace, "w", {"conditions": [{"type": "Ready", "status": "False"}]}
    )
    assert await conditions() == {"Audited": "True", "Ready": "False"}
    assert "spec" not in await client.request("GET", widget.path(namespace, "w"))


async def test_status_of_an_object_that_is_gone_is_not_written(
    client: KubeClient, group: str, namespace: str
) -> None:
    widget = Resource(group, "v1", "Widget", "widgets")
    status = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert not await apply_status(client, widget, namespace, "none", status)
    with pytest.raises(errors.NotFound):
        await client.request("GET", widget.path(namespace, "none"))


async def test_events_are_written_counted_and_shown(
    client: KubeClient, kubectl: Kubectl, namespace: str
) -> None:
    now = [0.0]
    recorder = EventRecorder(client, instance="pod-0", now=lambda: now[0])
    config = await client.request(
        "POST", f"/api/v1/namespaces/{namespace}/configmaps", body={"metadata": {"name": "cm"}}
    )
    ref = ObjectRef("v1", "ConfigMap", namespace, "cm", config["metadata"]["uid"])
    running = asyncio.create_task(recorder.run())

    async def events() -> list[dict[str, Any]]:
        path = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"
        return list((await client.request("GET", path))["items"])

    async def wait_until(condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        async def met() -> list[dict[str, Any]]:
            found = await events()
            return found if condition(found) else []

        predicate: Callable[[], list[dict[str, Any]] | Awaitable[list[dict[str, Any]]]] = met
        return await wait_for_async(predicate, 15, "the events")

    recorder.record(ref, "Warning", "NoBindings", "nothing listens\nforged: line " + "é" * 2000, "List")
    (event,) = await wait_until(lambda found: len(found) == 1)
    assert event["reportingController"] == "eventsource-operator.dev/operator"
    assert event["reportingInstance"] == "pod-0"
    assert event["note"].startswith("nothing listens forged: line é")
    assert "series" not in event
    recorder.record(ref, "Warning", "NoBindings", "nothing listens\nforged: line " + "é" * 2000, "List")
    now[0] += 61
    recorder.record(ref, "Normal", "Watching", "all well", "Watch")  # wakes the writer
    await wait_until(lambda found: [e.get("series", {}).get("count") for e in found if "series" in e] == [2])
    described = kubectl("describe", "configmap", "cm")
    assert "NoBindings" in described
    assert "Watching" in described
    assert recorder.failed == recorder.dropped == 0
    running.cancel()
    await asyncio.wait({running})
    recorder.record(ref, "Normal", "Stopped", "at the end", "Stop")
    await recorder.close()
    await wait_until(lambda found: any(e["reason"] == "Stopped" for e in found))


def record_five(recorder: EventRecorder, namespace: str) -> None:
    for i in range(5):
        ref = ObjectRef("v1", "ConfigMap", namespace, f"cm-{i}", f"uid-{i}")
        recorder.record(ref, "Normal", "Watching", "", "Watch")


async def test_events_that_cannot_be_written_disturb_nobody(
    plane: ControlPlane, namespace: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    powerless = tmp_path / "kubeconfig"
    write_kubeconfig(powerless, plane.server, plane.token(namespace), plane.ca)
    stranger = await KubeClient.connect(str(powerless))
    try:
        recorder = EventRecorder(stranger, instance="pod-0")
        record_five(recorder, namespace)
        await recorder.close(timeout=10)
    finally:
        await stranger.close()
    assert (recorder.failed, recorder.dropped) == (5, 0)
    assert len(caplog.records) == 1


async def test_events_for_a_namespace_that_is_gone_are_dropped_in_silence(
    client: KubeClient, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = EventRecorder(client, instance="pod-0")
    record_five(recorder, "no-such-namespace")
    await recorder.close(timeout=10)
    assert (recorder.failed, recorder.dropped) == (0, 5)
    assert not caplog.records


async def test_checkpoints_are_put_read_and_deleted(client: KubeClient, namespace: str) -> None:
    store = CheckpointStore(client)
    assert await store.read_all(namespace) == []

    def checkpoint(name: str, uid: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": namespace, "labels": {SOURCE_UID_LABEL: uid}}
        return {**checkpoint_to_dict(Head(SourceRef("s", uid))), "metadata": metadata}

    first = await store.put(checkpoint("a", "u1"))
    assert first["kind"] == "EventSourceCheckpoint"
    await store.put(checkpoint("b", "u2"))
    assert [c["metadata"]["name"] for c in await store.read_all(namespace)] == ["a", "b"]
    assert [c["metadata"]["name"] for c in await store.read_all(namespace, "u2")] == ["b"]
    stale = checkpoint("a", "u1")
    stale["metadata"]["resourceVersion"] = "1"
    with pytest.raises(errors.Conflict):
        await store.put(stale)
    again = checkpoint("a", "u1")
    again["metadata"]["labels"] = {SOURCE_UID_LABEL: "u3"}
    again["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"]
    assert (await store.put(again))["metadata"]["labels"] == {SOURCE_UID_LABEL: "u3"}
    assert await store.delete(namespace, "a")
    assert not await store.delete(namespace, "a")
    lost = checkpoint("a", "u1")
    lost["metadata"]["namespace"] = "no-such-namespace"
    with pytest.raises(errors.NotFound):
        await store.put(lost)


async def test_keys_are_read_and_what_is_missing_is_named_without_values(
    client: KubeClient, kubectl: Kubectl, namespace: str
) -> None:
    kubectl(
        "create", "secret", "generic", "token", "--from-literal=key=s3cr3t-value", "--from-literal=empty="
    )
    kubectl("create", "configmap", "ca", "--from-literal=ca.crt=PEM")
    assert await read_key(client, namespace, "Secret", "token", "key") == b"s3cr3t-value"
    assert await read_key(client, namespace, "ConfigMap", "ca", "ca.crt") == b"PEM"
    with pytest.raises(errors.NotFound, match=f"Secret {namespace}/none does not exist"):
        await read_key(client, namespace, "Secret", "none", "key")
    with pytest.raises(KeyMissing, match=f"Secret {namespace}/token has no key 'other'") as caught:
        await read_key(client, namespace, "Secret", "token", "other")
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(KeyMissing, match="'empty' is empty"):
        await read_key(client, namespace, "Secret", "token", "empty")


async def test_own_token_is_the_file_or_the_kubeconfigs(
    client: KubeClient, plane: ControlPlane, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    token = OwnToken(file, client)
    assert await token.get() == plane.admin_token
    file.write_text("projected-1\n")
    assert await token.get() == "projected-1"
    fresh = tmp_path / "fresh"
    fresh.write_text("projected-2\n")
    fresh.replace(file)  # as the kubelet does: another inode
    assert await token.get() == "projected-2"
