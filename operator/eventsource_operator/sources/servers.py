"""Which Argo Server a source may use, with which credentials; endpoints are shared by all that use the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

from eventsource_operator.api.eventsource import EventSource
from eventsource_operator.argo.config import ServerConfig
from eventsource_operator.argo.errors import InvalidArgument
from eventsource_operator.delivery.endpoint import Endpoint, EndpointKey
from eventsource_operator.delivery.sender import CredentialsError
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.errors import KubeError
from eventsource_operator.kube.secrets import OwnToken, read_key
from eventsource_operator.setting_values import normal_url
from eventsource_operator.settings import KeyRef, Settings


class ServerRefusedError(Exception):
    """The source's ``spec.server.url`` is not allowed; the message names the remedy."""


class CachedToken:
    """A token that is read once and again after it was refused."""

    def __init__(self, read: Callable[[], Awaitable[str | None]]) -> None:
        self._read = read
        self._token: str | None = None
        self._known = False
        self._lock = asyncio.Lock()

    async def __call__(self) -> str | None:
        """The token."""
        if not self._known:
            async with self._lock:
                if not self._known:
                    self._token = await self._read()
                    self._known = True
        return self._token

    def invalidate(self) -> None:
        """It was refused, or may have changed."""
        self._known = False


class Servers:
    """Makes and keeps the endpoints."""

    def __init__(self, client: KubeClient, own: OwnToken) -> None:
        self._client = client
        self._own = own
        self._endpoints: dict[EndpointKey, Endpoint] = {}
        self._tokens: dict[EndpointKey, CachedToken] = {}

    def key(self, source: EventSource, settings: Settings) -> EndpointKey:
        """What connection a source uses.

        Raises:
            ServerRefusedError: its url is neither the default nor on the allow-list.
        """
        server = source.spec.server
        default = normal_url(settings.argo_server)
        url = normal_url(server.url) if server.url else default
        if url != default and url not in {normal_url(each) for each in settings.allow_servers}:
            raise ServerRefusedError(
                f"spec.server.url: {url} is not allowed; use the operator's default {default} (leave the field out), "
                f"or ask who runs the operator to start it with --allow-server {url}"
            )
        auth, tls = server.auth, server.tls
        namespace = source.namespace
        credentials, trust = "operator", "operator" if url == default else "system"
        if auth is not None and auth.secret_ref is not None:
            credentials = f"{namespace}/{auth.secret_ref.name}/{auth.secret_ref.key}"
        if tls is not None and tls.ca_ref is not None:
            trust = f"{tls.ca_ref.kind.value}/{namespace}/{tls.ca_ref.name}/{tls.ca_ref.key}"
        certificate = f"{namespace}/{tls.client_cert_ref}" if tls is not None and tls.client_cert_ref else ""
        prefix = auth.prefix if auth is not None else settings.auth_prefix
        insecure = tls is not None and tls.insecure_skip_verify
        return EndpointKey(
            url, prefix, credentials, trust, certificate, insecure, float(server.timeout_seconds)
        )

    def acquire(self, key: EndpointKey, settings: Callable[[], Settings]) -> Endpoint:
        """The endpoint of a key; to be given back with `release`."""
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            token = self._tokens[key] = CachedToken(lambda: self._token(key, settings()))
            endpoint = self._endpoints[key] = Endpoint(key, lambda: self._config(key, settings(), token))
        endpoint.users += 1
        return endpoint

    async def release(self, endpoint: Endpoint) -> None:
        """One user less; the last one closes it."""
        endpoint.users -= 1
        if endpoint.users == 0 and self._endpoints.get(endpoint.key) is endpoint:
            del self._endpoints[endpoint.key]
            del self._tokens[endpoint.key]
            await endpoint.close()

    async def refresh(self, endpoint: Endpoint) -> None:
        """Reads credentials and trust again (they may have been rotated)."""
        token = self._tokens.get(endpoint.key)
        if token is not None:
            token.invalidate()
        await endpoint.refresh()

    async def close(self) -> None:
        """All connections."""
        for endpoint in self._endpoints.values():
            await endpoint.close()

    async def _config(self, key: EndpointKey, settings: Settings, token: CachedToken) -> ServerConfig:
        try:
            ca_data, ca_file = await self._trust(key, settings)
            cert = await self._certificate(key)
            return ServerConfig(
                url=key.url, token=token, prefix=key.prefix, ca_data=ca_data, ca_file=ca_file,
                client_cert=cert, insecure_skip_verify=key.insecure, connect_timeout=min(5.0, key.timeout),
                timeout=key.timeout,
            )  # fmt: skip
        except KubeError as error:
            raise CredentialsError(str(error)) from error
        except InvalidArgument as error:
            raise CredentialsError(f"the server's settings cannot be used: {error}") from error

    async def _token(self, key: EndpointKey, settings: Settings) -> str | None:
        """The token as HTTP can carry it: a damaged one is no event's fault, so nothing is sent with it."""
        token = await self._read_token(key, settings)
        if token is not None and not (token.isascii() and token.isprintable()):
            raise CredentialsError(
                "the token is not one line of printable ASCII: is it the token, and undamaged?"
            )
        return token

    async def _read_token(self, key: EndpointKey, settings: Settings) -> str | None:
        try:
            if key.credentials != "operator":
                namespace, name, field = key.credentials.split("/", 2)
                return (
                    (await read_key(self._client, namespace, "Secret", name, field)).decode("ascii").strip()
                )
            if settings.auth_secret is not None:
                return await self._own_key("Secret", settings.auth_secret, settings)
            if settings.argo_token_file is not None:
                return await asyncio.to_thread(_read_file, settings.argo_token_file)
            return await self._own.get()
        except KubeError as error:
            raise CredentialsError(str(error)) from error
        except OSError as error:
            raise CredentialsError(f"the token file cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise CredentialsError("the token is not ASCII text") from error

    async def _own_key(self, kind: Literal["Secret", "ConfigMap"], ref: KeyRef, settings: Settings) -> str:
        return (
            (await read_key(self._client, settings.operator_namespace, kind, ref.name, ref.key))
            .decode()
            .strip()
        )

    async def _trust(self, key: EndpointKey, settings: Settings) -> tuple[str | None, str | None]:
        if key.trust == "operator":
            if settings.ca_config_map is not None:
                return await self._own_key("ConfigMap", settings.ca_config_map, settings), None
            return None, settings.argo_ca_file
        if key.trust == "system":
            return None, None
        kind, namespace, name, field = key.trust.split("/", 3)
        data = await read_key(
            self._client, namespace, "Secret" if kind == "Secret" else "ConfigMap", name, field
        )
        return data.decode(), None

    async def _certificate(self, key: EndpointKey) -> str | None:
        """The client certificate and key in one private file: Python's TLS takes files only."""
        if not key.client_certificate:
            return None
        namespace, name = key.client_certificate.split("/", 1)
        pair = [
            await read_key(self._client, namespace, "Secret", name, field) for field in ("tls.crt", "tls.key")
        ]
        return await asyncio.to_thread(_private_file, b"\n".join(pair))


def _read_file(path: str) -> str:
    return Path(path).read_text(encoding="ascii").strip()


def _private_file(content: bytes) -> str:
    with tempfile.NamedTemporaryFile(prefix="client-", suffix=".pem", delete=False) as file:
        file.write(content)
        return file.name
