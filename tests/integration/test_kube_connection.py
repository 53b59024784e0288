"""How the thin client gets to the real API server: credentials, certificates, and what refusals become."""

import contextlib
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from kubernetes.aio.config import incluster_config

from eventsource_operator.kube import errors
from eventsource_operator.kube.client import KubeClient
from tools.controlplane.plane import ControlPlane


@pytest.mark.parametrize(
    ("request_line", "body", "expected"),
    [
        ("GET /api/v1/namespaces/{ns}/configmaps/none", None, errors.NotFound),
        ("GET /apis/example.com/v1/things", None, errors.NotFound),
        ("POST /api/v1/namespaces/{ns}/configmaps", {"metadata": {"name": "UPPER"}}, errors.Invalid),
        ("POST /api/v1/namespaces/{ns}/configmaps", {"metadata": "text"}, errors.Invalid),
        (
            "POST /api/v1/namespaces/{ns}/serviceaccounts",
            {"metadata": {"name": "default"}},
            errors.Conflict,
        ),
    ],
)
async def test_answers_become_typed_errors(
    client: KubeClient, namespace: str, request_line: str, body: Any, expected: type[errors.KubeError]
) -> None:
    account = {"metadata": {"name": "default"}}
    with contextlib.suppress(errors.Conflict):
        await client.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", body=account)
    method, path = request_line.format(ns=namespace).split()
    with pytest.raises(expected) as caught:
        await client.request(method, path, body=body)
    assert type(caught.value) is expected
    assert not caught.value.transient
    assert caught.value.message


def read_kubeconfig(plane: ControlPlane) -> Any:
    return yaml.safe_load(Path(plane.kubeconfig).read_text())


def kubeconfig_with_token(plane: ControlPlane, path: Path, token: str) -> str:
    config = read_kubeconfig(plane)
    config["users"][0]["user"] = {"token": token}
    path.write_text(yaml.safe_dump(config))
    return str(path)


async def test_a_token_without_rights_is_forbidden_and_a_wrong_one_unauthorized(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    token = plane.token(namespace, "nobody")
    for text, expected in ((token, errors.Forbidden), ("wrong", errors.Unauthorized)):
        client = await KubeClient.connect(kubeconfig_with_token(plane, tmp_path / "config", text))
        try:
            with pytest.raises(expected) as caught:
                await client.request("GET", path)
            assert await client.bearer_token() == text
            assert text not in str(caught.value)
        finally:
            await client.close()


async def test_a_rotated_token_is_read_again_after_a_401(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    client = await KubeClient.connect(kubeconfig_with_token(plane, file, "revoked"))
    try:
        kubeconfig_with_token(plane, file, plane.admin_token)
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        assert (await client.request("GET", path))["kind"] == "ConfigMapList"
        async with client.watch(path, resource_version="0") as stream:
            assert await anext(stream)
    finally:
        await client.close()


async def test_in_a_pod_the_service_account_is_used_and_its_rotated_token_too(
    plane: ControlPlane, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, server = tmp_path / "token", urlsplit(plane.server)
    token.write_text("revoked")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(server.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(plane.ca))
    client = await KubeClient.connect()
    try:
        assert client.server == plane.server
        token.write_text(plane.admin_token + "\n")
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        assert (await client.request("GET", path))["kind"] == "ConfigMapList"
        assert await client.bearer_token() == plane.admin_token
        token.unlink()
        assert await client.bearer_token() == plane.admin_token  # still the one of this minute
    finally:
        await client.close()


async def test_an_untrusted_certificate_is_refused(plane: ControlPlane, tmp_path: Path) -> None:
    config = read_kubeconfig(plane)
    cluster = config["clusters"][0]["cluster"]
    cluster.pop("certificate-authority", None)
    cluster.pop("certificate-authority-data", None)
    cluster["certificate-authority"] = ssl.get_default_verify_paths().cafile or str(plane.kubeconfig)
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    client = await KubeClient.connect(str(tmp_path / "config"))
    try:
        with pytest.raises(errors.Unreachable, match="certificate"):
            await client.request("GET", "/version")
    finally:
        await client.close()
