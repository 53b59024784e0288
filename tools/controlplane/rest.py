"""A very small client for the control plane's own needs: JSON over HTTP(S) with a bearer token.

The launcher installs nothing, so it cannot use the `kubernetes` package; tests and the operator do.
"""

import base64
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

APPLY = "application/apply-patch+yaml"
FIELD_MANAGER = "controlplane"
TIMEOUT_SECONDS = 10.0


class HttpError(RuntimeError):
    """The server answered, and the answer is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Client:
    """One server, one credential.

    Args:
        url: scheme, host and port.
        token: bearer token; empty for none.
        ca: file with the certificate to trust; None skips verification, for loopback servers whose
            certificate nobody can know.
        timeout: seconds without an answer after which a request fails.
    """

    def __init__(
        self, url: str, token: str = "", ca: Path | None = None, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._token = token
        self._ca = ca
        self._opener: urllib.request.OpenerDirector | None = None

    def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json"
    ) -> Any:
        """Sends a request; returns the decoded answer, or its text where it is not JSON.

        Raises:
            HttpError: an answer other than 2xx.
            OSError: no answer.
        """
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=data, method=method)  # noqa: S310 - own servers
        request.add_header("Content-Type", content_type)
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with self._open().open(request, timeout=self._timeout) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                raise HttpError(error.code, error.read().decode(errors="replace")[:2000]) from None
        try:
            return json.loads(text)
        except ValueError:
            return text

    def answers(self, path: str) -> bool:
        """Whether a GET is answered with 2xx: the readiness poll."""
        try:
            self.request("GET", path)
        except (OSError, HttpError, ValueError):
            return False
        return True

    def apply(self, path: str, manifest: Any) -> Any:
        """Server-side apply of one object, a mapping or the bytes of a YAML document."""
        query = f"?fieldManager={FIELD_MANAGER}&force=true"
        return self.request("PATCH", path + query, manifest, content_type=APPLY)

    def _open(self) -> urllib.request.OpenerDirector:
        if self._opener is None:
            context = ssl.create_default_context(cafile=str(self._ca)) if self._ca else _unverified()
            self._opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}),  # never through the user's proxy: the servers are local
                urllib.request.HTTPSHandler(context=context),
            )
        return self._opener


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def write_kubeconfig(path: Path, server: str, token: str, ca: Path) -> None:
    """Writes a kubeconfig (JSON is YAML) with the CA embedded, readable by its owner alone."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "controlplane",
        "clusters": [
            {
                "name": "controlplane",
                "cluster": {
                    "server": server,
                    "certificate-authority-data": base64.b64encode(ca.read_bytes()).decode(),
                },
            }
        ],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "controlplane", "context": {"cluster": "controlplane", "user": "admin"}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
