"""Credentials from the cluster: keys of Secrets and ConfigMaps, and the operator's own token.

No value ever gets into an error, a log line or a `repr` here.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Literal

from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.discovery import Resource
from eventsource_operator.kube.errors import Forbidden, KubeError, NotFound

_RESOURCES = {
    "Secret": Resource("", "v1", "Secret", "secrets"),
    "ConfigMap": Resource("", "v1", "ConfigMap", "configmaps"),
}


class KeyMissing(KubeError):  # noqa: N818 - as in kube.errors
    """The object exists and does not have that key (or its value is empty or not base64)."""


async def read_key(
    client: KubeClient, namespace: str, kind: Literal["Secret", "ConfigMap"], name: str, key: str
) -> bytes:
    """The value under one key.

    Raises:
        NotFound: No such object.
        Forbidden: The operator may not read it.
        KeyMissing: It has no such key, or nothing in it.
        KubeError: The API server could not answer.
    """
    what = f"{kind} {namespace}/{name}"
    try:
        obj = await client.request("GET", _RESOURCES[kind].path(namespace, name))
    except NotFound as error:
        raise NotFound(error.status, error.reason, f"{what} does not exist") from error
    except Forbidden as error:
        message = f"{what} cannot be read: the operator lacks the right to get it"
        raise Forbidden(error.status, error.reason, message) from error
    plain = obj.get("data") or {} if kind == "ConfigMap" else {}
    encoded = obj.get("binaryData") if kind == "ConfigMap" else obj.get("data")
    value = b""
    if key in plain:
        value = str(plain[key]).encode()
    elif key in (encoded or {}):
        try:
            value = base64.b64decode(encoded[key], validate=True)
        except binascii.Error:
            raise KeyMissing(0, "KeyInvalid", f"{what}: the value of key {key!r} is not base64") from None
    else:
        raise KeyMissing(0, "KeyMissing", f"{what} has no key {key!r}")
    if not value.strip():
        raise KeyMissing(0, "KeyEmpty", f"{what}: the value of key {key!r} is empty")
    return value


class OwnToken:
    """The operator's own token: its projected file, read again whenever it changed.

    Out of a cluster, where there is no such file: the token of the kubeconfig's user, if it has one.
    """

    def __init__(self, path: Path, client: KubeClient | None = None) -> None:
        """Nothing is read yet.

        Args:
            path: The projected token.
            client: Whose token is taken when there is no file.
        """
        self._path = path
        self._client = client
        self._stamp: tuple[int, int] | None = None
        self._token: str | None = None

    async def get(self) -> str | None:
        """The current token, None when there is none."""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
            if stamp != self._stamp:
                self._token = self._path.read_text(encoding="ascii", errors="replace").strip() or None
                self._stamp = stamp
        except OSError:
            self._stamp = self._token = None
            return await self._client.bearer_token() if self._client else None
        return self._token
