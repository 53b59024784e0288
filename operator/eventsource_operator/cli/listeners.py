"""The WorkflowEventBindings that would see a source's events, listed with the source's own credentials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eventsource_operator.api.eventsource import EventSource
from eventsource_operator.argo.errors import ArgoError
from eventsource_operator.delivery.sender import CredentialsError
from eventsource_operator.kube.client import KubeClient
from eventsource_operator.kube.secrets import OwnToken
from eventsource_operator.settings import Settings
from eventsource_operator.sources.servers import ServerRefusedError, Servers


class GivenToken(OwnToken):
    """A token from the command line in place of the operator's own."""

    def __init__(self, path: Path, client: KubeClient, token: str | None) -> None:
        super().__init__(path, client)
        self._given = token

    async def get(self) -> str | None:
        """The token that was given, else the one that the operator would use here."""
        return self._given or await super().get()


async def listeners(
    source: EventSource, client: KubeClient, settings: Settings, token: str | None
) -> dict[str, Any]:
    """The bindings, or why they cannot be listed (``error``); never raises for what the server answers."""
    servers = Servers(client, GivenToken(Path(settings.token_file), client, token))
    spec = source.spec
    namespace = source.event_namespace
    found: list[dict[str, str]] = []
    report: dict[str, Any] = {"namespace": namespace or "*", "items": found, "error": None}
    options = {"label_selector": spec.bindings.label_selector, "field_selector": spec.bindings.field_selector}
    given: dict[str, Any] = {name: value for name, value in options.items() if value}
    try:
        key = servers.key(source, settings)
        report["server"] = key.url
        endpoint = servers.acquire(key, lambda: settings)
        argo = await endpoint.client()
        found += [
            {"namespace": each.namespace, "name": each.name, "selector": each.selector or ""}
            async for each in argo.list_workflow_event_bindings(namespace, **given)
        ]
    except (ArgoError, CredentialsError, ServerRefusedError) as error:
        report["error"] = str(error)
    finally:
        await servers.close()
    return report
